"""Generators that start from noise, and the residual discriminator."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    agree,
    build,
    counts_of,
    enumerate_texts,
    gradient,
    one_hot,
    same,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.residual import ResidualDiscriminator
from textgan.models.draw import draw_texts
from textgan.models.generators import noise as noise_generators
from textgan.models.generators.convolutional import ConvolutionalGenerator, ResidualBlock
from textgan.models.generators.noise import NoiseGenerator
from textgan.models.generators.noise_lstm import NoiseLSTMGenerator
from textgan.models.sampling import Categorical, softmax

SMALL: dict[str, dict[str, Any]] = {
    "convolutional": {"noise": 3, "channels": 4, "blocks": 2},
    "noise_lstm": {"noise": 3, "embedding": 3, "hidden": 4, "init": 0.7},
}
worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
networks = pytest.mark.parametrize("name", list(SMALL))


def small(space: TextSpace, name: str, **settings: Any) -> NoiseGenerator:
    generator: NoiseGenerator = build("generator", name, space, **SMALL[name] | settings)
    for key, parameter in generator.named_parameters():  # zeros would hide a mistake
        if "bias" in key and parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) / 2
    return generator


def drawn(generator: NoiseGenerator, n: int, seed: int = 7, **how: Any) -> Text:
    """The texts of one and the same noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return generator.sample(n, **how)


# --- both generators ---


@worlds
@networks
def test_rows_are_the_probabilities_that_noise_gives(space: TextSpace, name: str) -> None:
    generator = small(space, name)
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
    generator = small(space, name, **{"init": 3.0} if name == "noise_lstm" else {})
    hard, relaxed = drawn(generator, 400), drawn(generator, 400, choose=softmax)
    again = Text.ended(hard.tokens, space)
    assert torch.equal(again.tokens, hard.tokens) and torch.equal(again.lengths, hard.lengths)
    if space.eos is None:
        assert torch.equal(hard.tokens, relaxed.tokens)
        return
    assert hard.lengths.unique().tolist() == [1, 2, 3]
    assert hard.tokens[hard.mask].all()  # no padding inside a sentence
    for found, likeliest in zip(hard.tokens.tolist(), relaxed.tokens.tolist(), strict=True):
        ends = [t for t, token in enumerate(likeliest) if token in (space.pad, space.eos)]
        end = ends[0] if ends else space.length
        assert found == [*likeliest[:end], space.eos, 0, 0, 0][: space.length]


