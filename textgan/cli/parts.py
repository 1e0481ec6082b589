"""textgan list, data list, check."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from textgan.cli.options import AsJson, print_result, read_settings


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
    """List parts (objectives, networks, perturbations, metrics) with their settings."""
    from textgan.cli import listing

    parts_of = listing.find_parts(wanted or [])
    if as_json:
        content = {
            kind: {name: listing.facts(part) for name, part in parts.items()}
            for kind, parts in parts_of.items()
        }
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(listing.describe(parts_of))


def list_data(as_json: AsJson = False) -> None:
    """List the corpora this version knows by their hashes, and where they come from."""
    from textgan.data.datasets import KNOWN

    if as_json:
        typer.echo(json.dumps([entry._asdict() for entry in KNOWN], indent=2))
        return
    from textgan.core.tables import filled

    for entry in KNOWN:
        typer.echo(filled(f"{entry.name}: {entry.what}"))
        facts = {"from": entry.source, "licence": entry.licence, "use": entry.use}
        for key, value in facts.items():
            typer.echo(filled(f"    {key:<8}{value}", indent=12))
        if entry.sha256:
            typer.echo(f"    sha256  {entry.sha256}")


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

    report = check(part, read_settings(overrides, "check"), strict=False)
    print_result(report, as_json)
    if not report.passed:
        raise typer.Exit(1)
