"""The linear layer to the vocabulary and its softmax, without a tensor of all logits.

Half of a language model's work is here: R rows of V logits are made, exponentiated, summed, and
hardly one of them is used. On a processor that work is bound by memory, so it is done in
blocks of rows that stay in the cache, in one buffer that is used again and again (fresh memory
costs as much as filling it). Two things save passes over a block: the bias is one more column of
the product, and logits are exponentiated as they are, for floating point is as precise at exp(-40)
as at exp(0); rows whose sum leaves the safe range are done again with their largest logit taken
off. And exp(x) is taken as 2^(x / ln 2), with the factor in the rows of the product: MKL's `exp`
takes 4.5 times as long as torch's own `exp2` on an AMD processor. On an accelerator its own kernels
do all rows at once.

Shapes: R rows, H what the layer reads, V vocabulary. Logits are hidden @ weight.T + bias, in the
precision of `weight` whatever other products are taken in: what is drawn and how likely it is
called agree.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.matmul import matmul
from textgan.core.precision import precision
from textgan.models.sampling import Categorical, draw_by_weight

BLOCK = 2**21  # logits of one block of rows: 8 MB in float32
KEPT = 2**23  # logits whose exponentials are kept for the backward pass: 32 MB in float32
LOG2_E = 1 / math.log(2)
SAFE = 1e-20, 1e30  # sums of exponentials that are as precise as sums of shares


class BlockSampler:
    """Draws tokens from softmax((hidden @ weight.T + bias) / temperature).

    The weights are read once, when it is made; it draws at many positions of many texts. block:
    logits in memory at once.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, temperature: float = 1.0, block: int = BLOCK
    ) -> None:
        self.weight, self.bias, self.choose = (
            weight.detach(),
            bias.detach(),
            Categorical(temperature),
        )
        self.at_once = max(1, block // len(weight))
        self.in_blocks = not is_asynchronous(weight)
        if self.in_blocks:
            self.table = _table(self.weight, self.bias)
            self.buffer = weight.new_empty(0)

    def __call__(self, hidden: Tensor) -> Tensor:
        """One token (R,) for each row of hidden (R, H)."""
        hidden = hidden.detach()
        with precision("float32", hidden.device):
            hidden = hidden.to(self.weight.dtype)
            if not self.in_blocks:
                return self.choose(F.linear(hidden, self.weight, self.bias))
            rows = F.pad(hidden, (0, 1), value=1.0)
            if self.buffer.numel() == 0 or len(self.buffer) < min(len(rows), self.at_once):
                self.buffer = rows.new_empty(min(len(rows), self.at_once), self.table.shape[1])
            pieces = [self._draw(piece) for piece in rows.split(self.at_once)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _draw(self, rows: Tensor) -> Tensor:
        tempered = rows * (LOG2_E / self.choose.temperature)
        buffer = self.buffer[: len(rows)]
        tokens, sums = draw_by_weight(matmul(tempered, self.table, out=buffer).exp2_())
        if _safe(sums):
            return tokens
        return self.choose(matmul(rows, self.table, out=buffer))


def log_prob_of(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    tokens: Tensor,
    *,
    block: int = BLOCK,
    kept: int = KEPT,
) -> Tensor:
    """log softmax(hidden @ weight.T + bias) of one token of each row, (R,).

    hidden (R, H), tokens (R,) int64. Differentiable once on a processor: no tensor of R x V numbers
    is written there but one buffer, of `kept` logits at most, whose exponentials the backward pass
    needs; of more it makes them again, `block` logits at once.
    """
    with precision("float32", hidden.device):
        hidden = hidden.to(weight.dtype)
        if is_asynchronous(hidden):
            return -F.cross_entropy(F.linear(hidden, weight, bias), tokens, reduction="none")
        total: Tensor = _LogTotal.apply(hidden, weight, bias, block, kept)  # type: ignore[no-untyped-call]
        own = (hidden * F.embedding(tokens, weight)).sum(1)
        return own + F.embedding(tokens, bias.unsqueeze(1)).squeeze(1) - total


class _LogTotal(torch.autograd.Function):
    """log sum_j exp(h w_j) of each row h, where h and w have the bias as one more column.

    Its gradients are, for a row that weighs g and shares p = softmax(h w):  g sum_j p_j w_j  by h,
    and  g p_j h  by w_j. The first needs only a product of the exponentials with the weights, which
    the forward pass makes while it has them.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, block: int, kept: int
    ) -> Tensor:
        rows, table = F.pad(hidden, (0, 1), value=1.0), _table(weight, bias)
        keep = any(ctx.needs_input_grad) and len(rows) * len(weight) <= kept
        at_once = len(rows) if keep else min(len(rows), block // len(weight))
        at_once = max(1, at_once)
        buffer = rows.new_empty(at_once, len(weight))
        largest, sums = rows.new_zeros(len(rows), 1), rows.new_empty(len(rows), 1)
        means = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        weights = buffer
        for start in range(0, len(rows), at_once):
            part = slice(start, start + at_once)
            weights, sums[part] = _exponentials(rows[part], table, largest[part], buffer)
            if means is not None:
                torch.div(matmul(weights, weight, out=means[part]), sums[part], out=means[part])
        ctx.block = block
        ctx.save_for_backward(rows, table, largest, sums, means, weights if keep else None)
        return (sums.log() + largest / LOG2_E).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with precision("float32", gradient.device):
            return *_LogTotal._gradients(ctx, gradient.unsqueeze(1)), None, None

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, table, largest, sums, means, kept = ctx.saved_tensors
        of_hidden = of_weight = of_bias = None
        if means is not None:
            of_hidden = means * gradient
        if any(ctx.needs_input_grad[1:3]):
            shares = rows * (gradient / sums)
            of_table = torch.zeros_like(table)
            at_once = max(1, len(rows) if kept is not None else ctx.block // table.shape[1])
            buffer = kept if kept is not None else rows.new_empty(at_once, table.shape[1])
            for start in range(0, len(rows), at_once):
                part = slice(start, start + at_once)
                weights = kept
                if weights is None:
                    scaled = rows[part] * LOG2_E
                    weights = matmul(scaled, table, out=buffer[: len(scaled)])
                    weights.sub_(largest[part]).exp2_()
                of_table.add_(matmul(shares[part].t(), weights))
            of_weight, of_bias = of_table[:-1].t(), of_table[-1]
        return of_hidden, of_weight, of_bias


def _exponentials(
    rows: Tensor, table: Tensor, largest: Tensor, buffer: Tensor
) -> tuple[Tensor, Tensor]:
    """2^(rows @ table / ln 2 - largest), (R, V), perhaps in `buffer`, and its sums (R, 1).

    `largest` (R, 1) stays zero where no sum is in danger, and else becomes the largest logits / ln
    2.
    """
    scaled = rows * LOG2_E
    weights = matmul(scaled, table, out=buffer[: len(rows)]).exp2_()
    sums = weights.sum(1, keepdim=True)
    if not _safe(sums):
        weights = matmul(scaled, table, out=weights)
        largest.copy_(weights.amax(1, keepdim=True))
        torch.sum(weights.sub_(largest).exp2_(), 1, keepdim=True, out=sums)
    return weights, sums


def _table(weight: Tensor, bias: Tensor) -> Tensor:
    """The layer as one matrix (H + 1, V) for rows with a one behind them."""
    return torch.cat([weight.t(), bias.unsqueeze(0)])


def _safe(sums: Tensor) -> bool:
    """Return whether all sums are numbers in the safe range."""
    low, high = SAFE
    return bool(((sums > low) & (sums < high)).all())
