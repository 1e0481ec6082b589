"""Where an embedding can be shifted, and the shifts themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.data.text import START

Start = Callable[[Tensor, Tensor], Tensor]  # zeros like the shift, which entries count: a shift


Shifts = Sequence[Tensor] | Start | None  # those of a pass; None: zeros


OTHER_TEXTS = "the loss read other texts when it was called again; draw them before"


class ShiftTarget(ABC):
    """Where vectors are shifted, and what a ball is there.

    All functions are of one shift or slope of the list; entries that do not count are zero.
    """

    def __init__(self, module: nn.Embedding) -> None:
        self.module = module

    @contextmanager
    @abstractmethod
    def shifted(self, shifts: Shifts) -> Iterator[Shift]:
        """Inside, what the embedding reads out with gradients is shifted."""

    @abstractmethod
    def over(self, value: Tensor) -> tuple[int, ...]:
        """The dimensions over which a norm is taken."""

    @abstractmethod
    def added(self, shifts: Sequence[Tensor], number: int, symbols: Tensor) -> Tensor:
        """What shifts add to the vectors of the symbols, which were read as the number-th."""

    def norm(self, value: Tensor) -> Tensor:
        """The Euclidean norm of each ball's vector, with kept dimensions."""
        norm: Tensor = torch.linalg.vector_norm(value, dim=self.over(value), keepdim=True)
        return norm

    def largest(self, value: Tensor) -> Tensor:
        """The largest absolute entry of each ball's vector, with kept dimensions."""
        return value.abs().amax(self.over(value), keepdim=True)

    def finite(self, slope: Tensor) -> Tensor:
        """The slope, zero in every ball where it is not all numbers: there is nothing to climb."""
        good = slope.isfinite().all(dim=self.over(slope), keepdim=True)
        return torch.where(good, slope, torch.zeros_like(slope))

    def direction(self, slope: Tensor) -> Tensor:
        """slope / |slope|, zero where the slope is zero or no number."""
        slope = self.finite(slope)
        # by its largest entry first, so that squares neither overflow nor vanish
        scaled = slope / self.largest(slope).clamp(min=torch.finfo(slope.dtype).tiny)
        return scaled / self.norm(scaled).clamp(min=torch.finfo(slope.dtype).tiny)

    def project(self, shift: Tensor, epsilon: float | Tensor) -> Tensor:
        """The nearest shift within the ball of that radius."""
        norm = self.norm(shift)
        # those inside stay as they are, to the bit
        return torch.where(norm > epsilon, shift * (epsilon / norm), shift)

    def climb(self, shift: Tensor, slope: Tensor, alpha: float, epsilon: float) -> Tensor:
        """A step of length alpha along the slope, then back into the ball of radius epsilon."""
        return self.project(shift + alpha * self.direction(slope), epsilon)


class Shift:
    """One pass with shifts: the leaves that gradients are taken of.

    shifts: complete once the loss was computed. counts: which of their entries count, alike.
    """

    def __init__(self, place: ShiftTarget) -> None:
        self.place = place
        self.shifts: list[Tensor] = []
        self.counts: list[Tensor] = []
        self.leaves: list[Tensor] = []

    def slopes(
        self, value: Tensor, gradient: Tensor | None = None, *, keep: bool = False
    ) -> list[Tensor]:
        """The gradient of a value in the shifts; the network's weights get none.

        keep: for another gradient of what it was computed from.
        """
        if not value.requires_grad:
            return [torch.zeros_like(shift) for shift in self.shifts]
        found = torch.autograd.grad(
            value, self.leaves, gradient, retain_graph=keep, allow_unused=True
        )
        return self.counting(found)

    def accumulate(self, value: Tensor, gradient: Tensor | None = None) -> list[Tensor]:
        """The same, and the gradient in the weights is added to what they have."""
        kept = [leaf.grad for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.grad = None
        try:
            value.backward(gradient)
            found = [leaf.grad for leaf in self.leaves]
        finally:
            for leaf, before in zip(self.leaves, kept, strict=True):
                if before is not None:
                    leaf.grad = before if leaf.grad is None else before + leaf.grad
        return self.counting(found)

    def counting(self, found: Sequence[Tensor | None]) -> list[Tensor]:
        """Gradients in the shifts, zero at entries that do not count."""
        parts = zip(found, self.shifts, self.counts, strict=True)
        return [
            torch.zeros_like(shift) if slope is None else torch.where(count, slope.to(shift), 0.0)
            for slope, shift, count in parts
        ]


class EmbeddingOutput(ShiftTarget):
    """What the embedding reads out: a ball for each sentence of each reading.

    Only readings with gradients count: what a loss looks at without them is a constant of it.
    """

    def __init__(self, module: nn.Embedding, words: Callable[[Tensor], Tensor]) -> None:
        super().__init__(module)
        self.words = words

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Shift]:
        here = Shift(self)

        def add(
            module: nn.Module, read: tuple[Tensor, ...], named: dict[str, Tensor], vectors: Tensor
        ) -> Tensor:
            if not torch.is_grad_enabled():
                return vectors
            symbols = read[0] if read else next(iter(named.values()))
            count = self.words(symbols).unsqueeze(-1).expand_as(vectors)
            # half precision is for the network; shifts are a difference of small numbers
            kind = torch.promote_types(vectors.dtype, torch.float32)
            shift = torch.zeros(vectors.shape, dtype=kind, device=vectors.device)
            if callable(shifts):
                shift = torch.where(count, shifts(shift, count), 0.0)
            elif shifts is not None:
                number = len(here.shifts)
                if number >= len(shifts) or shifts[number].shape != shift.shape:
                    raise RuntimeError(OTHER_TEXTS)
                shift = shifts[number]
            leaf = shift.detach().requires_grad_()
            here.shifts.append(shift.detach())
            here.counts.append(count)
            here.leaves.append(leaf)
            return vectors + leaf.to(vectors.dtype)

        handle = self.module.register_forward_hook(add, with_kwargs=True)
        try:
            yield here
        finally:
            handle.remove()
        if not here.shifts:
            raise UserError(
                "perturb: the loss does not read the embedding, so there is nothing to shift; call "
                "the network with token ids, or name another embedding"
            )
        if isinstance(shifts, Sequence) and len(here.shifts) < len(shifts):
            raise RuntimeError(OTHER_TEXTS)

    def over(self, value: Tensor) -> tuple[int, ...]:
        return tuple(range(1, value.dim()))

    def added(self, shifts: Sequence[Tensor], number: int, symbols: Tensor) -> Tensor:
        return shifts[number]


