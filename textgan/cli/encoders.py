"""textgan encode, similarity, classify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textgan.cli.options import (
    AsJson,
    Device,
    Field,
    FileFormat,
    LabelField,
    MetricSeed,
    Resamplings,
    WithLabels,
    form_of,
    print_result,
    read_settings,
    settings_of_file,
    starting,
    within,
)
from textgan.core.checks import CLASSIFIERS, MOST_LINES, RATES, SEEDS


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
    seed: Annotated[int, within(SEEDS, "Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train an encoder of sentences, for textgan evaluate --encoder FOLDER."""
    with starting():
        from textgan.encoders.train import encode

    made = encode(
        method,
        data=data,
        out=out,
        network=network,
        start=start,
        seed=seed,
        device=device,
        **read_settings(overrides, "encode", "data", "out", "network", "start", "seed", "device"),
        **settings_of_file(field, label_field, labels, file_format),
    )
    typer.echo(f"\n{made}")


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
    field: Field = "",
    label_field: LabelField = "",
    labels: WithLabels = "auto",
    file_format: FileFormat = "auto",
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
    rate: Annotated[float, within(RATES, "Share of the words that noise touches.")] = 0.2,
    tokens: Annotated[str, typer.Option(help="What noise touches: word or char.")] = "word",
    limit: Annotated[int, within(MOST_LINES, "Most lines; which, the seed decides.")] = 5000,
    resamplings: Resamplings = 1000,
    seed: MetricSeed = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure sentence encoders: what noise does to their vectors, and what people call alike.

    Beside them are the words of a sentence, only counted: what no training gives.
    """
    with starting():
        from textgan.encoders.evaluate import evaluate_encoders

    result = evaluate_encoders(
        encoders,
        data=data,
        **form_of(field, label_field, labels, file_format),
        sts=sts,
        noise=noise,
        rate=rate,
        tokens=tokens,  # type: ignore[arg-type]  # checked there
        limit=limit,
        resamplings=resamplings,
        seed=seed,
        device=device,
    )
    print_result(result, as_json)


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
    seeds: Annotated[int, within(CLASSIFIERS, "Classifiers of each.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep every run there; the same command goes on where it stopped."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the classifiers there, too.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Train text classifiers with perturbations, and attack them: what does each gain, and lose?"""
    with starting():
        from textgan.classifiers.train import classify

    result = classify(
        file,
        network=network,
        perturb=perturb,
        seeds=seeds,
        out=out,
        keep=keep,
        device=device,
        **read_settings(
            overrides, "classify", "file", "network", "perturb", "seeds", "out", "device"
        ),
        **settings_of_file(field, label_field, labels, file_format),
    )
    print_result(result, as_json)
