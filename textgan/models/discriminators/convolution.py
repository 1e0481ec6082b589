"""Convolutions of many sizes and the largest value of each filter over time.

Shapes: B sentences, T positions, E embedding, F filters of one size k, N = T - k + 1 windows,
V vocabulary. A window counts when it lies inside its sentence; a sentence shorter than a filter is
extended by zeros to exactly one window.

Nobody needs more than the largest value of a filter, so both ways below keep what they make small:
for training one matrix product a size, of which only the places of the largest values are
remembered; for scoring many texts, sums of rows of tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.matmul import matmul
from textgan.core.precision import factor_type
from textgan.data.text import Text
from textgan.models.discriminators.base import padded_to
from textgan.models.embedding import TokenEmbedding

SENTENCES_AT_ONCE = 512  # whose windows are in memory together on a processor
SPARSE_FROM = 4  # windows of a sentence for which a gradient without its zeros is faster
TABLES_AT_MOST = 2**30  # bytes of the lookup tables by which many texts are scored


def sentences_at_once(like: Tensor) -> int:
    """How many sentences' windows are in memory together: of an accelerator, which takes as long to
    start a kernel as to finish a small one, more."""
    return SENTENCES_AT_ONCE * 16 if is_asynchronous(like) else SENTENCES_AT_ONCE


def filters_of(convolutions: nn.ModuleList) -> list[nn.Conv1d]:
    """Return the convolutions in a list of modules, one for each size."""
    return [layer for layer in convolutions if isinstance(layer, nn.Conv1d)]


def pool(
    text: Text,
    embedding: TokenEmbedding,
    filters: Sequence[nn.Conv1d],
    pad: int,
    tables_at_most: int = TABLES_AT_MOST,
) -> Tensor:
    """max over windows of relu(convolution), (B, F of all sizes), of texts of any width, by the
    faster of the two ways."""
    longest = max(convolution.kernel_size[0] for convolution in filters)
    text = padded_to(text.trimmed(), longest, pad)
    table = embedding.weight
    by_table = (
        not torch.is_grad_enabled()
        and text.soft_tokens is None
        # a table costs what V windows cost
        and text.tokens.numel() > 2 * len(table)
        and tables_fit(table, filters, tables_at_most)
    )
    if by_table:
        return pool_by_table(text, table, filters)
    pieces = text.split(SENTENCES_AT_ONCE)
    return torch.cat([pool_windows(embedding(part.inputs), part, filters) for part in pieces])


def pool_windows(vectors: Tensor, text: Text, filters: Sequence[nn.Conv1d]) -> Tensor:
    """max over windows of relu(convolution), (B, F of all sizes), of token vectors (B, T, E)."""
    fixed = _is_full(text)
    if not fixed:
        vectors = vectors * text.mask.unsqueeze(2)
    pooled = []
    for convolution in filters:
        counts = None if fixed else _counts(text, convolution.kernel_size[0])
        best: Tensor = _Largest.apply(vectors, convolution.weight, counts)  # type: ignore[no-untyped-call]
        pooled.append(best)
    # the bias is the same for all windows, so it may wait for the largest
    biases = [convolution.bias for convolution in filters if convolution.bias is not None]
    return F.relu(torch.cat(pooled, 1) + torch.cat(biases))


class _Largest(torch.autograd.Function):
    """max over windows of vectors (B, T, E) * weight (F, E, k), (B, F); equal ones share the
    gradient.

    On a processor no product is taken of windows that do not count, and few with zeros: a filter
    passes its gradient to one window of a sentence, so its own is a sum of B windows.

    Differentiable as often as one likes: the backward pass is linear in what it reads, given the
    places of the largest windows.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, counts: Tensor | None) -> Tensor:
        kind = factor_type(vectors)
        some = None if is_asynchronous(vectors) else counts
        windows = _windows(vectors.to(kind), weight.shape[2], some)
        columns = _columns(weight).to(kind)
        values = _spread(matmul(windows, columns.t()), some, -torch.inf)
        values = values.unflatten(0, (len(vectors), -1))
        best = _best(values, counts if some is None else None)
        chosen = values.eq_(best.unsqueeze(1))  # in place: fresh memory costs more than the work
        ctx.save_for_backward(vectors, weight, chosen, windows, columns, some)
        return best.to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        vectors, weight, chosen, windows, columns, some = ctx.saved_tensors
        size, twice = weight.shape[2], torch.is_grad_enabled()
        if twice:  # a second derivative is by what is given
            windows, columns, some = _windows(vectors, size), _columns(weight), None
        equal = chosen.sum(1)  # windows that share
        shares = chosen * (gradient / equal).to(chosen.dtype).unsqueeze(1)
        shares = shares.flatten(0, 1) if some is None else shares[some]  # (B * N, F)
        of_vectors = of_weight = None
        if ctx.needs_input_grad[0]:
            factor = columns.to(shares.dtype)
            of_windows = _spread(shares @ factor if twice else matmul(shares, factor), some)
            of_windows = of_windows.unflatten(1, (size, -1)).unflatten(0, (len(vectors), -1))
            of_vectors = _overlap(of_windows, vectors)
        if ctx.needs_input_grad[1]:
            factor = windows.to(shares.dtype)
            if twice:
                of_columns = shares.t() @ factor
            elif _is_sparse(chosen, equal):
                of_columns = _sums_of_chosen(windows, chosen, gradient, some)
            else:
                of_columns = matmul(shares.t(), factor)
            of_weight = of_columns.unflatten(1, (size, -1)).transpose(1, 2).to(weight.dtype)
        return of_vectors, of_weight, None


