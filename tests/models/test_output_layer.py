"""The layer to the vocabulary: what it draws and how likely it calls it, against the plain way."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from worlds import agree, same

from textgan.models.output_layer import BLOCK, BlockSampler, log_prob_of

TYPES = [torch.float32, torch.float64]


def layer(vocabulary: int, scale: float = 1.0, kind: torch.dtype = torch.float64) -> list[Tensor]:
    """hidden (6, 3), weight (V, 3) and bias (V,)."""
    torch.manual_seed(0)
    parts = torch.randn(6, 3), scale * torch.randn(vocabulary, 3), torch.randn(vocabulary)
    return [part.to(kind).requires_grad_() for part in parts]


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, tokens: Tensor) -> Tensor:
    return F.linear(hidden, weight, bias).log_softmax(1).gather(1, tokens.unsqueeze(1)).squeeze(1)


def derivatives(result: Tensor, of: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(result, of, torch.linspace(-1, 2, len(result)).to(result))


# what is in memory at once: everything, or two rows of 11 logits, with and without keeping
MEMORY: dict[str, dict[str, int]] = {
    "whole": {}, "kept in blocks": {"block": 22, "kept": 10**6},
    "made again": {"block": 22, "kept": 22},
}  # fmt: skip
memory = pytest.mark.parametrize("memory", MEMORY.values(), ids=MEMORY)


@memory
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_log_prob_and_its_gradients_are_those_of_the_plain_formula(
    scale: float, memory: dict[str, int]
) -> None:
    parts, tokens = layer(11, scale), torch.tensor([0, 3, 3, 10, 7, 1])
    result, expected = log_prob_of(*parts, tokens, **memory), plain(*parts, tokens)
    assert same(result, expected, 1e-10 * scale)
    for a, b in zip(derivatives(result, parts), derivatives(expected, parts), strict=True):
        assert same(a, b, 1e-10 * scale)


@memory
def test_logits_that_overflow_are_shifted_in_their_rows_alone(memory: dict[str, int]) -> None:
    hidden, weight, bias = layer(11, kind=torch.float32)
    tokens = torch.tensor([0, 3, 3, 10, 7, 1])
    with torch.no_grad():
        bias += torch.tensor(5000.0)
        hidden[1] -= 3000
        bias[4] = -1e9
    parts = [hidden, weight, bias]
    result, expected = log_prob_of(*parts, tokens, **memory), plain(*parts, tokens)
    assert expected[1] < -1000
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=2e-3)  # of logits near 5,000
    for a, b in zip(derivatives(result, parts), derivatives(expected, parts), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "wanted", [w for n in (1, 2, 3) for w in itertools.combinations(range(3), n)]
)
def test_only_the_gradients_that_are_wanted_are_made(wanted: tuple[int, ...]) -> None:
    parts, tokens = layer(11), torch.arange(6)
    for index, part in enumerate(parts):
        part.requires_grad_(index in wanted)
    of = [parts[index] for index in wanted]
    result = derivatives(log_prob_of(*parts, tokens), of)
    for a, b in zip(result, derivatives(plain(*parts, tokens), of), strict=True):
        assert same(a, b)


def test_an_impossible_token_has_the_logarithm_of_nothing_and_no_share() -> None:
    hidden, weight, bias = layer(5)
    with torch.no_grad():
        bias[2] = -1e9
    result = log_prob_of(hidden, weight, bias, torch.tensor([2, 0, 1, 3, 4, 0]))
    assert result[0] < -0.9e9 and (result[1:] > -100).all()
    (gradient,) = torch.autograd.grad(result[1:].sum(), weight)
    assert not gradient[2].any()


def test_no_rows_have_no_log_prob() -> None:
    hidden, weight, bias = layer(5)
    result = log_prob_of(hidden[:0], weight, bias, torch.zeros(0, dtype=torch.long))
    assert result.shape == (0,)
    (gradient,) = torch.autograd.grad(result.sum(), weight)
    assert not gradient.any()


def test_not_a_number_stays_one() -> None:
    hidden, weight, bias = layer(5)
    with torch.no_grad():
        hidden[2] = torch.nan
    result = log_prob_of(hidden, weight, bias, torch.zeros(6, dtype=torch.long))
    assert result.isnan().tolist() == [False, False, True, False, False, False]
    tokens = BlockSampler(weight, bias)(hidden)
    assert ((tokens >= 0) & (tokens < 5)).all()


def test_autocast_leaves_the_layer_in_its_own_precision() -> None:
    parts, tokens = layer(11, kind=torch.float32), torch.arange(6)
    expected = log_prob_of(*parts, tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(log_prob_of(*parts, tokens), expected)
        assert torch.equal(log_prob_of(parts[0].double(), *parts[1:], tokens), expected)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize("vocabulary", [7, 200, 350, 1037])
@pytest.mark.parametrize("shift", [0.0, 500.0])
def test_tokens_are_drawn_with_the_exact_probabilities(
    vocabulary: int, temperature: float, kind: torch.dtype, shift: float
) -> None:
    hidden, weight, bias = (part.detach() for part in layer(vocabulary, kind=kind))
    bias += shift  # beyond 88 nothing of it has an exponential in float32
    bias[3] = -1e9
    drawer, n = BlockSampler(weight, bias, temperature), 3000
    for row in hidden[:2]:
        tokens = torch.cat([drawer(row.expand(n, -1)) for _ in range(10)])
        chances = ((weight @ row + bias) / temperature).double().softmax(0)
        assert agree(torch.bincount(tokens, minlength=vocabulary), chances)


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-44])
def test_next_to_temperature_zero_the_likeliest_token_is_drawn(temperature: float) -> None:
    hidden, weight, bias = (part.detach() for part in layer(11, kind=torch.float32))
    bias[3] = -1e9
    likeliest = (hidden @ weight.t() + bias).argmax(1)
    assert torch.equal(BlockSampler(weight, bias, temperature)(hidden), likeliest)


def test_every_row_is_drawn_from_its_own_distribution() -> None:
    hidden, weight, bias = layer(300)
    drawer = BlockSampler(weight, bias, block=2 * 300)  # two rows at once
    tokens = torch.stack([drawer(hidden[:5]) for _ in range(3000)])
    assert tokens.shape == (3000, 5)
    for row in range(5):
        chances = (weight @ hidden[row] + bias).detach().softmax(0)
        assert agree(torch.bincount(tokens[:, row], minlength=300), chances)


def test_rows_of_which_one_overflows_are_drawn_as_they_should_be() -> None:
    weight, bias = torch.zeros(4, 1), torch.tensor([0.0, 1.0, 2.0, -torch.inf])
    weight[:, 0] = torch.tensor([1.0, 1.0, 1.0, 0.0])
    hidden = torch.tensor([[0.0], [400.0], [-400.0]]).repeat(10_000, 1)
    tokens = BlockSampler(weight, bias)(hidden).view(-1, 3)
    for column in range(3):
        assert agree(torch.bincount(tokens[:, column], minlength=4), bias.double().softmax(0))


@pytest.mark.parametrize("block", [22, BLOCK])
def test_a_drawer_keeps_the_weights_it_was_made_with(block: int) -> None:
    hidden, weight, bias = layer(11)
    drawer = BlockSampler(weight, bias, block=block)
    torch.manual_seed(3)
    before = drawer(hidden)
    with torch.no_grad():
        weight.zero_()
    torch.manual_seed(3)
    assert torch.equal(drawer(hidden), before)
    assert not before.requires_grad
