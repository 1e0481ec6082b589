"""The places where an embedding can be shifted, and passes with shifts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.core.moved import FormerName

Start = Callable[[Tensor, Tensor], Tensor]  # of zeros like the shift and its mask, the shift
Shifts = Sequence[Tensor] | Start | None  # those of a pass; None: zeros

OTHER_TEXTS = "the loss read other texts when it was called again; draw them before"


class ShiftTarget(ABC):
    """The vectors that are shifted, and the ball of a shift.

    All functions take one shift or gradient of the list; masked entries of it are zero.
    """

    climb = FormerName("ascend")

    def __init__(self, module: nn.Embedding) -> None:
        self.module = module

    @contextmanager
    @abstractmethod
    def shifted(self, shifts: Shifts) -> Iterator[ShiftedPass]:
        """Inside, what the embedding reads out with gradients is shifted."""

    @abstractmethod
    def over(self, value: Tensor) -> tuple[int, ...]:
        """Return the dimensions over which a norm is taken."""

    @abstractmethod
    def added(self, shifts: Sequence[Tensor], number: int, symbols: Tensor) -> Tensor:
        """Compute what shifts add to the vectors of the symbols, in the reading of this number."""

    def norm(self, value: Tensor) -> Tensor:
        """Compute the Euclidean norm of each ball's vector, with kept dimensions."""
        norm: Tensor = torch.linalg.vector_norm(value, dim=self.over(value), keepdim=True)
        return norm

    def largest(self, value: Tensor) -> Tensor:
        """Find the largest absolute entry of each ball's vector, with kept dimensions."""
        return value.abs().amax(self.over(value), keepdim=True)

    def finite(self, gradient: Tensor) -> Tensor:
        """Return the gradient, but zero in every ball where some of it is not finite."""
        good = gradient.isfinite().all(dim=self.over(gradient), keepdim=True)
        return torch.where(good, gradient, torch.zeros_like(gradient))

    def direction(self, gradient: Tensor) -> Tensor:
        """gradient / |gradient|, zero where the gradient is zero or not finite."""
        gradient = self.finite(gradient)
        # by its largest entry first, so that squares neither overflow nor vanish
        scaled = gradient / self.largest(gradient).clamp(min=torch.finfo(gradient.dtype).tiny)
        return scaled / self.norm(scaled).clamp(min=torch.finfo(gradient.dtype).tiny)

    def project(self, shift: Tensor, epsilon: float | Tensor) -> Tensor:
        """Return the nearest shift within the ball of that radius."""
        norm = self.norm(shift)
        # those inside stay as they are, to the bit
        return torch.where(norm > epsilon, shift * (epsilon / norm), shift)

    def ascend(self, shift: Tensor, gradient: Tensor, alpha: float, epsilon: float) -> Tensor:
        """Return the shift after a step of length alpha along the gradient, and back in the ball of
        radius epsilon."""
        return self.project(shift + alpha * self.direction(gradient), epsilon)


