"""What perturbations share: where vectors are shifted, how far, and the passes of one update.

Shapes: B sentences, T positions, E embedding, V vocabulary. Shifts are a list, for a loss may read
the embedding several times (real and fake texts): with placement "output" one tensor (B, T, E) for
each time, with "matrix" one of the table (V, E). A ball is one sentence's with the first, the whole
table's with the second.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan import registry
from textgan.backward import Outputs
from textgan.core.own_code import Code
from textgan.errors import UserError
from textgan.losses import Loss
from textgan.registry import parse_setting, register
from textgan.sampling import draw_seed
from textgan.text import START

Placement = Literal["output", "matrix"]
Start = Callable[[Tensor, Tensor], Tensor]  # zeros like the shift, which entries count: a shift
Shifts = Sequence[Tensor] | Start | None  # those of a pass; None: zeros

OTHER_TEXTS = "the loss read other texts when it was called again; draw them before"


@dataclass(kw_only=True)
class Perturbation(ABC):
    """A `Backward` that trains a network through shifted embeddings.

    Raises UserError where the network has no embedding of that name, or several; ValueError for
    settings that cannot be.
    """

    paper: ClassVar[str] = ""

    placement: Annotated[
        Placement,
        Field(
            description="output: what the embedding reads out, every occurrence by itself; matrix: "
            "its table, all occurrences of a token alike"
        ),
    ] = "output"
    embedding: Annotated[
        str, Field(description="part of the embedding's name; needed where there are several")
    ] = ""
    same_dropout: Annotated[bool, Field(description="one draw of dropout for all passes")] = True

    # tensors that it remembers from one call to the next, which a checkpoint keeps
    memory: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            register("perturbation", name, cls)

    def __post_init__(self) -> None:
        kind = type(self)
        told = {setting.name: getattr(self, setting.name) for setting in registry.settings(kind)}
        try:
            checked = registry.check("perturbation", kind, told)
        except UserError as error:
            raise ValueError(str(error)) from None
        for name, value in checked.items():
            setattr(self, name, value)

    @property
    def keeps(self) -> bool:
        """Whether it remembers something from one call to the next."""
        return False

    @property
    def replays(self) -> int:
        """How many updates in a row each batch is for."""
        return 1

    def check(self, network: nn.Module) -> None:
        """Raise UserError where the network lacks what is named in the settings."""
        find_embedding(network, self.embedding)

    @abstractmethod
    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        """Add the gradient to that of the network's weights; the loss and what is logged of it."""


class Place(ABC):
    """Where vectors are shifted, and what a ball is there.

    All functions are of one shift or slope of the list; entries that do not count are zero.
    """

    def __init__(self, module: nn.Embedding) -> None:
        self.module = module

    @contextmanager
    @abstractmethod
    def shifted(self, shifts: Shifts) -> Iterator[Here]:
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


class Here:
    """One pass with shifts: the leaves that gradients are taken of.

    shifts: complete once the loss was computed. counts: which of their entries count, alike.
    """

    def __init__(self, place: Place) -> None:
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


class OutputPlace(Place):
    """What the embedding reads out: a ball for each sentence of each reading.

    Only readings with gradients count: what a loss looks at without them is a constant of it.
    """

    def __init__(self, module: nn.Embedding, words: Callable[[Tensor], Tensor]) -> None:
        super().__init__(module)
        self.words = words

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Here]:
        here = Here(self)

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


class MatrixPlace(Place):
    """The table itself, so also whatever else is tied to it: one ball for all of it.

    Its storage is exchanged while a pass lasts, never written to, so it comes back to the bit.
    """

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Here]:
        here, weight = Here(self), self.module.weight
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


