from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from answers import ANSWERS, all_answers, answering, sources
from seq2seq import Attention
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    Uniform,
    agree,
    counts_of,
    enumerate_texts,
    exact_values,
    log_probs,
    probabilities,
    random_rewards,
    reward_of,
    same,
    small_generator,
    texts_of,
)

from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.output_layer import BlockSampler
from textgan.models.rollout import roll_out, rollout_bytes, rollout_values
from textgan.models.sampling import HiddenSampler, Sampler, pick_in_blocks

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
networks = pytest.mark.parametrize("name", ["lstm", "gru"])


def within_four_errors(
    generator: AutoregressiveGenerator, texts: Text, rewards: Tensor, result: Tensor, n: int
) -> bool:
    """Whether means of n rewards are the exact values, up to four standard errors each."""
    right = exact_values(generator, texts, rewards)
    variance = exact_values(generator, texts, rewards**2) - right**2
    error = (variance.clamp(min=0) / n).sqrt()
    # 1e-7: where the reward is certain the error is zero but for rounding
    return bool(((result - right).abs() <= 4 * error + 1e-7).all())


@worlds
@networks
def test_values_converge_to_the_conditional_expectation(space: TextSpace, name: str) -> None:
    generator, texts = small_generator(space, name), enumerate_texts(space)
    rewards = random_rewards(space)
    result = rollout_values(generator, texts, reward_of(space, rewards), 600)
    assert within_four_errors(generator, texts, rewards, result, 600)
    # the test can tell: values of another generator, and of the next token, do not pass
    other = small_generator(space, name, seed=3)
    assert not within_four_errors(other, texts, rewards, result, 600)
    shifted = result.roll(1, 1)
    assert not within_four_errors(generator, texts, rewards, shifted, 600)


@worlds
@pytest.mark.parametrize("n", [1, 5])
def test_the_last_value_is_the_reward_itself(space: TextSpace, n: int) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    rewards = random_rewards(space)
    for seed in range(3):
        torch.manual_seed(seed)
        values = rollout_values(generator, texts, reward_of(space, rewards), n)
        assert torch.equal(values[torch.arange(len(texts)), texts.lengths - 1], rewards)


