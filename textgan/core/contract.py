"""Checks of what a part's functions return, and messages that name what is wrong.

`who` is a function as messages call it, such as `mine.py:Reinforce.generator_loss`. Whatever is
wrong raises UserError in one line; an error inside a part's own code keeps its traceback, with a
note about who called it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from textgan.core.errors import UserError, described
from textgan.core.names import title
from textgan.core.optim import Loss, Reduction, as_loss
from textgan.core.registry import refuse_call
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream

RESERVED = ("loss", "gradient_norm")  # logged of every update, see `optim.update`
CPU = torch.device("cpu")


@contextmanager
def undisturbed(seed: int = 0) -> Iterator[None]:
    """Random numbers from a seed inside; outside, no stream of torch, numpy or Python moved."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with fork_rng(stream(Purpose.DRY_RUN, seed), CPU):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextmanager
def contained(who: str) -> Iterator[None]:
    """A part's own code runs inside. UserError where it would end the process, which nobody would
    hear of, or changes the working directory, so that a run's files land elsewhere."""
    before = _here()
    try:
        yield
    except SystemExit:
        raise UserError(f"{who} called sys.exit(); raise an error instead") from None
    except GeneratorExit:
        raise UserError(f"{who} raised GeneratorExit; raise an error instead") from None
    finally:
        after = _here()
        if before and after != before:
            os.chdir(before)
    if before and after != before:
        raise UserError(
            f"{who} changed the working directory to {after!r}; open files by their full path "
            "instead"
        )


def _here() -> str:
    with suppress(OSError):  # it may be deleted
        return str(Path.cwd())
    return ""


@contextmanager
def calling(who: str, when: str) -> Iterator[None]:
    """A part's own code runs inside: what it raises is noted to be that, and when it happened."""
    try:
        with contained(who):
            yield
    except UserError as error:
        if str(error).startswith(who):
            raise
        raise UserError(f"{who}: {error}") from None
    except Exception as error:
        note(error, who, when)
        raise


def note(error: Exception, who: str, when: str) -> None:
    """Say of an error in a part's own code who called it, and that nothing is lost."""
    error.add_note(f"textgan called {who} {when}; nothing was trained or written yet")


@contextmanager
def making(what: str) -> Iterator[None]:
    """A part's constructor runs inside: other errors than the user's are noted to be its own."""
    try:
        with contained(f"the constructor of {what}"):
            yield
    except UserError:
        raise
    except Exception as error:
        note(error, f"the constructor of {what}", "before training")
        raise


def called(part: object, method: str, *given: Any, when: str, **named: Any) -> Any:
    """Call a part's method with these arguments and return what it returns.

    Raises UserError where its signature does not take them.
    """
    who = name_of(part, method)
    function = getattr(part, method)
    refuse_call(function, who, *given, **named)
    with calling(who, when):
        return function(*given, **named)


def name_of(part: object, method: str) -> str:
    """Return the name of a part's method in messages."""
    return f"{title(type(part))}.{method}"


def is_own(part: object) -> bool:
    """Return whether there is a part and it is not one of textgan's."""
    return part is not None and type(part).__module__.partition(".")[0] != "textgan"


def checked_loss(returned: object, who: str, network: nn.Module, what: str) -> Loss:
    """Return a loss that is a finite number and whose gradient reaches a network; `what` names the
    network in messages."""
    value, metrics = as_loss(returned, who)
    refuse_reserved(metrics, who)
    if not bool(value.isfinite()):
        raise UserError(f"{who} returned a loss of {float(value.detach()):g}; expected a number")
    if not any(slope is not None for slope in slopes(value, network)):
        raise UserError(
            f"{who} returned a loss whose gradient does not reach the {what}: it was computed from "
            f"detached tensors, or not from the {what}"
        )
    return value, metrics


def refuse_reserved(metrics: Iterable[str], who: str) -> None:
    """Raise UserError for a metric that has the name of one of training's own."""
    for name in metrics:
        if name in RESERVED:
            raise UserError(
                f"{who} returned a metric called {name!r}, which training itself logs; choose "
                "another name"
            )


def slopes(value: Tensor, network: nn.Module) -> list[Tensor | None]:
    """Compute the gradient of a value in every trained weight; None where it does not depend on
    it."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not weights:
        return []
    return list(torch.autograd.grad(value, weights, allow_unused=True, retain_graph=True))


def checked_tensor(returned: object, who: str, shape: tuple[int, ...], what: str) -> Tensor:
    """Return a tensor that is of floating point, of this shape and finite; `what` describes it in
    messages."""
    expected = f"expected {what}, a tensor of shape {shape}"
    if not isinstance(returned, Tensor):
        raise UserError(f"{who} returned {described(returned)}; {expected}")
    if tuple(returned.shape) != shape or not returned.is_floating_point():
        raise UserError(
            f"{who} returned {described(returned)} and type {returned.dtype}; {expected}"
        )
    if bool(returned.isnan().any()):
        raise UserError(f"{who} returned what is not a number; {expected}")
    return returned


def checked_state(state: object, who: str) -> None:
    """Raise UserError unless a checkpoint can keep a part's state."""
    if not isinstance(state, Mapping):
        raise UserError(f"{who} is {described(state)}; expected a mapping of names to tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{who}[{name!r}] is {described(value)}; expected a tensor, which a checkpoint "
                "can keep"
            )


def checked_reduction(reduction: object, who: str) -> None:
    """Raise UserError unless it is one of the known words."""
    known = get_args(Reduction)
    if reduction not in known:
        raise UserError(f"{who} = {reduction!r} is unknown; give {', '.join(known)}")


FEW = 3  # texts of a dry run


BEFORE = "in a dry run of {}, before training"