def _is_sparse(chosen: Tensor, equal: Tensor) -> bool:
    """Whether each filter has one largest window in a sentence, of so many that a product with the
    zeros of the others would take longer than a sum; not asked of an accelerator."""
    if is_asynchronous(chosen) or chosen.dtype != torch.float32 or chosen.shape[1] < SPARSE_FROM:
        return False
    return bool((equal == 1).all())


def _sums_of_chosen(
    windows: Tensor, chosen: Tensor, weights: Tensor, some: Tensor | None
) -> Tensor:
    """The sums (F, k * E) of each filter's chosen windows (B, N, F), by weights (B, F).

    some: which windows (B, N) there are in `windows`, None for all.
    """
    sentences, count, _ = chosen.shape
    if some is None:
        places = torch.arange(sentences * count, dtype=torch.float32, device=windows.device)
    else:
        places = some.flatten().cumsum(0, dtype=torch.float32) - 1
    # exact up to 2^24 windows
    rows = (chosen * places.view(sentences, count, 1)).amax(1).t().long()
    return F.embedding_bag(rows, windows, mode="sum", per_sample_weights=weights.t().contiguous())


def _spread(rows: Tensor, some: Tensor | None, filling: float = 0.0) -> Tensor:
    """Rows at the places where `some` (B, N) is true, (B * N, ...), with a filling at the others;
    None for all places."""
    if some is None:
        return rows
    spread = rows.new_full((some.numel(), rows.shape[1]), filling)
    spread[some.flatten()] = rows
    return spread


def _windows(vectors: Tensor, size: int, some: Tensor | None = None) -> Tensor:
    """Every window of `size` vectors as one row, (B * N, size * E), or some (B, N) of them."""
    windows = vectors.unfold(1, size, 1).transpose(2, 3)
    return (windows.flatten(0, 1) if some is None else windows[some]).flatten(1)


def _columns(weight: Tensor) -> Tensor:
    """Filters (F, E, k) as rows (F, k * E), as windows are."""
    return weight.transpose(1, 2).flatten(1)


def _overlap(windows: Tensor, vectors: Tensor) -> Tensor:
    """The sum, like vectors (B, T, E), of windows (B, N, k, E), each at its place."""
    count, size = windows.shape[1:3]
    if is_asynchronous(vectors):  # one kernel, where each addition below takes as long to launch
        columns = windows.to(vectors.dtype).permute(0, 3, 2, 1).flatten(1, 2)  # (B, E * k, N)
        return F.fold(columns, (1, vectors.shape[1]), (1, size)).squeeze(2).transpose(1, 2)
    total = torch.zeros_like(vectors)
    for offset in range(size):
        total[:, offset : offset + count] += windows[:, :, offset]
    return total


