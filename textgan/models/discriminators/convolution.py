"""Convolutions of many sizes and the largest value of each filter over time.

Shapes: B sentences, T positions, E embedding, F filters of one size k, N = T - k + 1 windows,
V vocabulary. A window counts when it lies inside its sentence; a sentence shorter than a filter is
extended by zeros to exactly one window.

Nobody needs more than the largest value of a filter, so both ways below keep what they make small:
for training one matrix product a size, of which only the places of the largest values are
remembered; for scoring many texts, sums of rows of tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.matmul import matmul
from textgan.core.precision import factor_type
from textgan.data.text import Text

SENTENCES_AT_ONCE = 512  # whose windows are in memory together
SPARSE_FROM = 4  # windows of a sentence for which a gradient without its zeros is faster


def filters_of(convolutions: nn.ModuleList) -> list[nn.Conv1d]:
    """Return the convolutions in a list of modules, one for each size."""
    return [layer for layer in convolutions if isinstance(layer, nn.Conv1d)]


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

    A filter passes its gradient to one window of a sentence, so nearly all of the gradient's
    products are with zeros: on a processor they are left out, and so are windows that do not count.
    An accelerator would have to be waited for, and takes them all.

    Differentiable as often as one likes: the backward pass is linear in what it reads, given the
    places of the largest windows.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, counts: Tensor | None) -> Tensor:
        kind, sparse = factor_type(vectors), _is_sparse(vectors, weight)
        packed = counts if sparse else None
        windows = _windows(vectors.to(kind), weight.shape[2], packed)
        columns = _columns(weight).to(kind)
        values = matmul(windows, columns.t())
        if packed is not None:
            some, values = values, values.new_full((packed.numel(), len(weight)), -torch.inf)
            values[packed.flatten()] = some
        values = values.unflatten(0, (len(vectors), -1))
        best = _best(values, None if sparse else counts)
        chosen = values.eq_(best.unsqueeze(1))  # in place: fresh memory costs more than the work
        places = chosen.flatten(0, 1).bool().nonzero() if sparse else chosen
        ctx.save_for_backward(vectors, weight, places, windows, columns, packed)
        return best.to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        vectors, weight, places, windows, columns, packed = ctx.saved_tensors
        size, sparse = weight.shape[2], _is_sparse(vectors, weight)
        if torch.is_grad_enabled():  # a second derivative is by what is given
            windows, columns = _windows(vectors, size), _columns(weight)
            chosen = places
            if sparse:
                chosen = gradient.new_zeros(len(windows), len(weight))
                chosen[places.unbind(1)] = 1
                chosen = chosen.unflatten(0, (len(vectors), -1))
            of_windows, of_columns = _gradients(gradient, chosen, windows, columns, torch.mm)
        elif sparse:
            of_windows, of_columns = _sparse_gradients(gradient, places, windows, columns, packed)
        else:
            of_windows, of_columns = _gradients(gradient, places, windows, columns, matmul)
        of_weight = of_columns.unflatten(1, (size, -1)).transpose(1, 2).to(weight.dtype)
        of_windows = of_windows.unflatten(1, (size, -1)).unflatten(0, (len(vectors), -1))
        return _overlap(of_windows, vectors), of_weight, None


def _is_sparse(vectors: Tensor, weight: Tensor) -> bool:
    """Whether the products with zeros are left out: where there are enough of them."""
    windows = vectors.shape[1] - weight.shape[2] + 1
    return windows >= SPARSE_FROM and not is_asynchronous(vectors)


def _gradients(
    gradient: Tensor,
    chosen: Tensor,
    windows: Tensor,
    columns: Tensor,
    product: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """The gradients of windows (B * N, k * E) and columns (F, k * E), given that (B, F) of the
    values and which windows were chosen, (B, N, F)."""
    shares = gradient / chosen.sum(1)
    shares = (chosen * shares.to(chosen.dtype).unsqueeze(1)).flatten(0, 1)  # (B * N, F)
    return (
        product(shares, columns.to(shares.dtype)),
        product(shares.t(), windows.to(shares.dtype)),
    )


def _sparse_gradients(
    gradient: Tensor, places: Tensor, windows: Tensor, columns: Tensor, packed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same, given the places alone: the window and the filter (M, 2) of each, by window.

    packed: which windows (B, N) there are in `windows`, None for all.
    """
    sentences, filters = gradient.shape
    rows, which = places.unbind(1)
    count = (len(windows) if packed is None else packed.numel()) // sentences
    of = rows // count * filters + which  # the value that each is a largest window of
    shares = gradient.flatten()[of]
    if len(of) != gradient.numel():  # equal windows
        shares = shares / of.bincount(minlength=gradient.numel())[of]
    of_windows = _weighted_sums(columns.to(shares.dtype), which, shares, rows, count * sentences)
    if packed is not None:
        rows = (packed.flatten().cumsum(0) - 1)[rows]
    if len(of) == gradient.numel():  # one window of each sentence for a filter
        by_filter = which * sentences + of // filters
        rows, shares = (torch.empty_like(x).scatter_(0, by_filter, x) for x in (rows, shares))
        which = torch.arange(filters, device=rows.device).repeat_interleave(sentences)
    else:
        which, order = which.sort(stable=True)
        rows, shares = rows[order], shares[order]
    return of_windows, _weighted_sums(windows.to(shares.dtype), rows, shares, which, filters)


def _weighted_sums(table: Tensor, rows: Tensor, weights: Tensor, into: Tensor, n: int) -> Tensor:
    """n sums of rows (M,) of a table, by weights (M,); `into` (M,), which sum, is sorted."""
    sizes = into.bincount(minlength=n)
    starts = sizes.cumsum(0) - sizes
    return F.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)


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
        for start in range(0, len(text), SENTENCES_AT_ONCE):
            piece = slice(start, start + SENTENCES_AT_ONCE)
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
