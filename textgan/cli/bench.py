"""textgan bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from textgan.cli.options import AsJson, starting, within
from textgan.core.checks import REPEATS, SCALES


def bench(
    as_json: AsJson = False,
    repeats: Annotated[int, within(REPEATS, "Measurements of each part.")] = 1,
    scale: Annotated[float, within(SCALES, "Share of the work, for a quick look.")] = 1.0,
    parts: Annotated[
        str | None,
        typer.Option(help="Only these, separated by commas, such as sampling,rollouts."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of our side: float32, tf32 or bf16; the textbook's is float32.")
    ] = "float32",
    matmul: Annotated[
        str,
        typer.Option(help="Library of our float32 products on a processor: auto, blas, onednn."),
    ] = "auto",
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling",
            help="Also how time and memory grow with length, vocabulary, rollouts, sources.",
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
            metavar="FILE",
            help="A report kept with --json, or a folder of them (its newest of this processor and "
            "work): what became worse? Exit code 1: much.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(help="Share by which a ratio may fall or a count grow, with --against."),
    ] = 0.25,
) -> None:
    """Time the paper's setting beside a textbook implementation, in one run, interleaved."""
    with starting():
        from textgan.bench.against import check_tolerance, compare, find_baseline
        from textgan.bench.setting import PAPER_AXES
        from textgan.bench.timing import run_bench

    check_tolerance(tolerance)
    work: dict[str, Any] = {"precision": precision, "parts": parts, "timed": not counts}
    before = None if against is None else find_baseline(against, scale, **work)
    report = run_bench(
        repeats,
        scale,
        **work,
        matmul=matmul,  # type: ignore[arg-type]  # checked there
        axes=PAPER_AXES if scaling else None,
        profile=profile,
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
