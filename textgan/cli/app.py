"""The command line. torch is imported inside the commands, so that --help is immediate."""

from __future__ import annotations

import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from textgan.core.checks import (
    CLASSIFIERS,
    METRIC_SEEDS,
    MOST_LINES,
    REPEATS,
    RESAMPLINGS,
    SAMPLES,
    SEEDS,
    TEXTS,
)
from textgan.core.distributed import first
from textgan.core.errors import Interrupted, NotKept, SaidElsewhere, UserError
from textgan.core.files import system_errors
from textgan.core.terminal import ReaderLeft, standard_streams, stop_signals, visible

if TYPE_CHECKING:
    from textgan.data.texts import Form

# click's UsageError, wherever this version of typer keeps its click
_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]


class _Commands(typer.core.TyperGroup):
    """The commands; an option that takes one value is refused where it is given twice, for the
    first value would be dropped without a word."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not hasattr(command, "commands"):
            inner = type(ctx)(command, info_name=name, parent=ctx)
            with inner:
                *_, order = command.make_parser(inner).parse_args(args=list(rest))
            for option in order:
                one = not (option.multiple or getattr(option, "is_flag", False))
                if one and option.param_type_name == "option" and order.count(option) > 1:
                    raise UserError(
                        f"{option.opts[0]} is given {order.count(option)} times, and takes one "
                        "value; give it once"
                    )
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    name="textgan",
    help="Adversarial text generation: SeqGAN and its family, with honest measures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Known corpora.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


def _within(limits: tuple[int, int], what: str, *names: str) -> Any:
    """An option whose value is within limits; --help tells them."""
    return typer.Option(*names, min=limits[0], max=limits[1], help=what)


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
    typer.Option("--format", help="text, csv or jsonl; as the file's name ends if not given."),
]


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from textgan.core.version import __version__

        typer.echo(f"textgan {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Adversarial text generation: SeqGAN and its family, with honest measures."""