class Passes:
    """The passes of one update: where vectors are shifted, one draw of dropout, noise.

    The noise of starting points is drawn from a stream of its own, for it is drawn amid a pass, and
    dropout must fall alike in the others. What it is for a word does not depend on how much padding
    there is.
    """

    def __init__(self, network: nn.Module, told: Perturbation) -> None:
        module = find_embedding(network, told.embedding)
        self.place: Place = (
            MatrixPlace(module)
            if told.placement == "matrix"
            else OutputPlace(module, words_of(network, module))
        )
        self.device = module.weight.device
        self.noise = torch.Generator(self.device)
        self.same_dropout = told.same_dropout
        self.random: list[Tensor] = []

    def uniform(self, magnitude: float) -> Start | None:
        """Starts drawn from U(-1, 1) * magnitude / sqrt(entries of the ball that count), of length
        magnitude / sqrt(3) on average and magnitude at most; None where that is zero."""

        def start(zeros: Tensor, count: Tensor) -> Tensor:
            entries = count.sum(self.place.over(count), keepdim=True).clamp(min=1)
            return (2 * self._random(zeros) - 1) * magnitude / entries.sqrt()

        return self._starting(start) if magnitude > 0 else None

    def normal(self, deviation: float) -> Start | None:
        """Starts whose every entry has a normal distribution; None where all are zero."""

        def start(zeros: Tensor, count: Tensor) -> Tensor:
            # Box and Muller's: torch's own depend on how many are drawn at once
            length, angle = self._random(zeros.expand(2, *zeros.shape))
            drawn: Tensor = (-2 * torch.log1p(-length)).sqrt() * (2 * math.pi * angle).cos()
            return deviation * drawn * count

        return self._starting(start) if deviation > 0 else None

    def _starting(self, start: Start) -> Start:
        self.noise.manual_seed(draw_seed())
        return start

    def _random(self, like: Tensor) -> Tensor:
        """Of U(0, 1); the numbers of later positions, or words, are drawn after the earlier."""
        words = max(0, like.dim() - 2)
        shape = like.movedim(words, 0).shape
        drawn = torch.rand(shape, generator=self.noise, dtype=like.dtype, device=like.device)
        return drawn.movedim(0, words)

    @contextmanager
    def at(self, shifts: Shifts) -> Iterator[Here]:
        """One pass: compute inside, and take gradients inside, too."""
        self.begin()
        with self.place.shifted(shifts) as here:
            yield here

    def begin(self) -> None:
        """Before a pass, also one without shifts: dropout falls as in the first one."""
        if not self.same_dropout:
            return
        if not self.random:
            self.random = random_state(self.device)
        else:
            set_random_state(self.random, self.device)


def random_state(device: torch.device) -> list[Tensor]:
    """Where the streams of random numbers that networks there draw from stand."""
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_gpu]


def set_random_state(state: Sequence[Tensor], device: torch.device) -> None:
    """Go back, or on, to what `random_state` gave."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


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


def perturbation(told: str, key: str = "perturb", code: Code | None = None) -> Perturbation | None:
    """What `fgm`, `fgm(epsilon=0.5, placement=matrix)` or `path/to/file.py:Class` names; None for
    an empty text or `none`.

    code: which files may be imported, None for none. Raises UserError, which names the key, for
    what it cannot be.
    """
    if told in ("", "none"):
        return None
    found = re.fullmatch(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*", told)
    if found is None:
        raise UserError(f"{key} = {told!r}: give a name and settings, such as fgm(epsilon=1.0)")
    name, inside = found.groups()
    settings: dict[str, Any] = {}
    for pair in filter(None, map(str.strip, (inside or "").split(","))):
        setting, equals, value = map(str.strip, pair.partition("="))
        if not equals or not setting or setting in settings:
            wrong = "is there twice" if setting in settings else "is not a setting"
            raise UserError(
                f"{key} = {told!r}: {pair!r} {wrong}; write each once, such as epsilon=1.0"
            )
        settings |= [parse_setting(f"{setting}={value}")]
    part = registry.find("perturbation", name, key, code)
    try:
        made: Perturbation = part(**registry.check("perturbation", part, settings, key))
    except ValueError as error:
        raise UserError(f"{key} = {told!r}: {error}") from None
    return made
