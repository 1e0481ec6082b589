"""The command line: its commands, and one line for every error.

torch is imported inside the commands, so that --help is immediate.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
import typer.core

from textgan.cli.bench import bench
from textgan.cli.encoders import classify, encode, similarity
from textgan.cli.evaluate import compare, curve, evaluate, report
from textgan.cli.parts import check, list_data, list_parts
from textgan.cli.train import resume, sample, train
from textgan.core.distributed import first
from textgan.core.errors import Interrupted, ReportedElsewhere, UserError, command_line
from textgan.core.files import system_errors
from textgan.core.terminal import ReaderLeft, standard_streams, stop_signals, visible

# click's UsageError, wherever this version of typer keeps its click
_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]


class _Commands(typer.core.TyperGroup):
    """The commands; an option that takes one value is refused where it is given twice, for the
    first value would be dropped without a word."""

    def invoke(self, ctx: Any) -> Any:
        with command_line():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not hasattr(command, "commands"):
            inner = type(ctx)(command, info_name=name, parent=ctx)
            with inner:
                _refuse_lost_values(command.get_params(inner), rest)
                *_, order = command.make_parser(inner).parse_args(args=list(rest))
            for option in order:
                one = not (option.multiple or getattr(option, "is_flag", False))
                if one and option.param_type_name == "option" and order.count(option) > 1:
                    raise UserError(
                        f"{option.opts[0]} is given {order.count(option)} times, and takes one "
                        "value; give it once"
                    )
        return name, command, rest


def _refuse_lost_values(params: Sequence[Any], args: Sequence[str]) -> None:
    """UserError for an option whose value is lacking, so that the option after it would be read as
    its value."""
    options = [one for one in params if one.param_type_name == "option"]
    names = {name for one in options for name in (*one.opts, *one.secondary_opts)}
    flags = {name for one in options if one.is_flag for name in (*one.opts, *one.secondary_opts)}
    words = iter(args)
    for word in words:
        if word == "--":
            return
        if word in names - flags and (value := next(words, "")) in names:
            raise UserError(f"{word} has no value; give one before {value}")


app = typer.Typer(
    cls=_Commands,
    name="textgan",
    help="Adversarial text generation: SeqGAN and its family, with honest measures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {  # in the order of --help
    "train": train,
    "resume": resume,
    "sample": sample,
    "evaluate": evaluate,
    "compare": compare,
    "curve": curve,
    "report": report,
    "list": list_parts,
    "classify": classify,
    "similarity": similarity,
    "encode": encode,
    "check": check,
    "bench": bench,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
data_app = typer.Typer(help="Known corpora.", no_args_is_help=True, rich_markup_mode=None)
data_app.command("list")(list_data)
app.add_typer(data_app, name="data")


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
    """Run a command and return its exit code."""
    try:
        with system_errors():
            code = app(standalone_mode=False) or 0
            sys.stdout.flush()
        if code == 130:  # typer's way to say that Ctrl-C came
            raise KeyboardInterrupt
        return int(code)
    except ReportedElsewhere:
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
