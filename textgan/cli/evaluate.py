"""textgan evaluate, compare, curve, report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from textgan.cli.options import (
    AsJson,
    Device,
    Encoder,
    Field,
    FileFormat,
    JointTemperature,
    LabelField,
    Metrics,
    MetricSeed,
    MetricSettings,
    Mixture,
    Resamplings,
    Samples,
    Tokens,
    TrustCode,
    WithLabels,
    form_of,
    print_measured,
    read_settings,
    starting,
    within,
)
from textgan.core.checks import METRIC_SEEDS, SIZES, TEMPERATURES

Aligned = Annotated[
    list[Path] | None,
    typer.Option(help="For files: references line by line, for sacrebleu, chrF and TER."),
]
Sources = Annotated[
    Path | None,
    typer.Option(
        help="For files: the sources that they, and the references, answer or translate, line by "
        "line."
    ),
]
Decode = Annotated[
    str,
    typer.Option(
        metavar="[sample|greedy|beam]",
        help="For runs on pairs: how the sources of their test part are answered; beam: of 5.",
    ),
]
Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Runs' folders.", show_default=False)
]


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
    aligned: Aligned = None,
    source: Sources = None,
    field: Field = "",
    label_field: LabelField = "",
    labels: WithLabels = "auto",
    file_format: FileFormat = "auto",
    tokenizer: Tokens = None,
    metrics: Metrics = "all",
    encoder: Encoder = None,
    settings: MetricSettings = None,
    samples: Samples = None,
    temperature: Annotated[
        float, within(TEMPERATURES, "For a run: that its texts are drawn at.")
    ] = 1.0,
    mixture: Mixture = None,
    joint_temperature: JointTemperature = 1.0,
    decode: Decode = "sample",
    size: Annotated[
        int,
        within(SIZES, "Most texts of a number that depends on how many there are; 0: all."),
    ] = 0,
    resamplings: Resamplings = 1000,
    seed: MetricSeed = 0,
    device: Device = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate texts by every metric, with intervals and a row of real text.

    Several runs and files share one table. One run's numbers are kept in its folder and shown in
    TensorBoard, unless they were taken at another temperature than 1 or with --references.
    """
    with starting():
        from textgan.evaluation.evaluate import evaluate

    measure = partial(
        evaluate,
        *targets,
        references=references,
        train=train,
        real=real,
        aligned=aligned or (),
        source=source,
        tokenizer=tokenizer,  # type: ignore[arg-type]  # checked there
        **form_of(field, label_field, labels, file_format),
        metrics=metrics,
        encoder=encoder,
        samples=samples,
        temperature=temperature,
        mixture=mixture,
        joint_temperature=joint_temperature,
        decode=decode,  # type: ignore[arg-type]  # checked there
        size=size,
        resamplings=resamplings,
        seed=seed,
        device=device,
        trust_code=trust_code,
        keep=True,
        **read_settings(settings, "evaluate"),
    )
    print_measured(measure, as_json)


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
    aligned: Aligned = None,
    source: Sources = None,
    field: Field = "",
    label_field: LabelField = "",
    labels: WithLabels = "auto",
    file_format: FileFormat = "auto",
    metrics: Annotated[
        str | None,
        typer.Option(
            help="As of textgan evaluate; what was measured of runs before (all, where nothing "
            "was) if not given."
        ),
    ] = None,
    tokenizer: Tokens = None,
    decode: Decode = "sample",
    seed: Annotated[
        int,
        within(METRIC_SEEDS, "For files: of all that is drawn."),
    ] = 0,
    device: Device = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Test which differences are significant: of runs, of experiments over seeds, of files, of a
    run and its MLE.

    Runs' numbers are taken from their folders; what is not there yet is measured first, as textgan
    evaluate does it. Files are measured, and runs beside them, on the same references.
    """
    with starting():
        from textgan.evaluation.compare import compare

    measure = partial(
        compare,
        *targets,
        references=references,
        train=train,
        real=real,
        aligned=aligned or (),
        source=source,
        tokenizer=tokenizer,  # type: ignore[arg-type]  # checked there
        **form_of(field, label_field, labels, file_format),
        metrics=metrics,
        decode=decode,  # type: ignore[arg-type]  # checked there
        seed=seed,
        device=device,
        trust_code=trust_code,
    )
    print_measured(measure, as_json)


def curve(
    runs: Runs,
    temperatures: Annotated[
        str, typer.Option(help="The grid, separated by commas.")
    ] = "1.25,1.111,1,0.909,0.8,0.667,0.5",
    samples: Samples = None,
    metrics: Metrics = "all",
    encoder: Encoder = None,
    settings: MetricSettings = None,
    controls: Annotated[
        bool,
        typer.Option(help="Measure joint temperatures and mixtures of hot and cold texts, too."),
    ] = True,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run whose last state is compared with as well, such as MLE that went on; one "
            "for each run, or one for all."
        ),
    ] = None,
    seed: MetricSeed = 0,
    device: Device = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Draw texts at a grid of temperatures and measure all of them, MLE's beside them.

    The curves are kept in the runs' folders; the output says where one is better than the other,
    and where it lies outside of all that MLE offers without training. Of several seeds of one
    experiment this is said over the seeds as well.
    """
    with starting():
        from textgan.evaluation.temperature_sweep import curve

    measure = partial(
        curve,
        *runs,
        temperatures=temperatures,
        metrics=metrics,
        encoder=encoder,
        samples=samples,
        controls=controls,
        against=against or (),
        seed=seed,
        device=device,
        trust_code=trust_code,
        **read_settings(settings, "evaluate"),
    )
    print_measured(measure, as_json)


def report(
    runs: Runs,
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
    with starting():
        from textgan.evaluation.report.page import report

    path = report(*runs, out=out, measure=measure, trust_code=trust_code)
    typer.echo(f"report     {path}")
