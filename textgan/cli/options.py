"""Options that commands share, and what they do alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from textgan.core.checks import METRIC_SEEDS, RESAMPLINGS, SAMPLES, TEMPERATURES
from textgan.core.distributed import first
from textgan.core.errors import NotKept, UserError


def within(limits: tuple[float, float], what: str, *names: str) -> Any:
    """Make an option whose limits --help shows; the function that gets its value checks them."""
    low, high = limits
    return number(*names, kind=type(low), help=f"{what}  [{low}<=x<={high}]")


def number(*names: str, kind: type[int | float], **settings: Any) -> Any:
    """Make an option of a number; what is none is passed on, for the function to refuse."""

    def read(typed: str) -> Any:
        try:
            return kind(typed)
        except ValueError:
            return typed

    return typer.Option(*names, parser=read, metavar=f"<{kind.__name__}>", **settings)


Folder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the code in files of its maker's own (FILE.py:CLASS) that it names; read them "
        "first, for code may do anything that you may.",
    ),
]
Metrics = Annotated[
    str,
    typer.Option(
        help="Names separated by commas (see textgan list), path/to/file.py:Class, quick (those "
        "that train no network) or all."
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        help="Of the Frechet distance and MAUVE: lm (a language model trained here on the "
        "training text), hf:FOLDER (a sentence encoder in a local folder) or a FOLDER that "
        "textgan encode wrote."
    ),
]
MetricSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A metric's setting, such as bleu.largest=4."),
]
Field = Annotated[
    str | None,
    typer.Option(help="Of .csv and .jsonl files: the field that holds the texts."),
]
LabelField = Annotated[
    str | None, typer.Option(help="Of such files: the field that holds the labels, if any.")
]
WithLabels = Annotated[
    str | None,
    typer.Option(
        "--labels", help="Whether lines begin with a label and a tab: auto (a .tsv), yes or no."
    ),
]
FileFormat = Annotated[
    str | None,
    typer.Option("--format", help="text, csv, jsonl, or auto: as the file's name ends."),
]
Tokens = Annotated[
    str | None,
    typer.Option(
        help="nltk (Treebank), whitespace or char; nltk for files, a run's own words for runs."
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
MetricSeed = Annotated[int, within(METRIC_SEEDS, "Of all that is drawn.")]
Resamplings = Annotated[int, within(RESAMPLINGS, "Of the bootstrap; 0: no intervals.")]
Samples = Annotated[
    int | None, within(SAMPLES, "Texts to draw of a run; as in its config if not given.")
]


Mixture = Annotated[
    str | None,
    typer.Option(
        metavar="T:WEIGHT,...",
        help="Each text is drawn whole at one of these temperatures, by weight: 1:0.5,0.6:0.5.",
    ),
]
JointTemperature = Annotated[
    float,
    within(TEMPERATURES, "Of whole texts: G(y)^(1/T) / Z, by importance resampling."),
]


@contextmanager
def starting() -> Iterator[None]:
    """On a terminal, a word for as long as torch and the like are imported."""
    from textgan.core.progress import status

    with status("starting", quiet=not first()):
        yield


def print_result(result: Any, as_json: bool) -> None:
    """Print a result as its table, or as JSON."""
    results = result if isinstance(result, list) else [result]
    if as_json:
        content = [one.to_dict() for one in results]
        typer.echo(json.dumps(content if isinstance(result, list) else content[0], indent=2))
    else:
        typer.echo("\n\n".join(map(str, results)))


def print_measured(measure: Callable[[], Any], as_json: bool) -> None:
    """Measure and print; what a folder could not keep is printed, too, before the error."""
    try:
        print_result(measure(), as_json)
    except NotKept as error:
        print_result(error.made, as_json)
        raise


def read_settings(overrides: list[str] | None, command: str, *options: str) -> dict[str, Any]:
    """Parse settings by dotted key. Raises UserError for those that are options of the command."""
    from textgan.core.settings import parse_settings

    settings = parse_settings(overrides or [])
    for name in sorted(settings.keys() & set(options)):
        raise UserError(f"{name} is no setting; give it as an option (see {command} --help)")
    return settings


def form_of(
    field: str | None, label_field: str | None, labels: str | None, file_format: str | None
) -> dict[str, Any]:
    """Return those options of how a file is read that were given, as arguments."""
    options = {"field": field, "label_field": label_field, "labels": labels, "format": file_format}
    return {key: value for key, value in options.items() if value is not None}


def settings_of_file(*options: str | None) -> dict[str, Any]:
    """Return the same as settings of a command that has more settings of the data."""
    return {f"data.{key}": value for key, value in form_of(*options).items()}
