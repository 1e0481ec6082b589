"""The texts of a run's generator, as the command draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from textgan.core.arguments import checked_arguments
from textgan.core.checks import SEEDS, TEMPERATURES, TEXTS
from textgan.core.device import Device
from textgan.core.errors import UserError, option
from textgan.core.files import exists, make_folder, system_errors, write_file
from textgan.core.progress import say
from textgan.core.streams import Purpose, stream
from textgan.data.checks import unknown_share
from textgan.data.token_fit import MANY_UNKNOWN
from textgan.models.draw import draw_like
from textgan.models.generators.base import Generator
from textgan.training.run import Run, Weights, open_run


@system_errors()
@checked_arguments
def sample(
    run: Annotated[Run | str | Path, "a run's folder"],
    n: Annotated[int, TEXTS] = 10,
    *,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    seed: Annotated[int, SEEDS] = 0,
    out: Annotated[str | Path | None, "a new file"] = None,
    weights: Weights = "final",
    allow_unknown: bool = False,
    label: Annotated[str | None, "one of the run's labels"] = None,
    device: Device | None = None,
    quiet: bool = False,
    trust_code: bool = False,
) -> list[str]:
    """Draw texts of a run's generator, as `textgan sample` writes them.

    out: a new file to write them to, too, one a line. weights: "final", or "mle" for the best MLE
    epoch. allow_unknown: let <unk> be written where it is drawn. label: only texts of it. quiet: do
    not warn of a run that is not finished or that was trained on unknown words. trust_code: run the
    code in files of its maker's own that a run's folder keeps. Raises UserError.

    Example:
        >>> textgan.sample("runs/mine", 200, temperature=0.8)
    """
    path = None if out is None else Path(out)
    if path is not None and exists(path):
        raise UserError(f"out = {str(path)!r} exists; choose a new file")
    opened = run if isinstance(run, Run) else open_run(run, device, trust_code=trust_code)
    only = None if label is None else opened.corpus.label(label)
    generator = opened.load_generator(weights)
    lines = draw_lines(
        opened, generator, n, seed, temperature, allow_unknown=allow_unknown, label=only
    )
    share = 0.0 if allow_unknown else unknown_share(opened.corpus)
    if share >= MANY_UNKNOWN and not quiet:
        say(
            f"warning: {share:.0%} of the words that it learnt from are <unk>, which is not "
            "written, so these texts are shorter and poorer than what it draws "
            f"({option('allow_unknown')})"
        )
    stopped = opened.stopped_at() if weights == "final" else None
    if stopped and not quiet:
        say(
            f"{opened.folder} is not finished: it stopped {stopped}. Go on with: textgan resume "
            f"{opened.folder}"
        )
    if path is not None:
        make_folder(path.parent, f"out = {str(out)!r}")
        write_file(path, "".join(line + "\n" for line in lines).encode())
    return lines


def draw_lines(
    run: Run,
    generator: Generator,
    n: int,
    seed: int,
    temperature: float,
    *,
    allow_unknown: bool = False,
    label: int | None = None,
) -> list[str]:
    """Draw n texts as lines. The unknown word is not written unless it is allowed.

    label: the only one to write; None: all, as often as they occur in the training text.
    """
    unknown = None if allow_unknown else run.corpus.space.unknown
    with run.products():
        text = draw_like(
            generator,
            run.corpus.conditions,
            n,
            seed=stream(Purpose.SAMPLE, seed, run.seed),
            temperature=temperature,
            forbid=unknown,
            label=label,
        )
    return run.corpus.decode(text)