@networks
def test_given_noise_the_positions_are_independent(name: str) -> None:
    generator = small(FIXED, name)
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
    generator = small(space, name)
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
    generator = small(space, name)
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
def test_pieces_change_no_text(
    space: TextSpace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = small(space, name)
    whole = drawn(generator, 10, choose=softmax)
    sizes: list[int] = []
    generator.register_forward_hook(lambda *hook: sizes.append(len(hook[2])))
    with torch.no_grad():
        assert same(drawn(generator, 10, choose=softmax).soft_tokens, whole.soft_tokens)  # type: ignore[arg-type]
        monkeypatch.setattr(noise_generators, "WRITTEN_AT_ONCE", 4)
        assert same(drawn(generator, 10, choose=softmax).soft_tokens, whole.soft_tokens)  # type: ignore[arg-type]
        monkeypatch.setattr(noise_generators, "LOGITS_AT_ONCE", 1)
        assert torch.equal(drawn(generator, 3).lengths, drawn(generator, 3).lengths)
    assert sizes == [10, 4, 4, 2] + [1] * 6


@networks
def test_a_prefix_is_refused(name: str) -> None:
    generator = small(FIXED, name)
    with pytest.raises(ValueError, match=rf"{type(generator).__name__} cannot continue a prefix"):
        generator.sample(1, prefix=torch.tensor([[2]]))


@networks
def test_a_class_shifts_the_noise(name: str) -> None:
    space = TextSpace(3, 3, classes=2)
    generator = small(space, name)
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
    assert small(FIXED, name).sample(2, condition=condition).source is source
    assert small(FIXED, name).sample(2, condition=condition, choose=softmax).source is source


# --- the convolutional one ---


def test_a_block_by_hand() -> None:
    block = ResidualBlock(2).double()
    vectors = torch.randn(3, 2, 4, dtype=torch.float64)
    for convolution in (block.first, block.second):
        assert convolution.bias is not None
        convolution.bias.data = torch.randn(2, dtype=torch.float64)

    def convolve(convolution: nn.Conv1d, values: Tensor) -> Tensor:
        assert convolution.bias is not None
        wide = F.pad(values, (2, 2))
        columns = [
            torch.einsum("bck,dck->bd", wide[:, :, t : t + 5], convolution.weight)
            for t in range(values.shape[2])
        ]
        return torch.stack(columns, 2) + convolution.bias[:, None]

    right = vectors + 0.3 * convolve(block.second, convolve(block.first, vectors.relu()).relu())
    assert same(block(vectors), right)


def test_the_convolutional_generator_is_the_papers() -> None:
    generator = ConvolutionalGenerator(TextSpace(100, 32, eos=1))
    blocks = 5 * 2 * (5 * 512 * 512 + 512)
    expected = 32 * 512 * (128 + 1) + blocks + 100 * (512 + 1)
    assert sum(part.numel() for part in generator.parameters()) == expected
    for name, parameter in generator.named_parameters():
        if "bias" in name:
            assert not parameter.any()
            continue
        inputs = parameter[0].numel()
        outputs = len(parameter) * (5 if "blocks" in name else 1)
        gain = 2 if name == "input.weight" else 4
        assert abs(parameter.std().item() / (gain / (inputs + outputs)) ** 0.5 - 1) < 0.02
        assert parameter.abs().max() / parameter.std() < 1.8  # even, not normal


def test_noise_becomes_one_vector_a_position() -> None:
    # the released code lays the linear layer out as channels by positions
    generator = small(FIXED, "convolutional", blocks=0)
    assert isinstance(generator, ConvolutionalGenerator)
    noise = torch.randn(2, 3, dtype=torch.float64)
    vectors = generator.input(noise).view(2, 4, 3)
    right = torch.stack([generator.output(vectors[:, :, t]) for t in range(3)], 1)
    assert same(generator(noise), right)


# --- the LSTM ---


def test_the_lstm_reads_its_own_rows() -> None:
    generator = small(VARIABLE, "noise_lstm")
    assert isinstance(generator, NoiseLSTMGenerator)
    noise = torch.randn(2, 3, dtype=torch.float64)
    table = generator.embedding.weight
    hidden, cell = generator.start(noise).split(4, 1)
    read = table[[0, 0]]
    for t in range(3):
        hidden, cell = generator.cell(read, (hidden, cell))
        logits = generator.output(hidden)
        assert same(generator(noise)[:, t], logits)
        read = logits.softmax(1) @ table


# --- the residual discriminator ---


def judge_of(space: TextSpace, **settings: Any) -> ResidualDiscriminator:
    told = {"channels": 4, "blocks": 2} | settings
    judge: ResidualDiscriminator = build("discriminator", "residual", space, **told)
    for name, parameter in judge.named_parameters():
        if "bias" in name:
            parameter.data = torch.randn_like(parameter) / 2
    return judge


@worlds
def test_the_residual_discriminator_reads_tokens_as_their_rows(space: TextSpace) -> None:
    judge, texts = judge_of(space), enumerate_texts(space)
    scores = judge(texts)
    assert scores.shape == (len(texts),)
    assert len(torch.unique(scores)) == len(texts)
    assert same(judge(one_hot(texts, space)), scores)  # padding is a symbol for both
    vectors = judge.embedding.weight[texts.tokens].transpose(1, 2)
    features = judge.blocks(vectors).reshape(len(texts), -1)
    assert same(judge.features(texts), features)
    assert same(scores, features @ judge.output.weight[0] + judge.output.bias)


def test_padding_changes_no_score_of_the_residual_discriminator() -> None:
    judge, texts = judge_of(VARIABLE), enumerate_texts(VARIABLE)
    scores = judge(texts)
    assert same(judge(texts.pad_to(7)), scores)
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    assert same(judge(scribbled), scores)
    (slope,) = torch.autograd.grad(scores.sum(), [judge.embedding.weight])
    assert slope.any(1).all()  # where a text ends is something to judge by


@worlds
def test_the_residual_discriminator_has_no_weight_of_no_use(space: TextSpace) -> None:
    judge, texts = judge_of(space), enumerate_texts(space)
    (judge(texts[:5]).mean() - judge(texts[5:]).mean()).backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None
        # the output's bias is the one that a difference of scores cannot see
        assert (parameter.grad.abs().max() > 1e-9) == (name != "output.bias")


def test_the_residual_discriminator_is_the_papers() -> None:
    judge = ResidualDiscriminator(TextSpace(100, 32, eos=1))
    blocks = 5 * 2 * (5 * 512 * 512 + 512) - 512  # the last bias is the output layer's
    assert sum(part.numel() for part in judge.parameters()) == 100 * 512 + blocks + 32 * 512 + 1
    for parameter, variance in [
        (judge.embedding.weight, 4 / (100 + 512)),
        (judge.output.weight, 2 / (32 * 512 + 1)),
    ]:
        assert abs(parameter.std().item() / variance**0.5 - 1) < 0.03
    assert not [module for module in judge.modules() if "Norm" in type(module).__name__]


def test_the_residual_discriminator_sees_one_class_at_a_time() -> None:
    space = TextSpace(3, 3, classes=2)
    judge, texts = judge_of(space), enumerate_texts(space)
    both = judge.class_logits(texts)
    assert both.shape == (27, 2)
    labels = torch.arange(27) % 2
    labelled = Text(texts.tokens, texts.lengths, condition=Condition(labels))
    assert same(judge(labelled), both[torch.arange(27), labels])
