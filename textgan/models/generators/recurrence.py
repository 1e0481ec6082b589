"""Recurrences over texts of several lengths, with their gradients written out.

torch's own take a product and some twenty small tensors a step to add up gradients of weights and
memory. Here each weight's gradient is one product over all steps, and what ended takes no more
steps: on a processor the texts are sorted by their length, and step t has those that are longer
than t. An accelerator would have to be waited for to know which those are; there all texts take all
steps.

Differentiable once. Shapes: B texts, T positions, N tokens of all texts in the order of the steps
("packed"), S positions of a source, H hidden, A attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from textgan.core.device import is_asynchronous
from textgan.core.matmul import linear, matmul, outer


class Packing(NamedTuple):
    """In which order the tokens of texts are read."""

    order: Tensor  # (B,): the texts as the steps have them
    places: Tensor  # (N,): of each token, its text's place in that order
    steps: Tensor  # (N,): of each token, its step
    sizes: list[int]  # texts that take each step, never more than at the step before

    @staticmethod
    def of(lengths: Tensor, width: int) -> Packing:
        """Pack texts of these lengths (B,), in batches of that width."""
        device = lengths.device
        steps = torch.arange(width, device=device)
        if is_asynchronous(lengths):
            order = torch.arange(len(lengths), device=device)
            places = order.repeat(width)
            return Packing(order, places, steps.repeat_interleave(len(order)), [len(order)] * width)
        order = lengths.argsort(descending=True, stable=True)
        takes = lengths[order] > steps.unsqueeze(1)
        of_step, places = takes.nonzero(as_tuple=True)
        return Packing(order, places, of_step, takes.sum(1).tolist())

    def pack(self, values: Tensor) -> Tensor:
        """Return the values (N, ...) of tokens, from (B, T, ...)."""
        return values[self.order[self.places], self.steps]

    def unpack(self, values: Tensor, width: int) -> Tensor:
        """Return the values (B, T, ...) of tokens, from (N, ...), zero at padding."""
        padded = values.new_zeros(len(self.order), width, *values.shape[1:])
        return padded.index_put((self.order[self.places], self.steps), values)

    def reversed(self, lengths: Tensor) -> Packing:
        """The packing that reads each text from its last token on."""
        last = lengths[self.order[self.places]] - 1
        return self._replace(steps=last - self.steps)

    def pieces(self) -> Iterator[tuple[slice, int]]:
        """The tokens of each step, and how many they are."""
        end = 0
        for size in self.sizes:
            end += size
            yield slice(end - size, end), size


def gru_step(given: Tensor, inner: Tensor, before: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the state of a GRU after one step, (R, H), with its gates and its new part.

    given, inner: what its inputs, and its state `before`, give to the gates r and z and to the new
    part, (R, 3 H).
    """
    size = before.shape[1]
    gates = (given[:, : 2 * size] + inner[:, : 2 * size]).sigmoid()
    r, z = gates.chunk(2, 1)
    new = torch.addcmul(given[:, 2 * size :], r, inner[:, 2 * size :]).tanh()
    return torch.lerp(new, before.to(new), z), (gates, new)


