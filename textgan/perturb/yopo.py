"""Few full passes, and between them ascents through the first layer alone.

Each of `passes` full passes leaves p, the loss's gradient in what the first layer f_0 gives out;
then `steps` times, with p as it is: delta <- project(delta + alpha * g / |g|, epsilon), g the
gradient of <p, f_0(vectors + delta)> in delta. The network learns from the mean of the losses of
the full passes, as with FreeLB, which this is where steps = 1. `passes` forward and backward
passes of the network (counted: 3 with the defaults), and (passes - 1) (steps - 1) of the layer: the
first of the steps has its gradient from the full pass.

layer: the module that reads the shifted vectors, or their sum with what does not depend on them
(a LayerNorm of word, position and segment vectors), once each time the embedding is read. Without,
f_0 is the embedding itself: p is the gradient in delta, the same in all steps, and they are one of
length steps * alpha (but for the projection).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, NoReturn

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.core.names import suggest
from textgan.core.optim import Loss, computed
from textgan.core.seeds import random_state, set_random_state
from textgan.perturb.averaged import Averaged
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import ShiftedPass, Shifts

SHOWN = 30  # names in an error


@dataclass(kw_only=True)
class YOPO(Averaged, name="yopo"):
    """You only propagate once: most ascents go through the first layer only.

    Raises UserError where there is no such layer, or it does not read the shifted vectors.
    """

    paper: ClassVar[str] = "Zhang et al. 2019, arXiv 1905.00877"

    steps: Annotated[int, Field(ge=1, description="ascents after each full pass")] = 3
    layer: Annotated[
        str, Field(description="the module that reads the shifted vectors; none: the embedding")
    ] = ""

    def check(self, network: nn.Module) -> None:
        super().check(network)
        find_layer(network, self.layer)  # "" is the network itself

    def visit(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        scale: float | Tensor,
        passes: Passes,
        at: Shifts,
    ) -> tuple[Loss, Callable[[], list[Tensor]]]:
        """Do one full pass; the next shifts come from its p and the first layer alone."""
        first = FirstLayer(network, self.layer, passes) if self.layer else None
        with passes.at(at) as current, first.watched() if first else nullcontext():
            value, metrics = computed(loss)
            gradients = current.accumulate(value * scale / self.passes)

        def following() -> list[Tensor]:
            shifts, ascents = current.shifts, gradients
            for step in range(self.steps):
                if step and first is not None:
                    ascents = first.gradients(current, shifts)
                parts = zip(shifts, ascents, strict=True)
                shifts = [self.ascend(passes.target, shift, gradient) for shift, gradient in parts]
            return shifts

        return (value.detach(), metrics), following


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Find the module of that name. Raises UserError, which lists the names, where there is
    none."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if name in modules:
        return modules[name]
    names = [known for known in modules if known]
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise UserError(
        f"yopo: layer = {name!r}: {type(network).__name__} has no such module"
        f"{suggest(name, names)}; known: {shown}"
    )


class Call(NamedTuple):
    """One call of the layer: what it read, p once gradients were taken, the state of dropout."""

    read: Tensor
    result: Tensor  # zeros that were added to what it gave out, whose gradient is p
    random: list[Tensor]


class FirstLayer:
    """A module that reads the shifted vectors, as one pass called it."""

    def __init__(self, network: nn.Module, name: str, passes: Passes) -> None:
        self.module, self.name = find_layer(network, name), name
        self.target, self.device = passes.target, passes.device
        self.symbols: list[Tensor] = []  # of each reading of the embedding
        self.shapes: list[torch.Size] = []
        self.calls: list[Call] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, what the embedding and the layer read with gradients is recorded."""
        random: list[Tensor] = []

        def reading(
            module: nn.Module, read: tuple[Any, ...], named: dict[str, Any], vectors: Tensor
        ) -> None:
            if torch.is_grad_enabled():
                self.symbols.append(read[0] if read else next(iter(named.values())))
                self.shapes.append(vectors.shape)

        def before(module: nn.Module, read: tuple[Any, ...]) -> None:
            random[:] = random_state(self.device)

        def after(module: nn.Module, read: tuple[Any, ...], result: Any) -> Tensor | None:
            if not torch.is_grad_enabled():
                return None
            number = len(self.calls)
            vectors = read[0] if read else None
            if not (
                isinstance(vectors, Tensor)
                and isinstance(result, Tensor)
                and number < len(self.shapes)
                and vectors.shape == self.shapes[number]
            ):
                self._refuse()
            probe = torch.zeros_like(result).requires_grad_()
            self.calls.append(Call(vectors.detach(), probe, list(random)))
            return result + probe

        handles = [
            self.target.module.register_forward_hook(reading, with_kwargs=True),
            self.module.register_forward_pre_hook(before),
            self.module.register_forward_hook(after),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if len(self.calls) < len(self.shapes):
            self._refuse()

    def gradients(self, current: ShiftedPass, shifts: Sequence[Tensor]) -> list[Tensor]:
        """Compute the gradient of <p, layer(what it read, but with these shifts)> in the shifts."""
        leaves = [shift.detach().requires_grad_() for shift in shifts]
        moved = [leaf - before for leaf, before in zip(leaves, current.shifts, strict=True)]
        results: list[Tensor] = []
        now = random_state(self.device)
        for number, (call, symbols) in enumerate(zip(self.calls, self.symbols, strict=True)):
            added = self.target.added(moved, number, symbols)
            set_random_state(call.random, self.device)
            results.append(self.module(call.read + added.to(call.read.dtype)))
        set_random_state(now, self.device)
        p = [
            torch.zeros_like(call.result) if call.result.grad is None else call.result.grad
            for call in self.calls
        ]
        return current.masked(torch.autograd.grad(results, leaves, p, allow_unused=True))

    def _refuse(self) -> NoReturn:
        raise UserError(
            f"yopo: layer = {self.name!r}: {type(self.module).__name__} does not read the vectors "
            "of the embedding, once for each time it reads; name a module that does, or leave "
            "layer out"
        )
