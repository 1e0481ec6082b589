"""The relational memory: by hand, and against its own probabilities."""

import math

import pytest
import torch
from networks import remembering
from torch import Tensor, nn
from worlds import FIXED, WORLDS, agree, build, counts_of, enumerate_texts, probabilities, same

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.draw import draw_texts
from textgan.models.generators.relational_memory import RelationalMemoryGenerator

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])

memories = pytest.mark.parametrize("slots", [1, 3])


def normed(vector: Tensor, layer: nn.LayerNorm) -> Tensor:
    unit = (vector - vector.mean()) / (vector.var(correction=0) + 1e-5).sqrt()
    return unit * layer.weight + layer.bias


def updated(generator: RelationalMemoryGenerator, memory: Tensor, symbol: int) -> Tensor:
    """The memory (N, M) of one text after reading a word, number by number."""
    size, heads = generator.size, generator.heads
    each = size // heads
    word = generator.input.weight @ generator.embedding.weight[symbol] + generator.input.bias
    rows = [*memory, word]
    linear, norm = generator.attention
    projected = [normed(linear.weight @ row, norm) for row in rows]
    new = []
    for slot, row in enumerate(memory):
        result = []
        for head in range(heads):
            of_head = [vector[3 * each * head : 3 * each * (head + 1)] for vector in projected]
            query = of_head[slot][:each]
            likeness = torch.stack([query @ vector[each : 2 * each] for vector in of_head])
            weights = (likeness / math.sqrt(3 * each)).softmax(0)
            result.append(sum(w * v[2 * each :] for w, v in zip(weights, of_head, strict=True)))
        written = normed(row + torch.cat(result), generator.after_attention)
        first, last = generator.mlp[0], generator.mlp[2]
        hidden = (first.weight @ written + first.bias).relu()
        written = normed(written + last.weight @ hidden + last.bias, generator.after_mlp)
        gates = generator.gates_of_input.weight @ word
        gates = gates + generator.gates_of_memory.weight @ row.tanh()
        write, keep = gates[:size].sigmoid(), (gates[size:] + 1).sigmoid()
        new.append(write * written.tanh() + keep * row)
    return torch.stack(new)


@memories
def test_the_memory_by_hand(slots: int) -> None:
    generator = remembering(FIXED, slots)
    for parameter in generator.parameters():  # a bias of zero would hide a mistake
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    memory = torch.eye(slots, 6, dtype=torch.float64)
    state = generator.start(2)
    assert all(torch.equal(part, memory) for part in state.carried[0])
    for symbol in (0, 2, 1):
        hidden, state = generator.read(torch.tensor([symbol, symbol]), state)
        memory = updated(generator, memory, symbol)
        assert same(state.carried[0][1], memory)
        assert same(hidden[0], memory.flatten())
    right = generator.output.weight @ memory.flatten() + generator.output.bias
    assert same(generator.logits(hidden)[0], right)
    text = Text.full(torch.tensor([[2, 1, 0]]))
    assert same(generator(text)[0, 2], right)


@worlds
@memories
def test_teacher_forcing_agrees_with_stepping(space: TextSpace, slots: int) -> None:
    generator, texts = remembering(space, slots), enumerate_texts(space)
    rows = torch.rand(4, space.length, space.vocabulary, dtype=torch.float64).softmax(2)
    relaxed = Text(rows.argmax(2), torch.full((4,), space.length), rows)
    for text in (texts, relaxed):
        symbol = torch.full((len(text),), generator.space.bos)
        state = generator.start(len(text))
        logits = []
        for position in range(space.length):
            each, state = generator.step(symbol, state)
            logits.append(each)
            symbol = text.inputs[:, position]
        assert same(generator(text), torch.stack(logits, 1))


@worlds
def test_texts_of_several_slots_have_probabilities_and_are_drawn_with_them(
    space: TextSpace,
) -> None:
    generator, texts = remembering(space, slots=2), enumerate_texts(space)
    chances = probabilities(generator, texts)
    assert abs(chances.sum().item() - 1) < 1e-12
    counts = counts_of(draw_texts(generator, 20_000), space)
    assert agree(counts, chances)
    assert not agree(counts, probabilities(remembering(space, slots=2, seed=1), texts))


def test_the_memory_starts_as_the_codes() -> None:
    generator = build("generator", "relational_memory", TextSpace(5000, 20)).float()
    assert generator.start(1).carried[0].shape == (1, 1, 512)
    assert generator.start(3).carried[0].nonzero().tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    for weight, inputs in (
        (generator.embedding.weight, 5000),
        (generator.input.weight, 32),
        (generator.attention[0].weight, 512),
        (generator.gates_of_memory.weight, 512),
        (generator.output.weight, 512),
    ):
        assert weight.abs().max() <= 2 * inputs**-0.5
        # a normal cut off at two deviations has 0.88 of its deviation left
        assert abs(weight.std().item() * inputs**0.5 - 0.88) < 0.02
    assert not generator.output.bias.any()
    size = 512
    weights = 5000 * 32 + 33 * size + 3 * size * size + 2 * (3 * size + 2 * size)
    weights += 2 * (size * size + size) + 4 * size * size + 5000 * size + 5000
    assert sum(part.numel() for part in generator.parameters()) == weights


def test_classes_begin_with_a_memory_of_their_own() -> None:
    generator = build(
        "generator", "relational_memory", TextSpace(4, 3, classes=2), slots=2, head_size=2
    )
    with pytest.raises(ValueError, match="2 classes need labels"):
        generator.start(3)
    (memory,) = generator.start(3, Condition(torch.tensor([0, 1, 0]))).carried
    assert memory.shape == (3, 2, 4)
    assert torch.equal(memory[0], memory[2])
    assert same(memory[1].flatten(), torch.eye(2, 4).flatten() + generator.classes.weight[1])