def _gru_backward(
    gradient: Tensor, before: Tensor, inner: Tensor, gates: Tensor, new: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in `given`, `inner` and `before` of a step."""
    size = before.shape[1]
    r, z = gates.chunk(2, 1)
    through_z = gradient * z
    of_new = (gradient - through_z) * (1 - new * new)
    of_gates = torch.cat([of_new * inner[:, 2 * size :], gradient * (before - new)], 1)
    of_gates *= gates * (1 - gates)
    of_given = torch.cat([of_gates, of_new], 1)
    return of_given, torch.cat([of_gates, of_new * r], 1), through_z


def gru(given: Tensor, weight: Tensor, bias: Tensor, packing: Packing) -> Tensor:
    """Compute the states (N, H) of a GRU that starts at zero.

    given: (N, 3 H), what its inputs give to the gates. weight, bias: (3 H, H) and (3 H,), of its
    state.
    """
    with _in_full(given):
        states: Tensor = _GRU.apply(given.to(weight), weight, bias, packing)  # type: ignore[no-untyped-call]
    return states


def _in_full(like: Tensor) -> torch.autocast:
    """Inside, nothing is cast: a step is small, and its products are not what takes time."""
    return torch.autocast(like.device.type, enabled=False)


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor, packing: Packing) -> Tensor:
        state = given.new_zeros(packing.sizes[0], weight.shape[1])
        states, kept = [state], []
        for piece, size in packing.pieces():
            inner = linear(state[:size], weight, bias)
            state, parts = gru_step(given[piece], inner, state[:size])
            states.append(state)
            kept.append((inner, *parts))
        ctx.packing, ctx.states, ctx.kept = packing, states, kept
        ctx.save_for_backward(weight)
        return torch.cat(states[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with _in_full(gradient):
            return *_GRU._gradients(ctx, gradient), None

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        (weight,) = ctx.saved_tensors
        made: list[tuple[Tensor, Tensor]] = []
        later: Tensor | None = None
        for t, (piece, size) in _backwards(ctx.packing):
            total = _total(gradient[piece], later)
            of_given, of_inner, later = _gru_backward(total, ctx.states[t][:size], *ctx.kept[t])
            later = later + matmul(of_inner, weight)
            made.append((of_given, of_inner))
        of_given, of_inner = map(torch.cat, zip(*made[::-1], strict=True))
        before = _before(ctx.states, ctx.packing)
        return of_given, outer(of_inner, before), of_inner.sum(0)


def _backwards(packing: Packing) -> list[tuple[int, tuple[slice, int]]]:
    return [*enumerate(packing.pieces())][::-1]


def _total(gradient: Tensor, later: Tensor | None) -> Tensor:
    """The gradient in the states of a step: that of their use, and by the step after (n, H), which
    has the first n of them or all."""
    if later is None:
        return gradient
    if len(later) == len(gradient):
        return gradient + later
    total = gradient.clone()
    total[: len(later)] += later
    return total


def _before(states: Sequence[Tensor], packing: Packing) -> Tensor:
    """The states (N, H) before each step, of those at the start and after each."""
    return torch.cat([some[:size] for some, size in zip(states, packing.sizes, strict=False)])


class Alignment(NamedTuple):
    """What a conditional GRU reads and by which weights; see `attention`."""

    of_state: Tensor  # (3 H, H)
    of_middle: Tensor  # (A + 3 H, H)
    bias: Tensor  # (A + 3 H,)
    alignment: Tensor  # (A,)
    key: Tensor  # (B, S, A), twice the keys
    of_gates: Tensor  # (B, S, 3 H)


def weigh(query: Tensor, key: Tensor, alignment: Tensor, mask: Tensor) -> Tensor:
    """Compute the weights (G, N, S) of queries (G, N, A), given twice the keys (G, S, A).

    tanh(x) is 2 sigmoid(2 x) - 1, and softmax does not notice the 1; MKL's tanh takes ten times as
    long as torch's sigmoid on an AMD processor.
    """
    near = (2 * query.unsqueeze(2) + key.unsqueeze(1)).sigmoid()
    scores = (near @ (2 * alignment)).masked_fill(~mask.unsqueeze(1), -torch.inf)
    return scores.softmax(2)


def conditional_gru(
    given: Tensor, first: Tensor, parts: Alignment, mask: Tensor, packing: Packing
) -> tuple[Tensor, Tensor]:
    """Compute the states (N, H) of a conditional GRU and its weights (N, S) of the source.

    given: (N, 3 H), what words give to the first gates. first: (B, H), the state at the start.
    mask: (B, S). All but `given` are in the order of the batch.
    """
    order = packing.order
    ordered = parts._replace(key=parts.key[order], of_gates=parts.of_gates[order])
    tensors = (part.to(parts.of_state) for part in (given, first[order], *ordered))
    with _in_full(given):
        states, weights = _ConditionalGRU.apply(packing, mask[order], *tensors)  # type: ignore[no-untyped-call]
    return states, weights


class _ConditionalGRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, packing: Packing, mask: Tensor, given: Tensor, first: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        parts = Alignment(*tensors)
        size, state = len(parts.alignment), first
        states, weights, kept = [first], [], []
        for piece, n in packing.pieces():
            before = state[:n]
            inner = linear(before, parts.of_state)
            middle, first_parts = gru_step(given[piece], inner, before)
            query, own = linear(middle, parts.of_middle, parts.bias).split(
                [size, 3 * first.shape[1]], 1
            )
            weight = weigh(query.unsqueeze(1), parts.key[:n], parts.alignment, mask[:n])
            read = (weight @ parts.of_gates[:n]).squeeze(1)
            state, second_parts = gru_step(read, own, middle)
            states.append(state)
            weights.append(weight.squeeze(1))
            kept.append((inner, *first_parts, middle, query, own, *second_parts))
        ctx.packing, ctx.states, ctx.weights, ctx.kept = packing, states, weights, kept
        ctx.save_for_backward(*tensors)
        return torch.cat(states[1:]), torch.cat(weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        with _in_full(gradients[0]):
            return None, None, *_ConditionalGRU._gradients(ctx, *gradients)

    @staticmethod
    def _gradients(ctx: Any, of_states: Tensor, of_weights: Tensor) -> tuple[Tensor, ...]:
        parts, packing = Alignment(*ctx.saved_tensors), ctx.packing
        of_key, of_alignment = torch.zeros_like(parts.key), torch.zeros_like(parts.alignment)
        made: list[tuple[Tensor, ...]] = []
        later: Tensor | None = None
        for t, (piece, n) in _backwards(packing):
            inner, gates, new, middle, query, own, own_gates, own_new = ctx.kept[t]
            total = _total(of_states[piece], later)
            of_read, of_own, of_middle = _gru_backward(total, middle, own, own_gates, own_new)
            weight = ctx.weights[t]
            of_weight = (parts.of_gates[:n] @ of_read.unsqueeze(2)).squeeze(2) + of_weights[piece]
            of_score = weight * (of_weight - (weight * of_weight).sum(1, keepdim=True))
            # what is near is made again: of all steps it would be the largest tensor of all
            near = (2 * query.unsqueeze(1) + parts.key[:n]).sigmoid()
            of_alignment += near.flatten(0, 1).t() @ of_score.flatten()
            slope = near.addcmul_(near, near, value=-1)
            of_key[:n].addcmul_(slope, of_score.unsqueeze(2))
            of_query = (of_score.unsqueeze(1) @ slope).squeeze(1) * (4 * parts.alignment)
            of_both = torch.cat([of_query, of_own], 1)
            of_middle = of_middle + matmul(of_both, parts.of_middle)
            of_given, of_inner, later = _gru_backward(
                of_middle, ctx.states[t][:n], inner, gates, new
            )
            later = later + matmul(of_inner, parts.of_state)
            made.append((of_given, of_inner, of_both, of_read, middle))
        assert later is not None  # there is a step
        of_given, of_inner, of_both, of_read, middle = map(torch.cat, zip(*made[::-1], strict=True))
        own = packing._replace(order=torch.arange(len(parts.key), device=parts.key.device))
        width = len(packing.sizes)
        weights = own.unpack(torch.cat(ctx.weights), width)
        return (
            of_given,
            later,
            outer(of_inner, _before(ctx.states, packing)),
            outer(of_both, middle),
            of_both.sum(0),
            2 * of_alignment,
            of_key * (2 * parts.alignment),
            weights.transpose(1, 2) @ own.unpack(of_read, width),
        )
