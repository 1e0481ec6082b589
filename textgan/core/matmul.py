"""Matrix products of float32 on a processor, by the faster of the two libraries that torch has.

torch sends `mm` to its BLAS. Where that is MKL and the processor is not Intel's, it runs a kernel
without AVX-512, which is half as fast as oneDNN's; oneDNN torch uses for convolutions alone. So the
products here go to either, all products of a process to the same: to the one that is set
(`matmul_by`), or else to the one that is faster here (`fastest_library`). They differ in the last
bits.

Products of other types, on other devices, in lower precision or too small to gain are torch's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.checks import choice_from
from textgan.core.precision import factor_type

Library = Literal["blas", "onednn"]
LIBRARIES: tuple[Library, ...] = ("blas", "onednn")
VARIABLE = "TEXTGAN_MATMUL"  # of the environment: the library of products that no run decides

SMALLEST = 2**20  # multiplications below which a call of oneDNN costs more than it saves
# how many times as fast oneDNN must be: far from a tie, so that a machine always chooses the same
GAIN = 1.25
# rows, inner size and columns of three products of the paper's: highway, filters, vocabulary
TYPICAL = ((64, 1720, 3440), (704, 640, 100), (512, 33, 5000))
BLOCK = 40  # rows of a large gradient that BLAS makes at a time: 280 KB at the paper's size
LARGE, THIN = 2**20, 128  # entries of a product too large for the cache; inner size of a thin one

_asked: ContextVar[Library | None] = ContextVar("asked", default=None)
_smallest: ContextVar[int] = ContextVar("smallest", default=SMALLEST)


@contextmanager
def matmul_by(library: Library | None, smallest: int = SMALLEST) -> Iterator[None]:
    """Take products inside by that library, where this torch has it; None: by the fastest.

    smallest: multiplications from which a product is one of these.
    """
    tokens = _asked.set(library), _smallest.set(smallest)
    try:
        yield
    finally:
        _asked.reset(tokens[0])
        _smallest.reset(tokens[1])


def library_now() -> Library:
    """The library of products at the moment.

    Raises UserError where the environment names one that does not exist.
    """
    asked = _asked.get()
    if asked is None:
        asked = _from_environment() or fastest_library()
    return asked if _has_onednn() else "blas"


def _from_environment() -> Library | None:
    named = os.environ.get(VARIABLE, "")
    if named in ("", "auto"):
        return None
    return choice_from(VARIABLE, named, (*LIBRARIES, "auto"))  # type: ignore[return-value]


@cache
def fastest_library() -> Library:
    """Return the library that takes three typical products faster, by a measurement of some 50 ms
    in each process.

    It counts the processor's time of one thread, the libraries in turn, so that other work on the
    machine does not change the choice.
    """
    if not _has_onednn():
        return "blas"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            times = [_seconds(torch.ones(m, k), torch.ones(k, n)) for m, k, n in TYPICAL]
    finally:
        torch.set_num_threads(threads)
    blas, onednn = (sum(of) for of in zip(*times, strict=True))
    return "onednn" if blas / onednn > GAIN else "blas"


def _seconds(left: Tensor, right: Tensor, repeats: int = 6) -> tuple[float, float]:
    """The least seconds of a product by BLAS, and by oneDNN."""

    def took(product: Callable[[Tensor, Tensor], Tensor]) -> float:
        start = time.thread_time()
        product(left, right)
        return time.thread_time() - start

    pairs = [(took(torch.mm), took(_onednn)) for _ in range(repeats)]
    return min(blas for blas, _ in pairs), min(onednn for _, onednn in pairs)


@cache
def _has_onednn() -> bool:
    """Whether this torch has oneDNN's product, an operator of its own that may change, and it is
    right."""
    try:
        left, right = torch.ones(2, 3), torch.full((3, 2), 2.0)
        return torch.equal(_onednn(left, right), torch.full((2, 2), 6.0))
    except (AttributeError, RuntimeError, TypeError):
        return False


def matmul(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """Return left (M, K) @ right (K, N), without a gradient of its own.

    out: memory (M, N) that may be used for the product.
    """
    if _may_choose(left, right) and library_now() == "onednn":
        return _onednn(left, right)
    product: Tensor = torch.mm(left, right, out=out)
    return product


def linear(
    rows: Tensor, weight: Tensor, bias: Tensor | None = None, *, rounded: bool = False
) -> Tensor:
    """Map rows (..., K) to rows @ weight (N, K).T + bias (N,); any derivative can be taken.

    rounded: whether the product, too, may have the precision that factors are rounded to.
    """
    if rows.dim() < 2:
        return F.linear(rows, weight, bias)
    flat = rows.flatten(0, -2)
    if rounded and _is_large(flat, weight.t()) and factor_type(flat) == torch.bfloat16:
        layer: type[torch.autograd.Function] = _RoundedLinear
    elif _may_choose(flat, weight.t()):
        layer = _Linear
    else:
        return F.linear(rows, weight, bias)
    product: Tensor = layer.apply(flat, weight, bias)
    return product.view(*rows.shape[:-1], len(weight))


class Linear(nn.Linear):
    """nn.Linear by `linear`."""

    def forward(self, rows: Tensor) -> Tensor:
        """Map (..., K) to (..., N)."""
        return linear(rows, self.weight, self.bias)


def outer(columns: Tensor, rows: Tensor, block: int = BLOCK) -> Tensor:
    """Return columns (R, M).T @ rows (R, N), the gradient of a weight, of few rows.

    BLAS takes such a product of thin factors at half its speed where the result is not in the
    cache, so it makes a large one in blocks of rows that stay there.
    """
    left = columns.t()
    large = left.shape[0] * rows.shape[1] > LARGE and len(rows) <= THIN
    if not (large and _may_choose(left, rows)) or library_now() == "onednn":
        return matmul(left, rows)
    left, product = left.contiguous(), rows.new_empty(left.shape[0], rows.shape[1])
    for some, place in zip(left.split(block), product.split(block), strict=True):
        torch.mm(some, rows, out=place)
    return product


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        if library_now() == "onednn":
            return _onednn(rows, weight.t(), bias)
        return F.linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        # for second derivatives, products that have some
        twice = torch.is_grad_enabled()
        of_rows = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_rows = gradient @ weight if twice else matmul(gradient, weight)
        if ctx.needs_input_grad[1]:
            of_weight = gradient.t() @ rows if twice else outer(gradient, rows)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_rows, of_weight, of_bias


class _RoundedLinear(torch.autograd.Function):
    """A layer of bfloat16 factors and products, whose weight is rounded once for all three.

    torch rounds the factors of each product anew, which takes as long as it saves where they are
    few rows and a large weight.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        low, low_weight = rows.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rows, weight, low, low_weight)
        product = F.linear(low, low_weight).float()
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, low, low_weight = ctx.saved_tensors
        if not torch.is_grad_enabled():  # else second derivatives, by what is given
            rows, weight, factor = low, low_weight, gradient.bfloat16()
        else:
            factor = gradient
        of_rows = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_rows = (factor @ weight).float()
        if ctx.needs_input_grad[1]:
            of_weight = (factor.t() @ rows).float()
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_rows, of_weight, of_bias


def _may_choose(left: Tensor, right: Tensor) -> bool:
    """Whether the product is one of those that either library may take."""
    return _is_large(left, right) and factor_type(left) == torch.float32


def _is_large(left: Tensor, right: Tensor) -> bool:
    """Whether it is a product of float32 on a processor that is not too small to gain."""
    return (
        left.dtype == right.dtype == torch.float32
        and left.device.type == right.device.type == "cpu"
        and left.numel() * right.shape[1] >= _smallest.get()
    )


def _onednn(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left (M, K) @ right (K, N) + bias (N,) by oneDNN."""
    # other strides make it fall back to code that takes minutes
    left, right = _dense(left), _dense(right)
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(
        left.detach(), right.t().detach(), None if bias is None else bias.detach(), "none", [], ""
    )
    return product


def _dense(matrix: Tensor) -> Tensor:
    """The matrix with rows or columns that lie side by side in memory."""
    if matrix.is_contiguous() or matrix.t().is_contiguous():
        return matrix
    return matrix.contiguous()
