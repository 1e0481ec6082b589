"""textgan train, resume, sample."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from textgan.cli.options import (
    Device,
    Field,
    FileFormat,
    Folder,
    JointTemperature,
    LabelField,
    Mixture,
    TrustCode,
    WithLabels,
    number,
    settings_of_file,
    starting,
    within,
)
from textgan.core.checks import (
    BEAMS,
    CANDIDATES,
    DIVERSITIES,
    LENGTH_PENALTIES,
    SEEDS,
    TEMPERATURES,
    TEXTS,
)
from textgan.core.distributed import first


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
    source: Annotated[
        str | None,
        typer.Option(help="What each line of --data answers or translates: as many lines."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="In place of both, one file: source, tab, target in every line."),
    ] = None,
    field: Field = None,
    label_field: LabelField = None,
    source_field: Annotated[
        str | None, typer.Option(help="Of such files: the field that holds the sources, if any.")
    ] = None,
    labels: WithLabels = None,
    file_format: FileFormat = None,
    tokens: Annotated[
        str | None,
        typer.Option(help="What a token is: word, char or bpe (subwords)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; runs/<objective>-<data>-<number> if not given."),
    ] = None,
    seed: Annotated[int | None, number(kind=int, help="Seed of everything random.")] = None,
    device: Device = None,
    with_report: Annotated[
        bool,
        typer.Option(
            "--report", help="Then evaluate it and write a page about it: textgan report."
        ),
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Train a generator and print how good it became."""
    with starting():
        from textgan.training.trainer import train

    settings: dict[str, Any] = {"data.tokens": tokens, "seed": seed, "device": device}
    settings["data.source_field"] = source_field
    settings |= settings_of_file(field, label_field, labels, file_format)
    results = train(
        target,
        *(overrides or []),
        data=data,
        source=source,
        pairs=pairs,
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


def resume(
    run: Folder,
    device: Annotated[
        str | None,
        typer.Option(help="Another device than the run began on."),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped."""
    with starting():
        from textgan.training.trainer import resume

    results = resume(run, device=device, trust_code=trust_code)
    if first():
        typer.echo(f"\n{results}")


def sample(
    run: Folder,
    n: Annotated[
        int | None,
        within(
            TEXTS, "How many texts, 10 if not given; with --source of each, 1.", "-n", "--number"
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="A file, a pipe or - of what is to be answered or translated, one a line."
        ),
    ] = None,
    beam: Annotated[int, within(BEAMS, "Hypotheses of a beam search; 0: texts are drawn.")] = 0,
    greedy: Annotated[bool, typer.Option("--greedy", help="The same as --beam 1.")] = False,
    length_penalty: Annotated[
        float,
        within(LENGTH_PENALTIES, "A beam ranks by log P / length^this; above 1 longer texts."),
    ] = 1.0,
    diversity: Annotated[
        float, within(DIVERSITIES, "What each further child of one hypothesis loses in the beam.")
    ] = 0.0,
    rerank: Annotated[
        Path | None,
        typer.Option(help="A run that was trained on swapped pairs, to rerank the beam by (MMI)."),
    ] = None,
    n_best: Annotated[
        bool,
        typer.Option(
            "--n-best", help="All texts of the beam: number of the source, tab, score, tab, text."
        ),
    ] = False,
    temperature: Annotated[float, within(TEMPERATURES, "Below 1 safer, above 1 wilder.")] = 1.0,
    mixture: Mixture = None,
    joint_temperature: JointTemperature = 1.0,
    resample: Annotated[
        int,
        within(CANDIDATES, "Pick each text among so many, by the discriminator's logit; 0: none."),
    ] = 0,
    seed: Annotated[int, within(SEEDS, "The same seed gives the same texts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="A new file, one text a line; standard output if not given."),
    ] = None,
    weights: Annotated[str, typer.Option(help="final, or mle for the best MLE epoch.")] = "final",
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Let <unk> be written.")
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(help="Only texts of this label; all labels if not given."),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Write texts with a trained generator, after their label and a tab where they have one.

    With --source FILE: one line for each of its lines, in order. A run of pairs without it answers
    sources of its test part: source, tab, answer, tab, reference.
    """
    with starting():
        from textgan.training.sample import sample

    lines = sample(
        run,
        n,
        source=source,
        beam=beam,
        greedy=greedy,
        length_penalty=length_penalty,
        diversity=diversity,
        rerank=rerank,
        n_best=n_best,
        temperature=temperature,
        mixture=mixture,
        joint_temperature=joint_temperature,
        resample=resample,
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
        typer.echo(f"{len(lines)} texts in {out}", err=True)
