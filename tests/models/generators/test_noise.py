"""Generators that start from noise: each position is written from z alone."""

from typing import Any

import pytest
import torch
from networks import noise_generator
from torch import Tensor, nn
from worlds import FIXED, WORLDS, agree, counts_of, enumerate_texts, gradient, same

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.draw import draw_texts
from textgan.models.generators.noise import NoiseGenerator
from textgan.models.sampling import Categorical, softmax

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])

networks = pytest.mark.parametrize("name", ["convolutional", "noise_lstm"])


def drawn(generator: NoiseGenerator, n: int, seed: int = 7, **how: Any) -> Text:
    """The texts of one and the same noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return generator.sample(n, **how)


@worlds
@networks
def test_rows_are_the_probabilities_that_noise_gives(space: TextSpace, name: str) -> None:
    generator = noise_generator(space, name)
    text = drawn(generator, 5, choose=softmax)
    torch.manual_seed(7)
    logits = generator(torch.randn(5, 3, dtype=torch.float64))
    assert logits.shape == (5, space.length, space.vocabulary)
    assert text.soft_tokens is not None
    assert same(text.soft_tokens, logits.softmax(2))
    assert torch.equal(text.tokens, text.soft_tokens.argmax(2))
    assert text.lengths.tolist() == [space.length] * 5
    assert text.soft_tokens.min() > 0  # padding too is a symbol that can be written
    assert len(torch.unique(text.soft_tokens.flatten(1), dim=0)) == 5  # each its own noise


@worlds
@networks
def test_a_text_is_read_as_the_likeliest_of_its_rows(space: TextSpace, name: str) -> None:
    generator = noise_generator(space, name, **{"init": 3.0} if name == "noise_lstm" else {})
    hard, relaxed = drawn(generator, 400), drawn(generator, 400, choose=softmax)
    again = Text.ended(hard.tokens, space)
    assert torch.equal(again.tokens, hard.tokens) and torch.equal(again.lengths, hard.lengths)
    if space.eos is None:
        assert torch.equal(hard.tokens, relaxed.tokens)
        return
    assert hard.lengths.unique().tolist() == [1, 2, 3]
    assert hard.tokens[hard.mask].all()  # no padding inside a sentence
    for result, likeliest in zip(hard.tokens.tolist(), relaxed.tokens.tolist(), strict=True):
        ends = [t for t, token in enumerate(likeliest) if token in (space.pad, space.eos)]
        end = ends[0] if ends else space.length
        assert result == [*likeliest[:end], space.eos, 0, 0, 0][: space.length]


@networks
def test_given_noise_the_positions_are_independent(name: str) -> None:
    generator = noise_generator(FIXED, name)
    noise = torch.randn(1, 3, dtype=torch.float64)
    logits = generator(noise).detach()
    generator.forward = lambda noise: logits.expand(len(noise), -1, -1)  # type: ignore[method-assign]
    with torch.no_grad():
        sample = generator.sample(30_000, choose=Categorical())
    each = logits[0].softmax(1)
    texts = enumerate_texts(FIXED).tokens
    chances = each[torch.arange(3), texts].prod(1)
    assert agree(counts_of(sample, FIXED), chances)


@worlds
@networks
def test_what_is_chosen_at_one_position_says_nothing_to_the_others(
    space: TextSpace, name: str
) -> None:
    generator = noise_generator(space, name)
    seen: list[Tensor] = []

    def choose(logits: Tensor) -> Tensor:
        seen.append(logits.unflatten(0, (4, -1)))
        tokens = torch.full((4, space.length), 2)
        tokens[:, 0] = 2 if len(seen) == 1 else 1
        return tokens.flatten()

    first, second = (drawn(generator, 4, choose=choose) for _ in range(2))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(first.tokens, second.tokens)


@worlds
@networks
def test_the_gradient_of_a_relaxed_text_is_right(space: TextSpace, name: str) -> None:
    generator = noise_generator(space, name)
    weights = torch.randn(space.length, space.vocabulary, dtype=torch.float64)

    def judged() -> Tensor:
        rows = drawn(generator, 3, choose=softmax).soft_tokens
        assert rows is not None
        return (rows.sin() * weights).sum()

    slope = gradient(judged(), generator)
    trained = [part for part in generator.parameters() if part.requires_grad]
    direction = torch.randn_like(slope)
    step, start = 1e-6, nn.utils.parameters_to_vector(trained)
    ends = []
    with torch.no_grad():
        for sign in (1, -1):
            nn.utils.vector_to_parameters(start + sign * step * direction, trained)
            ends.append(judged())
    assert abs(((ends[0] - ends[1]) / (2 * step) - slope @ direction).item()) < 1e-7
    assert all(part.any() for part in slope.split([part.numel() for part in trained]))


@worlds
@networks
def test_pieces_change_no_text(space: TextSpace, name: str) -> None:
    generator = noise_generator(space, name)
    whole = drawn(generator, 10, choose=softmax)
    sizes: list[int] = []
    generator.register_forward_hook(lambda *hook: sizes.append(len(hook[2])))
    with torch.no_grad():
        assert same(drawn(generator, 10, choose=softmax).soft_tokens, whole.soft_tokens)  # type: ignore[arg-type]
        generator.written_at_once = 4
        assert same(drawn(generator, 10, choose=softmax).soft_tokens, whole.soft_tokens)  # type: ignore[arg-type]
        generator.logits_at_once = 1
        assert torch.equal(drawn(generator, 3).lengths, drawn(generator, 3).lengths)
    assert sizes == [10, 4, 4, 2] + [1] * 6


@networks
def test_a_prefix_is_refused(name: str) -> None:
    generator = noise_generator(FIXED, name)
    with pytest.raises(ValueError, match=rf"{type(generator).__name__} cannot continue a prefix"):
        generator.sample(1, prefix=torch.tensor([[2]]))


@networks
def test_a_class_shifts_the_noise(name: str) -> None:
    space = TextSpace(3, 3, classes=2)
    generator = noise_generator(space, name)
    rows = []
    for label in (0, 1):
        labels = torch.full((6,), label)
        text = drawn(generator, 6, choose=softmax, condition=Condition(labels))
        assert text.labels is labels
        rows.append(text.soft_tokens)
    torch.manual_seed(7)
    noise = torch.randn(6, 3, dtype=torch.float64) + generator.classes.weight[1]
    assert same(rows[1], generator(noise).softmax(2))  # type: ignore[arg-type]
    assert not same(rows[0], rows[1])  # type: ignore[arg-type]
    labels = draw_texts(generator, 200).labels
    assert labels is not None and 60 < labels.sum() < 140


@networks
def test_texts_keep_what_they_answer(name: str) -> None:
    source = enumerate_texts(FIXED)[:2]
    condition = Condition(source=source)
    assert noise_generator(FIXED, name).sample(2, condition=condition).source is source
    assert (
        noise_generator(FIXED, name).sample(2, condition=condition, choose=softmax).source is source
    )