@torch.no_grad()
def pool_by_table(text: Text, embedding: Tensor, filters: Sequence[nn.Conv1d]) -> Tensor:
    """Do the same as `pool_windows` for many texts of a vocabulary with vectors `embedding` (V, E),
    without gradients.

    A convolution over vectors that come from a vocabulary is a sum of table rows: for each offset
    of the filter, what every token would contribute there. The products are paid once a token of
    the vocabulary instead of once a token of the texts.
    """
    fixed, vocabulary = _is_full(text), embedding.shape[0]
    at_once = sentences_at_once(embedding)
    nothing = embedding.new_zeros(1, embedding.shape[1])
    rows = torch.cat([embedding, nothing])  # padding contributes nothing: row V
    tokens = text.tokens if fixed else torch.where(text.mask, text.tokens, vocabulary)
    tokens = tokens.int()  # half the memory to look up with; `tables_fit` keeps them small enough
    pooled = embedding.new_empty(len(text), sum(c.out_channels for c in filters))
    columns = pooled.split([c.out_channels for c in filters], 1)
    # one buffer for the tables of all filters: fresh memory costs as much as filling it
    largest = max(c.kernel_size[0] * c.out_channels for c in filters)
    buffer = embedding.new_empty(largest * len(rows))
    for convolution, place in zip(filters, columns, strict=True):
        assert convolution.bias is not None
        size, channels = convolution.kernel_size[0], convolution.out_channels
        table = buffer[: size * len(rows) * channels].view(-1, channels)
        for offset, part in enumerate(table.split(len(rows))):
            part.copy_(matmul(rows, convolution.weight[:, :, offset].t().contiguous(), out=part))
        offsets = torch.arange(size, dtype=torch.int, device=tokens.device) * (vocabulary + 1)
        counts = None if fixed else _counts(text, size)
        for start in range(0, len(text), at_once):
            piece = slice(start, start + at_once)
            windows = tokens[piece].unfold(1, size, 1) + offsets
            sums = F.embedding_bag(windows.flatten(0, 1), table, mode="sum")
            best = _best(
                sums.unflatten(0, windows.shape[:2]),
                None if counts is None else counts[piece],
            )
            place[piece] = F.relu(best + convolution.bias)
    return pooled


def tables_fit(embedding: Tensor, filters: Sequence[nn.Conv1d], most: int) -> bool:
    """Return whether the tables of `pool_by_table` take at most so many bytes."""
    entries = sum(c.out_channels * c.kernel_size[0] for c in filters) * (len(embedding) + 1)
    return entries * embedding.element_size() <= most


def _best(values: Tensor, counts: Tensor | None) -> Tensor:
    """The largest value over time, (B, F), of windows (B, N, F) that count (B, N)."""
    if counts is not None:
        values = values.masked_fill(~counts.unsqueeze(2), -torch.inf)
    return values.amax(1)


def _counts(text: Text, size: int) -> Tensor:
    """(B, N): which windows lie inside their sentence."""
    positions = torch.arange(text.tokens.shape[1] - size + 1, device=text.tokens.device)
    return positions <= (text.lengths - size).clamp(min=0).unsqueeze(1)


def _is_full(text: Text) -> bool:
    """Return whether no token is padding; False where finding out means waiting for an
    accelerator."""
    if text.soft_tokens is not None:
        return True
    return not is_asynchronous(text.lengths) and bool((text.lengths == text.tokens.shape[1]).all())


def shorter(sizes: Sequence[int], counts: Sequence[int], longest: int) -> str:
    """Suggest settings of filters that fit texts of `longest` tokens: those of these that do, or
    one."""
    table = [(size, n) for size, n in zip(sizes, counts, strict=True) if size <= longest]
    table = table or [(longest, counts[0])]
    first, second = (",".join(map(str, column)) for column in zip(*table, strict=True))
    return f"discriminator.sizes=[{first}] discriminator.counts=[{second}]"