class EmbeddingWeight(ShiftTarget):
    """The table itself, so also whatever else is tied to it: one ball for all of it.

    Its storage is exchanged while a pass lasts, never written to, so it comes back to the bit.
    """

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Shift]:
        here, weight = Shift(self), self.module.weight
        own, trained = weight.data, weight.requires_grad
        shift = torch.zeros_like(own)
        count = torch.ones_like(own, dtype=torch.bool)
        if self.module.padding_idx is not None:
            count[self.module.padding_idx] = False
        if callable(shifts):
            shift = torch.where(count, shifts(shift, count), 0.0)
        elif shifts is not None:
            (shift,) = shifts
        here.shifts, here.counts, here.leaves = [shift], [count], [weight]
        kept = weight.grad
        try:
            weight.requires_grad_()
            if shifts is not None:
                weight.data = own + shift.to(own)
                torch.clear_autocast_cache()  # it would give the table as it was
            yield here
        finally:
            weight.data = own
            if shifts is not None:
                torch.clear_autocast_cache()
            if not trained:
                weight.grad = kept
                weight.requires_grad_(False)

    def over(self, value: Tensor) -> tuple[int, ...]:
        return tuple(range(value.dim()))

    def added(self, shifts: Sequence[Tensor], number: int, symbols: Tensor) -> Tensor:
        # a reading is linear in the table
        added: Tensor = torch.func.functional_call(self.module, {"weight": shifts[0]}, (symbols,))
        return added


def find_embedding(network: nn.Module, name: str = "") -> nn.Embedding:
    """The embedding whose name is `name`, or contains it; else that which words go through.

    That is `network.embedding`, or what get_input_embeddings() of a Hugging Face model gives, or
    the only one there is. Raises UserError, which lists the names, where none or several would do.
    """
    known = {at: part for at, part in network.named_modules() if isinstance(part, nn.Embedding)}
    if not name:
        own = getattr(network, "embedding", None)
        ask = getattr(network, "get_input_embeddings", None)
        if own is None and callable(ask):
            own = ask()
        if isinstance(own, nn.Embedding):
            return own
    if name in known:
        return known[name]
    found = {at: part for at, part in known.items() if name in at}
    if len(found) == 1:
        return next(iter(found.values()))
    which = f"called {name!r}" if name else "that words go through"
    why = "there is no embedding" if not found else "there are several embeddings"
    names = ", ".join(found or known) or "none"
    raise UserError(
        f"perturb: {why} {which} in {type(network).__name__}; give embedding as one of: {names}"
    )


def words_of(network: nn.Module, module: nn.Embedding) -> Callable[[Tensor], Tensor]:
    """Which of the symbols (B, T), or rows (B, T, V), that an embedding reads are not padding."""
    space = getattr(network, "space", None)
    padding = module.padding_idx if space is None else None if space.eos is None else START

    def words(symbols: Tensor) -> Tensor:
        if symbols.is_floating_point():
            symbols = symbols.argmax(-1)
        if padding is None:
            return torch.ones_like(symbols, dtype=torch.bool)
        found = symbols != padding
        if space is not None and found.dim() > 1:
            found[:, 0] = True  # what a generator reads first has the number of padding
        return found

    return words
