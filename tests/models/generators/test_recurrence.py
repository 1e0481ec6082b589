"""Recurrences with their gradients written out, against torch's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from worlds import same

from textgan.models.generators import recurrence
from textgan.models.generators.recurrence import (
    Alignment,
    Packing,
    conditional_gru,
    gru,
    gru_step,
    weigh,
)

LENGTHS = torch.tensor([2, 5, 1, 5, 3])
WIDTH, SIZE = 6, 3
ways = pytest.mark.parametrize("asks", [True, False], ids=["sorted", "all"])


@pytest.fixture
def packing(asks: bool, monkeypatch: pytest.MonkeyPatch) -> Packing:
    monkeypatch.setattr(recurrence, "is_asynchronous", lambda tensor: not asks)
    return Packing.of(LENGTHS, WIDTH)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def slopes(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(value, inputs))


@ways
def test_what_is_packed_is_unpacked(asks: bool, packing: Packing) -> None:
    values = drawn(len(LENGTHS), WIDTH, 2)
    mask = torch.arange(WIDTH) < LENGTHS.unsqueeze(1)
    expected = values if not asks else values * mask.unsqueeze(2)
    assert same(packing.unpack(packing.pack(values), WIDTH), expected)
    assert sum(packing.sizes) == (int(LENGTHS.sum()) if asks else len(LENGTHS) * WIDTH)
    assert packing.sizes == sorted(packing.sizes, reverse=True)


@pytest.mark.parametrize("end", ["", "_reverse"])
def test_a_gru_is_torchs(end: str) -> None:
    network = nn.GRU(2, SIZE, batch_first=True, bidirectional=True).double()
    values = drawn(len(LENGTHS), WIDTH, 2)
    packed = pack_padded_sequence(values, LENGTHS, True, False)
    both = pad_packed_sequence(network(packed)[0], True, total_length=WIDTH)[0]
    expected = both[:, :, SIZE:] if end else both[:, :, :SIZE]
    weights = dict(network.named_parameters())
    used = [weights[f"{n}_l0{end}"] for n in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")]
    packing = Packing.of(LENGTHS, WIDTH)
    packing = packing.reversed(LENGTHS) if end else packing
    given = nn.functional.linear(packing.pack(values), *used[:2])
    states = packing.unpack(gru(given, *used[2:], packing), WIDTH)
    assert same(states, expected)
    weight = torch.randn_like(states)
    ours, theirs = (slopes((one * weight).sum(), [values, *used]) for one in (states, expected))
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


@ways
def test_a_conditional_gru_is_its_steps(asks: bool, packing: Packing) -> None:
    sources, align = 4, 2
    mask = torch.arange(sources) <= torch.arange(len(LENGTHS)).unsqueeze(1) % sources
    given, first = drawn(len(LENGTHS), WIDTH, 3 * SIZE), drawn(len(LENGTHS), SIZE)
    parts = Alignment(
        drawn(3 * SIZE, SIZE),
        drawn(align + 3 * SIZE, SIZE),
        drawn(align + 3 * SIZE),
        drawn(align),
        drawn(len(LENGTHS), sources, align),
        drawn(len(LENGTHS), sources, 3 * SIZE),
    )
    states, weights = (
        packing.unpack(one, WIDTH)
        for one in conditional_gru(packing.pack(given), first, parts, mask, packing)
    )
    state, plain_states, plain_weights = first, [], []
    for step in given.unbind(1):
        middle, _ = gru_step(step, state @ parts.of_state.t(), state)
        query, own = (middle @ parts.of_middle.t() + parts.bias).split([align, 3 * SIZE], 1)
        weight = weigh(query.unsqueeze(1), parts.key, parts.alignment, mask)
        state, _ = gru_step((weight @ parts.of_gates).squeeze(1), own, middle)
        plain_states.append(state)
        plain_weights.append(weight.squeeze(1))
    inside = torch.arange(WIDTH) < LENGTHS.unsqueeze(1)
    pairs = [(states, torch.stack(plain_states, 1)), (weights, torch.stack(plain_weights, 1))]
    inputs, values = [given, first, *parts], []
    for number in (0, 1):
        weight = torch.randn_like(pairs[number][0]) * inside.unsqueeze(2)
        assert all(same(one[inside], pairs[number][0][inside]) for one in pairs[number])
        values.append([(one * weight).sum() for one in pairs[number]])
    ours, theirs = (slopes(values[0][who] + values[1][who], inputs) for who in (0, 1))
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


def test_scores_are_those_of_tanh() -> None:
    query, key, alignment = drawn(2, 3, 4), drawn(2, 5, 4), drawn(4)
    mask = torch.ones(2, 5, dtype=torch.bool)
    scores = (query.unsqueeze(2) + key.unsqueeze(1)).tanh() @ alignment
    assert same(weigh(query, 2 * key, alignment, mask), scores.softmax(2))