@worlds
def test_values_at_padding_are_zero(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    values = rollout_values(generator, texts, reward_of(space, random_rewards(space)), 3)
    assert values.shape == texts.tokens.shape
    assert (values[texts.mask] > 0).all()
    assert not values[~texts.mask].any()


@worlds
@networks
def test_every_prefix_is_completed_n_times_and_kept(space: TextSpace, name: str) -> None:
    generator, texts = small_generator(space, name), enumerate_texts(space)
    n = 4
    grown = roll_out(generator, texts, n)
    assert len(grown.text) == len(grown.origin) == len(grown.kept) == n * (texts.lengths - 1).sum()
    pairs = [(b, kept) for b, size in enumerate(texts.lengths.tolist()) for kept in range(1, size)]
    result = sorted(zip(grown.origin.tolist(), grown.kept.tolist(), strict=True))
    assert result == sorted(pairs * n)
    inside = torch.arange(space.length) < grown.kept.unsqueeze(1)
    assert torch.equal(grown.text.tokens[inside], texts.tokens[grown.origin][inside])
    assert counts_of(grown.text, space).sum() == len(grown.text)  # all are texts of the space
    ended = Text.ended(grown.text.tokens, space)
    assert torch.equal(ended.lengths, grown.text.lengths)


@worlds
def test_completions_are_drawn_from_the_generator(space: TextSpace) -> None:
    generator, texts = small_generator(space, layers=2), enumerate_texts(space)
    chances = probabilities(generator, texts)
    one = texts[-1:]
    grown = roll_out(generator, one, 20_000)
    for kept in (1, 2):
        these = grown.text[grown.kept == kept]
        possible = (texts.tokens[:, :kept] == one.tokens[:, :kept]).all(1)
        given = chances * possible
        assert agree(counts_of(these, space), given / given.sum())


def test_a_finished_prefix_has_no_completions() -> None:
    texts = texts_of(VARIABLE, [(1,), (2, 1), (3, 2, 1), (2, 3, 2)])
    grown = roll_out(small_generator(VARIABLE), texts, 7)
    counts = torch.bincount(grown.origin, minlength=4)
    assert counts.tolist() == [0, 7, 14, 14]


def test_sentences_of_one_token_need_no_rollouts_at_all() -> None:
    texts = texts_of(VARIABLE, [(1,), (1,)])
    generator = small_generator(VARIABLE)
    assert len(roll_out(generator, texts, 7).text) == 0
    asked: list[int] = []

    def reward(text: Text, origin: Tensor) -> Tensor:
        asked.append(len(text))
        return torch.tensor([0.25, 0.75])

    values = rollout_values(generator, texts, reward, 7)
    assert asked == [2]
    assert values.tolist() == [[0.25, 0, 0], [0.75, 0, 0]]


@worlds
@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_reward_of_the_first_tokens_is_constant_once_they_are_written(
    space: TextSpace, known: int
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    radix = 10.0 ** torch.arange(known)

    def reward(text: Text, origin: Tensor) -> Tensor:
        return text.tokens[:, :known].double() @ radix.double()

    values = rollout_values(generator, texts, reward, 3)
    finished = reward(texts, torch.arange(len(texts))).unsqueeze(1)
    later = torch.arange(space.length) >= known - 1
    decided = later | (torch.arange(space.length) == texts.lengths.unsqueeze(1) - 1)
    decided = decided & texts.mask
    assert same(values[decided], finished.expand_as(values)[decided])
    if known > 1:  # and before that it is a matter of luck
        early = texts.mask & ~decided
        assert not same(values[early], finished.expand_as(values)[early], 0.1)


@worlds
def test_values_move_with_their_sentences(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    order = torch.randperm(len(texts))

    def reward(text: Text, origin: Tensor) -> Tensor:
        return 1.0 + text.tokens[:, 0].double()

    before = rollout_values(generator, texts, reward, 2)
    assert same(rollout_values(generator, texts[order], reward, 2), before[order])
    assert same(before, (1.0 + texts.tokens[:, :1].double()) * texts.mask)


@worlds
@pytest.mark.parametrize("chunk", [0, 1, 2, 9])
def test_each_completion_is_credited_to_the_sentence_it_grew_from(
    space: TextSpace, chunk: int
) -> None:
    texts = enumerate_texts(space)

    def reward(text: Text, origin: Tensor) -> Tensor:
        return 1.0 + origin.double()

    values = rollout_values(small_generator(space), texts, reward, 4, chunk)
    assert torch.equal(values, (1.0 + torch.arange(len(texts))).unsqueeze(1) * texts.mask)


def test_each_completion_is_credited_to_the_prefix_it_grew_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a reward that knows how many tokens were kept, as no discriminator can
    kept: list[Tensor] = []

    def spied(*arguments: object) -> object:
        grown = roll_out(*arguments)
        kept.append(grown.kept)
        return grown

    monkeypatch.setattr("textgan.models.rollout.roll_out", spied)
    texts = enumerate_texts(FIXED)

    def reward(text: Text, origin: Tensor) -> Tensor:
        whole = torch.full((len(text),), 3.0, dtype=torch.float64)
        return kept[-1].double() if kept else whole

    values = rollout_values(small_generator(FIXED), texts, reward, 2)
    assert torch.equal(values, torch.tensor([[1.0, 2.0, 3.0]]).double().expand(27, -1))


@worlds
@pytest.mark.parametrize("chunk", [1, 250])
def test_chunks_give_the_mean_over_all_completions(space: TextSpace, chunk: int) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)[-4:]
    rewards = random_rewards(space)
    result = rollout_values(generator, texts, reward_of(space, rewards), 300, chunk)
    assert within_four_errors(generator, texts, rewards, result, 300)


@pytest.mark.parametrize(
    ("chunk", "pieces"), [(0, [5]), (5, [5]), (9, [5]), (2, [2, 2, 1]), (1, [1, 1, 1, 1, 1])]
)
def test_a_chunk_is_how_many_completions_are_in_memory(chunk: int, pieces: list[int]) -> None:
    texts = enumerate_texts(FIXED)
    asked: list[int] = []

    def reward(text: Text, origin: Tensor) -> Tensor:
        asked.append(len(text))
        return torch.zeros(len(text))

    rollout_values(small_generator(FIXED), texts, reward, 5, chunk)
    assert asked == [27, *(piece * 27 * 2 for piece in pieces)]


def test_rewards_of_another_precision_keep_it() -> None:
    texts = enumerate_texts(FIXED)
    values = rollout_values(
        small_generator(FIXED), texts, lambda text, _: torch.full((len(text),), 0.5), 2
    )
    assert values.dtype == torch.float32
    assert (values == 0.5).all()


@worlds
def test_no_gradient_is_recorded(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)

    def reward(text: Text, origin: Tensor) -> Tensor:
        return log_probs(generator, text)

    values = rollout_values(generator, texts, reward, 2)
    assert not values.requires_grad
    assert torch.is_grad_enabled()


def test_sources_and_labels_follow_the_completions() -> None:
    tokens = torch.tensor([[0, 1, 2], [2, 1, 0]])
    source = Text.full(torch.tensor([[5, 6], [7, 8]]))
    fake = Text(tokens, torch.tensor([3, 3]), condition=Condition(torch.tensor([4, 9]), source))
    grown = roll_out(small_generator(FIXED), fake, 3)
    assert grown.text.source is not None and grown.text.labels is not None
    assert torch.equal(grown.text.source.tokens, source.tokens[grown.origin])
    assert torch.equal(grown.text.labels, torch.tensor([4, 9])[grown.origin])


def test_all_prefixes_advance_together() -> None:
    # a step of the trunk and one of the forks at each place but the last
    generator = Uniform(TextSpace(3, 6))
    roll_out(generator, generator.sample(10), 4)
    generator.steps = 0
    roll_out(generator, Text.full(torch.ones(10, 6, dtype=torch.long)), 4)
    assert generator.steps == 2 * 5


def test_a_completion_that_has_ended_takes_no_more_steps() -> None:
    generator = Uniform(TextSpace(4, 6, eos=1))
    generator.bias.data[1] = 100.0  # every completion ends at once
    fake = Text.full(torch.full((10, 6), 2))
    grown = roll_out(generator, fake, 4)
    assert torch.equal(grown.text.lengths, grown.kept + 1)
    assert generator.rows == 5 * (10 + 10 * 4)  # the trunk, and each completion's only step


@pytest.mark.parametrize("blocks", ["layer", "logits"])
def test_completions_in_blocks_are_drawn_from_the_same_distribution(
    blocks: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)[3:8]
    block = 97 * FIXED.vocabulary
    pickers: dict[str, Callable[[Sampler], HiddenSampler]] = {
        "layer": lambda _: BlockSampler(generator.output.weight, generator.bias, block=block),
        "logits": lambda choose: pick_in_blocks(generator.logits, choose, FIXED.vocabulary, block),
    }
    monkeypatch.setattr(generator, "picker", pickers[blocks])
    rewards = random_rewards(FIXED)
    result = rollout_values(generator, texts, reward_of(FIXED, rewards), 1500)
    assert within_four_errors(generator, texts, rewards, result, 1500)


def test_the_memory_forecast_grows_with_what_takes_memory() -> None:
    generator = small_generator(FIXED)
    one = rollout_bytes(generator, 8, 4, 0, 100)
    assert one > 8 * 4 * 2 * (2 * 8 + 2 * 100) * 8  # two states of 2 * 4 and the features
    assert rollout_bytes(generator, 16, 4, 0, 100) == 2 * one
    assert rollout_bytes(generator, 8, 8, 0, 100) == 2 * one
    assert rollout_bytes(generator, 8, 8, 4, 100) == one
    assert rollout_bytes(generator, 8, 4, 9, 100) == one


@pytest.mark.parametrize("width", [2, 3, 5])
def test_the_width_of_the_batch_is_not_the_length_of_its_texts(width: int) -> None:
    ended = texts_of(VARIABLE, [(1,), (2, 1), (3, 1)])
    fake = Text(ended.tokens[:, :2], ended.lengths).pad_to(width)
    generator, rewards = small_generator(VARIABLE), random_rewards(VARIABLE)

    def reward(text: Text, origin: Tensor) -> Tensor:
        inside = torch.zeros(len(text), 3, dtype=torch.long)
        inside[:, : text.tokens.shape[1]] = text.tokens[:, :3]
        return reward_of(VARIABLE, rewards)(Text.ended(inside, VARIABLE), origin)

    sizes = roll_out(generator, fake, 200).text.lengths
    assert sizes.max() == VARIABLE.length
    result = rollout_values(generator, fake, reward, 400)[:, :2]
    assert within_four_errors(
        generator, ended, rewards, torch.nn.functional.pad(result, (0, 1)), 400
    )


def values_given(generator: Attention, which: int, rewards: Tensor) -> Tensor:
    """E[R | y_1..t, source], (B, T), of every text in answer to a source."""
    texts = all_answers(which)
    chances = probabilities(generator, texts)
    begun = [
        (texts.tokens[:, None, : t + 1] == texts.tokens[None, :, : t + 1]).all(2) * chances
        for t in range(ANSWERS.length)
    ]
    means = [(weights * rewards).sum(1) / weights.sum(1) for weights in begun]
    return torch.stack(means, 1) * texts.mask


def test_rollouts_answer_the_source_of_their_sentence() -> None:
    generator, rewards = answering(), random_rewards(ANSWERS)
    # all texts in answer to each of the sources, in one batch
    texts = concatenate([all_answers(0), all_answers(1)])
    grown = roll_out(generator, texts, 2)
    assert texts.source is not None and grown.text.source is not None
    assert torch.equal(grown.text.source.tokens, texts.source.tokens[grown.origin])
    values = rollout_values(generator, texts, reward_of(ANSWERS, rewards), 3000)
    expected = torch.cat([values_given(generator, which, rewards) for which in range(2)])
    assert torch.allclose(values, expected, atol=0.04)
    # and the two differ by more than that
    assert not torch.allclose(*expected.chunk(2), atol=0.2)


def test_a_source_is_read_once_and_kept_once_whatever_answers_it() -> None:
    generator = answering()
    fake = generator.sample(2, condition=Condition(source=sources()))
    assert generator.encoded == 2
    assert set(generator.memories) == {2}
    fake = replace(texts_of(ANSWERS, [(0, 1, 0), (1, 0, 1)]), condition=fake.condition)
    generator.encoded = 0
    generator.memories.clear()
    generator.hypotheses.clear()
    grown = roll_out(generator, fake, 50)
    assert len(grown.text) == 2 * 50 * 2
    assert generator.encoded == 2  # not 200, nor 2 for each prefix
    assert set(generator.memories) == {2}  # rows that all hypotheses look at
    assert max(generator.hypotheses) > 100


def test_the_memory_forecast_counts_what_is_shared_once_a_sentence() -> None:
    generator = answering()
    shared = sum(
        part[0].numel() for part in generator.start(1, Condition(source=sources()[:1])).shared
    )
    few, many = (rollout_bytes(generator, 8, n, 0, 100) for n in (10, 20))
    assert 2 * few - many == 8 * shared * 8
