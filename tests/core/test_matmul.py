"""Products by either library are those of the formula, and the choice between them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core import matmul as module
from textgan.core.errors import UserError
from textgan.core.matmul import (
    LIBRARIES,
    TYPICAL,
    VARIABLE,
    Library,
    Linear,
    fastest_library,
    library_now,
    linear,
    matmul,
    matmul_by,
    outer,
)
from textgan.core.precision import precision

CPU = torch.device("cpu")
# rows, inner size, columns; the last has no row
SHAPES = [(7, 5, 3), (64, 130, 129), (1, 300, 4), (33, 1, 65), (0, 4, 3)]


def near(result: Tensor, right: Tensor) -> bool:
    """Whether float32 products are those of float64, to rounding."""
    return torch.allclose(result.double(), right, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("turned", [(), ("left",), ("right",), ("left", "right")])
def test_a_product_is_that_of_its_formula(
    library: Library, shape: tuple[int, int, int], turned: tuple[str, ...]
) -> None:
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    exact = left.double() @ right.double()
    left = left.t().contiguous().t() if "left" in turned else left
    right = right.t().contiguous().t() if "right" in turned else right
    with matmul_by(library, smallest=0):
        assert near(matmul(left, right), exact)
        assert near(matmul(left, right, out=torch.empty(rows, columns)), exact)
        assert near(outer(left.t(), right), exact)
        assert near(linear(left, right.t()), exact)


@pytest.mark.parametrize("library", LIBRARIES)
def test_factors_of_any_strides_are_taken(library: Library) -> None:
    filters = torch.randn(30, 40, 3)  # (F, E, k): a slice of it lies scattered in memory
    rows = torch.randn(50, 80)[:, ::2]
    with matmul_by(library, smallest=0):
        result = matmul(rows, filters[:, :, 1].t())
    assert near(result, rows.double() @ filters[:, :, 1].double().t())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_large_thin_product_is_made_in_blocks(library: Library) -> None:
    columns, rows = torch.randn(3, 1100), torch.randn(3, 1000)
    with matmul_by(library):
        for block in (7, 40):
            assert near(outer(columns, rows, block), columns.double().t() @ rows.double())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_linear_layer_has_the_derivatives_of_torch(library: Library, with_bias: bool) -> None:
    layer = Linear(6, 4, bias=with_bias)
    rows = torch.randn(2, 5, 6, requires_grad=True)
    of = [rows, *layer.parameters()]

    def derivatives(apply: Callable[[Tensor], Tensor]) -> list[Tensor]:
        value = apply(rows)
        first = torch.autograd.grad(value.tanh().square().sum(), of, create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in first), of)
        plain = torch.autograd.grad(apply(rows).square().sum(), of)  # no graph of its own
        return [value, *first, *second, *plain]

    with matmul_by(library, smallest=0):
        result = derivatives(layer)
    right = derivatives(lambda rows: F.linear(rows, layer.weight, layer.bias))
    for a, b in zip(result, right, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("twice", [False, True])
def test_a_layer_of_low_precision_is_near_that_of_float32(twice: bool) -> None:
    layer = Linear(256, 128)
    rows = torch.randn(64, 256, requires_grad=True)
    of = [rows, *layer.parameters()]

    def derivatives(apply: Callable[[Tensor], Tensor]) -> list[Tensor]:
        value = apply(rows)
        first = torch.autograd.grad(value.square().sum(), of, create_graph=twice)
        if not twice:
            return [value, *first]
        second = torch.autograd.grad(sum(part.square().sum() for part in first), of)
        return [value, *first, *second]

    right = derivatives(lambda rows: F.linear(rows, layer.weight, layer.bias))
    with precision("bf16", CPU):
        result = derivatives(lambda rows: linear(rows, layer.weight, layer.bias, rounded=True))
    for a, b in zip(result, right, strict=True):
        assert a.dtype == torch.float32
        assert not torch.equal(a, b)  # it is rounded
        assert (a - b).norm() < 0.02 * b.norm()  # bfloat16 has 8 bits


def test_products_that_oneDNN_is_not_for_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[torch.dtype] = []

    def listen(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
        taken.append(left.dtype)
        return left @ right

    monkeypatch.setattr(module, "_onednn", listen)
    small, large = torch.randn(2, 3), torch.randn(1024, 1024)
    with matmul_by("onednn"):
        matmul(small, small.t())  # too small to gain
        matmul(large.double(), large.double())
        with precision("bf16", CPU):
            matmul(large, large)
        with matmul_by("blas"):
            matmul(large, large)
        assert taken == []
        matmul(large, large)
        assert taken == [torch.float32]


def test_the_library_is_the_one_set_else_of_the_environment_else_the_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert library_now() == fastest_library()
    for named in LIBRARIES:
        monkeypatch.setenv(VARIABLE, named)
        assert library_now() == named
        with matmul_by("blas"):
            assert library_now() == "blas"
        assert library_now() == named
    monkeypatch.setenv(VARIABLE, "auto")
    assert library_now() == fastest_library()
    monkeypatch.setenv(VARIABLE, "cublas")
    with pytest.raises(UserError, match="TEXTGAN_MATMUL = 'cublas': give blas, onednn or auto"):
        library_now()


@pytest.mark.parametrize(
    ("times", "fastest"), [((1.0, 2.0), "onednn"), ((1.0, 1.2), "blas"), ((2.0, 1.0), "blas")]
)
def test_oneDNN_has_to_be_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, times: tuple[float, float], fastest: str
) -> None:
    onednn, blas = times
    monkeypatch.setattr(module, "_seconds", lambda *_: (blas, onednn))
    before = torch.get_num_threads()
    assert fastest_library.__wrapped__() == fastest
    assert torch.get_num_threads() == before
    assert all(m * k * n > module.SMALLEST for m, k, n in TYPICAL)


def test_a_torch_without_the_operator_takes_its_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.setattr(module, "_onednn", gone)
    module._has_onednn.cache_clear()
    try:
        assert fastest_library.__wrapped__() == "blas"
        with matmul_by("onednn", smallest=0):
            assert library_now() == "blas"
            assert near(
                matmul(torch.ones(2, 3), torch.ones(3, 2)), torch.full((2, 2), 3.0).double()
            )
    finally:
        module._has_onednn.cache_clear()