@app.command()
def train(
    target: Annotated[
        str,
        typer.Argument(
            help="An objective (see textgan list), a .toml file, or path/to/file.py:Class.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings, such as objective.rollouts=8 or schedule.rounds=20.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Your text, one sentence a line (label, tab, sentence in a .tsv file), "
            "instead of the synthetic oracle."
        ),
    ] = None,
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    tokens: Annotated[
        str | None,
        typer.Option(help="What a token is: word or char."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; runs/<objective>-<data>-<number> if not given."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda or cuda:N."),
    ] = None,
    with_report: Annotated[
        bool,
        typer.Option(
            "--report", help="Then evaluate it and write a page about it: textgan report."
        ),
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Train a generator and print how good it became."""
    with _starting():
        from textgan.training.trainer import train

    settings: dict[str, Any] = {"data.tokens": tokens, "seed": seed, "device": device}
    settings |= _of_file(field, label_field, labels, file_format)
    results = train(
        target,
        *(overrides or []),
        data=data,
        out=out,
        trust_code=trust_code,
        **{key: value for key, value in settings.items() if value is not None},
    )
    if not first():
        return
    typer.echo(f"\n{results}")
    if with_report:
        from textgan.evaluation.report.page import report

        typer.echo(f"report     {report(results.folder, trust_code=True)}")


@app.command()
def resume(
    run: Folder,
    device: Annotated[
        str | None,
        typer.Option(help="Another device than the run began on."),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped."""
    with _starting():
        from textgan.training.trainer import resume

    results = resume(run, device=device, trust_code=trust_code)
    if first():
        typer.echo(f"\n{results}")


@app.command()
def sample(
    run: Folder,
    n: Annotated[int, _within(TEXTS, "How many texts.", "-n", "--number")] = 10,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")] = 1.0,
    seed: Annotated[int, _within(SEEDS, "The same seed gives the same texts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="A new file, one text a line; standard output if not given."),
    ] = None,
    weights: Annotated[str, typer.Option(help="final, or mle for the best MLE epoch.")] = "final",
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Let <unk> be written where it is drawn.")
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(help="Only texts of this label; all labels if not given."),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Write texts with a trained generator, after their label and a tab where they have one."""
    with _starting():
        from textgan.training.results import sample

    lines = sample(
        run,
        n,
        temperature=temperature,
        seed=seed,
        out=out,
        weights=weights,  # type: ignore[arg-type]  # checked there
        allow_unknown=allow_unknown,
        label=label,
        trust_code=trust_code,
    )
    if out is None:
        sys.stdout.write("".join(line + "\n" for line in lines))
    else:
        typer.echo(f"{n} texts in {out}", err=True)


@app.command()
def evaluate(
    targets: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...",
            help="Runs' folders, files of one text a line, or both.",
            show_default=False,
        ),
    ],
    references: Annotated[
        Path | None,
        typer.Option(
            help="Held-out real text, one sentence a line; for files alone it is needed, runs "
            "have their own."
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="For files: what the texts' generator was trained on."),
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            help="For files: other real text, for the row of real text and, without --train, for "
            "networks to learn from; else parts of the references serve."
        ),
    ] = None,
    aligned: Annotated[
        list[Path] | None,
        typer.Option(help="For files: references line by line, for sacrebleu and chrF."),
    ] = None,
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="nltk (Treebank), whitespace or char; nltk for files, a run's own words for runs."
        ),
    ] = None,
    metrics: Metrics = "all",
    encoder: Encoder = None,
    settings: MetricSettings = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=SAMPLES[0],
            max=SAMPLES[1],
            help="For a run: texts to draw; as in its config if not given.",
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="For a run: that its texts are drawn at.")
    ] = 1.0,
    size: Annotated[
        int,
        typer.Option(
            min=0,
            max=10**8,
            help="Most texts of a number that depends on how many there are; 0: all.",
        ),
    ] = 0,
    resamplings: Annotated[
        int,
        _within(RESAMPLINGS, "Of the bootstrap; 0: no intervals."),
    ] = 1000,
    seed: Annotated[int, _within(METRIC_SEEDS, "Of all that is drawn.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Judge texts by every metric, with intervals and a row of real text.

    Several runs and files stand in one table. One run's numbers are kept in its folder and shown in
    TensorBoard, unless they were taken at another temperature than 1 or with --references.
    """
    with _starting():
        from textgan.evaluation.evaluate import evaluate

    measure = partial(
        evaluate,
        *targets,
        references=references,
        train=train,
        real=real,
        aligned=aligned or (),
        tokenizer=tokenizer,  # type: ignore[arg-type]  # checked there
        form=_form(field, label_field, labels, file_format),
        metrics=metrics,
        samples=samples,
        temperature=temperature,
        size=size,
        resamplings=resamplings,
        seed=seed,
        device=device,
        trust_code=trust_code,
        keep=True,
        **_metric_settings(settings, encoder, metrics),
    )
    _show(measure, as_json)


@app.command()
def compare(
    targets: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...",
            help="One run; or two and more runs, files, or seeds of experiments: each is compared "
            "with the first.",
            show_default=False,
        ),
    ],
    references: Annotated[
        Path | None,
        typer.Option(help="For files: held-out real text, one sentence a line."),
    ] = None,
    train: Annotated[Path | None, typer.Option(help="For files: as of textgan evaluate.")] = None,
    real: Annotated[Path | None, typer.Option(help="For files: as of textgan evaluate.")] = None,
    aligned: Annotated[
        list[Path] | None,
        typer.Option(help="For files: references line by line, for sacrebleu and chrF."),
    ] = None,
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="As of textgan evaluate; what was measured of runs before (all, where nothing "
            "was) if not given."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="For files: nltk (Treebank), whitespace or char.")
    ] = None,
    seed: Annotated[
        int,
        _within(METRIC_SEEDS, "For files: of all that is drawn."),
    ] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Say which differences stand: of runs, of experiments over seeds, of files, of a run and its
    MLE.

    Runs' numbers are taken from their folders; what is not there yet is measured first, as textgan
    evaluate does it. Files are measured, and runs beside them, on the same references.
    """
    with _starting():
        from textgan.evaluation.evaluate import compare

    measure = partial(
        compare,
        *targets,
        references=references,
        train=train,
        real=real,
        aligned=aligned or (),
        tokenizer=tokenizer,  # type: ignore[arg-type]  # checked there
        form=_form(field, label_field, labels, file_format),
        metrics=metrics,
        seed=seed,
        device=device,
        trust_code=trust_code,
    )
    _show(measure, as_json)


@app.command()
def curve(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs' folders.", show_default=False)
    ],
    temperatures: Annotated[
        str, typer.Option(help="The grid, separated by commas.")
    ] = "1.25,1.111,1,0.909,0.8,0.667,0.5",
    samples: Annotated[
        int | None,
        _within(SAMPLES, "Texts at each temperature; as in a run's config."),
    ] = None,
    metrics: Metrics = "all",
    encoder: Encoder = None,
    settings: MetricSettings = None,
    seed: Annotated[int, _within(METRIC_SEEDS, "Of all that is drawn.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Draw texts at a grid of temperatures and measure all of them, MLE's beside them.

    The curves are kept in the runs' folders; the output says where one is better than the other.
    """
    with _starting():
        from textgan.evaluation.temperature_sweep import curve

    measure = partial(
        curve,
        *runs,
        temperatures=temperatures,
        metrics=metrics,
        samples=samples,
        seed=seed,
        device=device,
        trust_code=trust_code,
        **_metric_settings(settings, encoder, metrics),
    )
    _show(measure, as_json)


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs' folders.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The page; report.html in the first run's folder if not given."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            help="Measure first what the runs' folders lack: all of textgan evaluate, and curves "
            "by the metrics that train no network."
        ),
    ] = True,
    trust_code: TrustCode = False,
) -> None:
    """Write one HTML page about one or more runs: tables, curves, samples, warnings."""
    with _starting():
        from textgan.evaluation.report.page import report

    path = report(*runs, out=out, measure=measure, trust_code=trust_code)
    typer.echo(f"report     {path}")