class ShiftedPass:
    """One pass with shifts, and the gradients in them.

    shifts: complete once the loss was computed. masks: which of their entries may move. leaves: the
    tensors of the graph that gradients are taken of.
    """

    place = FormerName("target")
    counts = FormerName("masks")
    counting = FormerName("masked")

    def __init__(self, target: ShiftTarget) -> None:
        self.target = target
        self.shifts: list[Tensor] = []
        self.masks: list[Tensor] = []
        self.leaves: list[Tensor] = []

    def gradients(
        self, value: Tensor, grad_output: Tensor | None = None, *, retain_graph: bool = False
    ) -> list[Tensor]:
        """Compute the gradients of a value in the shifts; the network's weights get none."""
        if not value.requires_grad:
            return [torch.zeros_like(shift) for shift in self.shifts]
        gradients = torch.autograd.grad(
            value, self.leaves, grad_output, retain_graph=retain_graph, allow_unused=True
        )
        return self.masked(gradients)

    def slopes(self, value: Tensor, gradient: Tensor | None = None, *, keep: bool = False) -> Any:
        """`gradients`, as version 0.1 called it."""
        return self.gradients(value, gradient, retain_graph=keep)

    def accumulate(self, value: Tensor, grad_output: Tensor | None = None) -> list[Tensor]:
        """Compute the gradients of a value in the shifts, and add those in the weights to what they
        have."""
        kept = [leaf.grad for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.grad = None
        try:
            value.backward(grad_output)
            gradients = [leaf.grad for leaf in self.leaves]
        finally:
            for leaf, before in zip(self.leaves, kept, strict=True):
                if before is not None:
                    leaf.grad = before if leaf.grad is None else before + leaf.grad
        return self.masked(gradients)

    def masked(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Return gradients in the shifts, zero where the mask is; None is zero."""
        parts = zip(gradients, self.shifts, self.masks, strict=True)
        return [
            torch.zeros_like(shift)
            if gradient is None
            else torch.where(mask, gradient.to(shift), 0.0)
            for gradient, shift, mask in parts
        ]


class EmbeddingOutput(ShiftTarget):
    """The output of the embedding: a ball for each sentence of each reading.

    Only readings with gradients count: what a loss looks at without them is a constant of it.
    """

    def __init__(self, module: nn.Embedding, words: Callable[[Tensor], Tensor]) -> None:
        super().__init__(module)
        self.words = words

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[ShiftedPass]:
        current = ShiftedPass(self)

        def add(
            module: nn.Module, read: tuple[Tensor, ...], named: dict[str, Tensor], vectors: Tensor
        ) -> Tensor:
            if not torch.is_grad_enabled():
                return vectors
            symbols = read[0] if read else next(iter(named.values()))
            mask = self.words(symbols).unsqueeze(-1).expand_as(vectors)
            # half precision is for the network; shifts are a difference of small numbers
            kind = torch.promote_types(vectors.dtype, torch.float32)
            shift = torch.zeros(vectors.shape, dtype=kind, device=vectors.device)
            if callable(shifts):
                shift = torch.where(mask, shifts(shift, mask), 0.0)
            elif shifts is not None:
                number = len(current.shifts)
                if number >= len(shifts) or shifts[number].shape != shift.shape:
                    raise RuntimeError(OTHER_TEXTS)
                shift = shifts[number]
            leaf = shift.detach().requires_grad_()
            current.shifts.append(shift.detach())
            current.masks.append(mask)
            current.leaves.append(leaf)
            return vectors + leaf.to(vectors.dtype)

        handle = self.module.register_forward_hook(add, with_kwargs=True)
        try:
            yield current
        finally:
            handle.remove()
        if not current.shifts:
            raise UserError(
                "perturb: the loss does not read the embedding, so there is nothing to shift; call "
                "the network with token ids, or name another embedding"
            )
        if isinstance(shifts, Sequence) and len(current.shifts) < len(shifts):
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
    def shifted(self, shifts: Shifts) -> Iterator[ShiftedPass]:
        current, weight = ShiftedPass(self), self.module.weight
        own, trained = weight.data, weight.requires_grad
        shift = torch.zeros_like(own)
        mask = torch.ones_like(own, dtype=torch.bool)
        if self.module.padding_idx is not None:
            mask[self.module.padding_idx] = False
        if callable(shifts):
            shift = torch.where(mask, shifts(shift, mask), 0.0)
        elif shifts is not None:
            (shift,) = shifts
        current.shifts, current.masks, current.leaves = [shift], [mask], [weight]
        kept = weight.grad
        try:
            weight.requires_grad_()
            if shifts is not None:
                weight.data = own + shift.to(own)
                torch.clear_autocast_cache()  # it would give the table as it was
            yield current
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
    """Find the embedding whose name is `name`, or contains it; else the one that words go through.

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
    matches = {at: part for at, part in known.items() if name in at}
    if len(matches) == 1:
        return next(iter(matches.values()))
    which = f"called {name!r}" if name else "that words go through"
    why = "there is no embedding" if not matches else "there are several embeddings"
    names = ", ".join(matches or known) or "none"
    raise UserError(
        f"perturb: {why} {which} in {type(network).__name__}; give embedding as one of: {names}"
    )


def words_of(network: nn.Module, module: nn.Embedding) -> Callable[[Tensor], Tensor]:
    """Make a function that marks which of the symbols (B, T), or rows (B, T, V), that an embedding
    reads are not padding."""
    space = getattr(network, "space", None)
    if space is not None and module is getattr(network, "source_embedding", None):
        space = space.source
    padding = module.padding_idx if space is None else None if space.eos is None else space.pad

    def words(symbols: Tensor) -> Tensor:
        if symbols.is_floating_point():
            symbols = symbols.argmax(-1)
        if padding is None:
            return torch.ones_like(symbols, dtype=torch.bool)
        real = symbols != padding
        if space is not None and real.dim() > 1:
            real[:, 0] = True  # what a generator reads first has the number of padding
        return real

    return words


def shift_target(network: nn.Module) -> EmbeddingOutput:
    """Return the output of the network's embedding, where sentences are shifted."""
    module = find_embedding(network)
    return EmbeddingOutput(module, words_of(network, module))
