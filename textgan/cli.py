"""The command line. torch is imported inside the commands, so that --help is immediate."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from textgan.errors import Interrupted, UserError

# click's UsageError, wherever this version of typer keeps its click
_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]

app = typer.Typer(
    name="textgan",
    help="Adversarial text generation: SeqGAN and its family, with honest measures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Known corpora.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")

Folder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        import textgan

        typer.echo(f"textgan {textgan.__version__}")
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
) -> None:
    """Train a generator and print how good it became."""
    from textgan.config import make_config
    from textgan.run import create_run
    from textgan.trainer import train_run

    config = make_config(target, overrides or [])
    flags = {"data.file": data, "data.tokens": tokens, "seed": seed, "device": device}
    given = {key: value for key, value in flags.items() if value is not None}
    if given:
        config = make_config(config.model_dump(), given)
    typer.echo(f"\n{train_run(create_run(config, out))}")


@app.command()
def resume(
    run: Folder,
    device: Annotated[
        str | None,
        typer.Option(help="Another device than the run began on."),
    ] = None,
) -> None:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped."""
    from textgan.run import open_run
    from textgan.trainer import train_run

    typer.echo(f"\n{train_run(open_run(run, device))}")


@app.command()
def sample(
    run: Folder,
    n: Annotated[
        int, typer.Option("-n", "--number", min=1, max=10**8, help="How many texts.")
    ] = 10,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="The same seed gives the same texts.")
    ] = 0,
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
) -> None:
    """Write texts with a trained generator, after their label and a tab where they have one."""
    if weights not in ("final", "mle"):
        raise UserError(f"--weights = {weights!r}: give final or mle")
    if not 1e-4 <= temperature <= 1e4:
        raise UserError(f"--temperature = {temperature}: give a number from 0.0001 to 10000")
    if out is not None and out.exists():
        raise UserError(f"--out = {str(out)!r} exists; choose a new file")
    from textgan.checkpoint import write_file
    from textgan.results import draw_lines
    from textgan.run import open_run

    opened = open_run(run)
    only = None if label is None else opened.corpus.label(label)
    generator = opened.load_generator("mle" if weights == "mle" else "final")
    lines = draw_lines(
        opened, generator, n, seed, temperature, allow_unknown=allow_unknown, label=only
    )
    content = "".join(line + "\n" for line in lines)
    if out is None:
        sys.stdout.write(content)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, content.encode())
    except OSError as error:
        raise UserError(f"--out = {str(out)!r} cannot be written: {error.strerror}") from None
    typer.echo(f"{n} texts in {out}", err=True)


@app.command()
def evaluate(
    run: Folder,
    samples: Annotated[
        int | None,
        typer.Option(min=10, max=10**8, help="Texts to draw; as in the run's config if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the texts that are drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a run's generator: likelihoods with intervals, entropy, diversity."""
    from textgan.results import evaluate_run
    from textgan.run import open_run

    opened = open_run(run)
    n = samples or opened.config.evaluation.final_samples
    results = evaluate_run(opened, samples=n, seed=seed)
    typer.echo(json.dumps(results.to_dict(), indent=2) if as_json else str(results))


@app.command("list")
def list_parts(as_json: AsJson = False) -> None:
    """List objectives, generators and discriminators with what each can be told."""
    from textgan import registry

    kinds: tuple[registry.Kind, ...] = ("objective", "generator", "discriminator")
    found = {
        kind: {name: registry.find(kind, name) for name in registry.names(kind)} for kind in kinds
    }
    if as_json:
        content = {
            kind: {
                name: {
                    "doc": (part.__doc__ or "").splitlines()[0],
                    "paper": getattr(part, "paper", ""),
                    "prefers": _prefers(part),
                    "settings": [setting._asdict() for setting in registry.settings(part)],
                }
                for name, part in parts.items()
            }
            for kind, parts in found.items()
        }
        typer.echo(json.dumps(content, indent=2))
        return
    for kind, parts in found.items():
        typer.echo(f"{kind}s")
        for name, part in parts.items():
            paper = getattr(part, "paper", "")
            typer.echo(f"  {name}: {(part.__doc__ or '').splitlines()[0]}")
            if paper:
                typer.echo(f"    paper: {paper}")
                typer.echo(f"    usual pair: {part.generator}, {part.discriminator or 'none'}")
            if part_defaults := _prefers(part):
                shown = ", ".join(f"{key}={value}" for key, value in part_defaults.items())
                typer.echo(f"    prefers: {shown}")
            for setting in registry.settings(part):
                default = json.dumps(setting.default)
                typer.echo(
                    f"    {kind}.{setting.name} = {default}   ({setting.type}) {setting.doc}"
                )
        typer.echo("")


def _prefers(part: type) -> dict[str, object]:
    """The settings of a run that a method or a generator likes better than the common ones."""
    return dict(getattr(part, "defaults", {}))


@data_app.command("list")
def list_data(as_json: AsJson = False) -> None:
    """List the corpora this version knows by their hashes, and where they come from."""
    from textgan.datasets import KNOWN

    if as_json:
        typer.echo(json.dumps([entry._asdict() for entry in KNOWN], indent=2))
        return
    for entry in KNOWN:
        typer.echo(f"{entry.name}: {entry.what}")
        typer.echo(f"    from    {entry.source}")
        typer.echo(f"    licence {entry.licence}")
        typer.echo(f"    use     {entry.use}")
        if entry.sha256:
            typer.echo(f"    sha256  {entry.sha256}")


@app.command()
def bench(
    as_json: AsJson = False,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of each part.")] = 1,
    scale: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of the work, for a quick look.")
    ] = 1.0,
) -> None:
    """Time the paper's setting beside a textbook implementation, in one run, interleaved."""
    from textgan.bench import run_bench

    report = run_bench(repeats, scale)
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else str(report))


def main() -> None:
    """Run the command line: 0 done, 2 for what the user must mend, 130 when stopped by the user."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UserError as error:
        _say(str(error))
        sys.exit(2)
    except _UsageError as error:
        if len(sys.argv) < 3 and "Usage:" in str(error.format_message()):  # type: ignore[attr-defined]
            typer.echo(error.format_message())  # type: ignore[attr-defined]
            sys.exit(2)  # no command was given; what one can do is the answer
        _say(f"{error.format_message()} (see textgan --help)")  # type: ignore[attr-defined]
        sys.exit(2)
    except Interrupted as stopped:
        _say(str(stopped))
        sys.exit(130)
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped at once; the last checkpoint stands")
        sys.exit(130)
    except BrokenPipeError:
        # whoever read the output has seen enough; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _say(message: str) -> None:
    typer.echo("textgan: " + " ".join(message.split()), err=True)