@app.command("list")
def list_parts(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|KIND|FILE]...",
            help="Parts by name, all of a kind (such as metrics), or path/to/file.py with or "
            "without :Class; all of textgan's if not given.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List parts (objectives, networks, perturbations, metrics) with what each can be told."""
    from textgan.cli import listing

    found = listing.find_parts(wanted or [])
    if as_json:
        content = {
            kind: {name: listing.facts(part) for name, part in parts.items()}
            for kind, parts in found.items()
        }
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(listing.describe(found, shutil.get_terminal_size().columns))


@data_app.command("list")
def list_data(as_json: AsJson = False) -> None:
    """List the corpora this version knows by their hashes, and where they come from."""
    from textgan.data.datasets import KNOWN

    if as_json:
        typer.echo(json.dumps([entry._asdict() for entry in KNOWN], indent=2))
        return
    from textgan.core.tables import filled

    for entry in KNOWN:
        typer.echo(filled(f"{entry.name}: {entry.what}"))
        told = {"from": entry.source, "licence": entry.licence, "use": entry.use}
        for key, value in told.items():
            typer.echo(filled(f"    {key:<8}{value}", indent=12))
        if entry.sha256:
            typer.echo(f"    sha256  {entry.sha256}")


@app.command()
def classify(
    file: Annotated[
        Path,
        typer.Argument(
            help="Lines of label, tab, sentence (a .tsv), or a .csv or .jsonl with --field and "
            "--label-field.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings: epochs, batch, lr, clip; network.KEY as in textgan list; attack.KEY: "
            "epsilon, absolute, steps, restarts, stride; noise.KEY: kind, rate, seed; data.KEY: "
            "field, label_field, labels, format, valid, test, split_seed, tokens, vocabulary, "
            "min_count, length.",
            show_default=False,
        ),
    ] = None,
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    network: Annotated[
        str, typer.Option(help="A discriminator (see textgan list), or hf:FOLDER.")
    ] = "rnn",
    perturb: Annotated[
        str,
        typer.Option(help='Separated by commas, such as fgm,"freelb(passes=3)"; none is added.'),
    ] = "none,fgm",
    seeds: Annotated[int, _within(CLASSIFIERS, "Classifiers of each.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep every run there; the same command goes on where it stopped."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the classifiers there, too.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Train text classifiers with perturbations, and attack them: what does each gain, and lose?"""
    with _starting():
        from textgan.classifiers.train import classify

    result = classify(
        file,
        network=network,
        perturb=perturb,
        seeds=seeds,
        out=out,
        keep=keep,
        device=device,
        **_settings(overrides, "classify", "file", "network", "perturb", "seeds", "out", "device"),
        **_of_file(field, label_field, labels, file_format),
    )
    _print(result, as_json)


@app.command()
def similarity(
    encoders: Annotated[
        list[str],
        typer.Argument(
            metavar="ENCODER...",
            help="Folders of textgan encode, or hf:FOLDER of a pretrained network.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Text, one sentence a line (label, tab, sentence in a .tsv file).",
            show_default=False,
        ),
    ],
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    sts: Annotated[
        Path | None,
        typer.Option(
            help="Pairs that people judged: score, tab, sentence, tab, sentence in every line, or "
            "a subset's name and a tab before them."
        ),
    ] = None,
    noise: Annotated[
        str, typer.Option(help="Kinds of noise, separated by commas.")
    ] = "drop,swap,replace,repeat,typo",
    rate: Annotated[float, typer.Option(help="Share of the words that noise touches.")] = 0.2,
    tokens: Annotated[str, typer.Option(help="What noise touches: word or char.")] = "word",
    limit: Annotated[int, _within(MOST_LINES, "Most lines; which, the seed decides.")] = 5000,
    resamplings: Annotated[
        int,
        _within(RESAMPLINGS, "Of the bootstrap; 0: no intervals."),
    ] = 1000,
    seed: Annotated[int, _within(METRIC_SEEDS, "Of all that is drawn.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure sentence encoders: what noise does to their vectors, and what people call alike.

    Beside them stand the words of a sentence, only counted: what no training gives.
    """
    with _starting():
        from textgan.encoders.evaluate import evaluate_encoders

    result = evaluate_encoders(
        encoders,
        data=data,
        form=_form(field, label_field, labels, file_format),
        sts=sts,
        noise=noise,
        rate=rate,
        tokens=tokens,
        limit=limit,
        resamplings=resamplings,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command()
def encode(
    method: Annotated[
        str,
        typer.Argument(
            help="simcse, uscal, scal (from labels), promptbert, mlm (masked words, for others to "
            "start from), or path/to/file.py:Class.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings, such as epochs=3, contrast.temperature=0.1 or network.layers=4.",
            show_default=False,
        ),
    ] = None,
    *,
    data: Annotated[Path, typer.Option(help="One sentence, or label, tab, sentence, a line.")],
    field: Field = None,
    label_field: LabelField = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    out: Annotated[Path, typer.Option(help="The encoder's folder, a new one.")],
    network: Annotated[
        str | None,
        typer.Option(help="transformer (if not given), rnn, cnn, or hf:FOLDER, a pretrained one."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Another encoder's folder, to go on from, such as mlm's.")
    ] = None,
    seed: Annotated[int, _within(SEEDS, "Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train an encoder of sentences, for textgan evaluate --encoder FOLDER."""
    with _starting():
        from textgan.encoders.train import encode

    made = encode(
        method,
        data=data,
        out=out,
        network=network,
        start=start,
        seed=seed,
        device=device,
        **_settings(overrides, "encode", "data", "out", "network", "start", "seed", "device"),
        **_of_file(field, label_field, labels, file_format),
    )
    typer.echo(f"\n{made}")


@app.command()
def check(
    part: Annotated[
        str,
        typer.Argument(
            help="path/to/file.py:Class, or a name of textgan list: an objective, a network, a "
            "metric, a perturbation or a way to train an encoder.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the part.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a part on tiny worlds: does it keep its contract? Exit code 1: a check failed."""
    from textgan.contracts.checking import check

    report = check(part, _settings(overrides, "check"), strict=False)
    _print(report, as_json)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def bench(
    as_json: AsJson = False,
    repeats: Annotated[int, _within(REPEATS, "Measurements of each part.")] = 1,
    scale: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of the work, for a quick look.")
    ] = 1.0,
    parts: Annotated[
        str | None,
        typer.Option(help="Only these, separated by commas, such as sampling,rollouts."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of our side: float32, tf32 or bf16; the textbook's is float32.")
    ] = "float32",
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling", help="Also how time and memory grow with length, vocabulary, rollouts."
        ),
    ] = False,
    counts: Annotated[
        bool,
        typer.Option(
            "--counts", help="Time nothing: only count operators, FLOP and bytes, in seconds."
        ),
    ] = False,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write a trace of each part, for Perfetto."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A report kept with --json: what became worse? Exit code 1: much."
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(help="Share by which a ratio may fall or a count grow, with --against."),
    ] = 0.25,
) -> None:
    """Time the paper's setting beside a textbook implementation, in one run, interleaved."""
    with _starting():
        from textgan.bench.against import check_tolerance, compare, read_before
        from textgan.bench.setting import PAPER_AXES
        from textgan.bench.timing import run_bench

    check_tolerance(tolerance)
    before = None if against is None else read_before(against)
    report = run_bench(
        repeats,
        scale,
        precision=precision,
        parts=parts,
        timed=not counts,
        axes=PAPER_AXES if scaling else None,
        traces=profile,
        before=before,
    )
    compared = None if before is None else compare(before, report, tolerance)
    if as_json:
        content = report.to_dict() | ({"against": compared.to_dict()} if compared else {})
        typer.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        typer.echo(f"{report}\n\n{compared}" if compared else str(report))
    if compared and compared.worse:
        raise typer.Exit(1)


@contextmanager
def _starting() -> Iterator[None]:
    """On a terminal, a word for as long as torch and the like are imported."""
    from textgan.core.progress import status

    with status("starting", quiet=not first()):
        yield


def _print(result: Any, as_json: bool) -> None:
    """A result as its table, or as JSON."""
    results = result if isinstance(result, list) else [result]
    if as_json:
        content = [one.to_dict() for one in results]
        typer.echo(json.dumps(content if isinstance(result, list) else content[0], indent=2))
    else:
        typer.echo("\n\n".join(map(str, results)))


def _show(measure: Callable[[], Any], as_json: bool) -> None:
    """Measure and print; what a folder could not keep is printed, too, before the error."""
    try:
        _print(measure(), as_json)
    except NotKept as error:
        _print(error.made, as_json)
        raise


def _settings(overrides: list[str] | None, command: str, *options: str) -> dict[str, Any]:
    """Settings by dotted key. Raises UserError for those that are options of the command."""
    from textgan.core.settings import parse_setting

    settings = dict(map(parse_setting, overrides or []))
    for name in sorted(settings.keys() & set(options)):
        raise UserError(f"{name} is no setting; give it as an option (see {command} --help)")
    return settings


def _of_file(
    field: str | None, label_field: str | None, labels: str | None, file_format: str | None
) -> dict[str, Any]:
    """The settings behind the options that say how a file is read; those that were given."""
    options = {"field": field, "label_field": label_field, "labels": labels, "format": file_format}
    return {f"data.{key}": value for key, value in options.items() if value is not None}


def _form(
    field: str | None, label_field: str | None, labels: str | None, file_format: str | None
) -> Form:
    """How files are read."""
    from textgan.data.texts import Form

    given = _of_file(field, label_field, labels, file_format)
    return Form(**{key.removeprefix("data."): value for key, value in given.items()})


def _metric_settings(
    overrides: list[str] | None, encoder: str | None, metrics: str
) -> dict[str, Any]:
    """Settings of metrics by dotted key, the encoder's among them."""
    settings = _settings(overrides, "evaluate")
    if encoder is not None:
        named = {"frechet", "mauve"} & {word.strip() for word in metrics.split(",")}
        settings |= {f"{name}.encoder": encoder for name in named or ("frechet", "mauve")}
    return settings


def main() -> None:
    """Run the command line: 0 done, 2 for what the user must mend, 130 when stopped by the user."""
    with standard_streams(), stop_signals():
        try:
            code = _run()
        except Exception:
            if not sys.stderr.isatty():
                raise
            # a message may hold control characters, which a terminal obeys
            sys.stderr.write(visible(traceback.format_exc()))
            code = 1
    sys.exit(code)


def _run() -> int:
    """What a command ends with."""
    try:
        with system_errors():
            code = app(standalone_mode=False) or 0
            sys.stdout.flush()
        if code == 130:  # typer's way to say that Ctrl-C came
            raise KeyboardInterrupt
        return int(code)
    except SaidElsewhere:
        time.sleep(1)  # whoever ends first is ended upon by torchrun, and the other is to speak
        return 2
    except UserError as error:
        _say(str(error))
        return 2
    except MemoryError:
        _say("out of memory; what was saved before stands; try a smaller network or fewer texts")
        return 2
    except _UsageError as error:
        if len(sys.argv) < 3 and "Usage:" in str(error.format_message()):  # type: ignore[attr-defined]
            typer.echo(error.format_message())  # type: ignore[attr-defined]
            return 2  # no command was given; what one can do is the answer
        _say(f"{error.format_message()} (see textgan --help)")  # type: ignore[attr-defined]
        return 2
    except Interrupted as stopped:
        if first():  # all processes stop alike
            _say(str(stopped))
        return 130
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped at once; what was saved before stands")
        return 130
    except ReaderLeft:
        return 0
    except (SystemExit, GeneratorExit) as error:  # no code of textgan's does
        what = "called sys.exit()" if isinstance(error, SystemExit) else "raised GeneratorExit"
        _say(f"a part {what}, which ended the command; what was saved before stands")
        return 2


def _say(message: str) -> None:
    typer.echo("textgan: " + visible(" ".join(message.split())), err=True)
