"""Unlikelihood: which words and n-grams are candidates, gradients by hand, and the two kinds of
updates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import in_shards
from real_words import assert_is_mle, assert_of_real_words, loss_of
from tables import dyadic_generator, random_generator, whole
from torch import Tensor
from toys import TOY, small_parts
from worlds import (
    FIXED,
    VARIABLE,
    Uniform,
    enumerate_texts,
    gradient,
    same,
    small_generator,
    texts_of,
    worlds,
)

from textgan.contracts.worlds import begin, steps_of, train
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.base import without_state
from textgan.objectives.unlikelihood import Unlikelihood, repeats, unlikelihood, words_before
from textgan.training.config import make_config
from textgan.training.run import create_run

LONG = TextSpace(5, 9, eos=1)


def before_by_hand(sentence: list[int]) -> list[set[int]]:
    return [set(sentence[:t]) - {token} for t, token in enumerate(sentence)]


@worlds
def test_candidates_are_the_words_before_but_for_the_own_one(space: TextSpace) -> None:
    real = enumerate_texts(space)
    chosen = words_before(real)
    for row, sentence in enumerate(real.tolist()):
        for t, right in enumerate(before_by_hand(sentence)):
            tokens = real.tokens[row][chosen[row, t]].tolist()
            assert sorted(tokens) == sorted(right)  # each once
        assert not chosen[row, len(sentence) :].any()


def test_a_gradient_by_hand() -> None:
    # a b a, of three tokens: after a, a is a candidate; after a b, b is
    generator = random_generator(FIXED)
    real = Text.full(torch.tensor([[0, 1, 0]]))
    p = generator(real)[0].softmax(1)
    losses = [-p[0, 0].log(), -p[1, 1].log() - 2 * (1 - p[1, 0]).log()]
    losses.append(-p[2, 0].log() - 2 * (1 - p[2, 1]).log())
    right = torch.stack(losses).sum() / 3
    objective = Unlikelihood(alpha=2.0, sequence=0.0)
    loss = loss_of(objective, generator, real)
    assert same(loss, right)
    slopes = gradient(loss, generator)
    assert same(slopes, gradient(right, generator))
    # by the derivative of -log(1 - softmax_c): p_c (1[v = c] - p_v) / (1 - p_c)
    after_a = generator(real)[0, 1].softmax(0).detach()
    own, candidate = torch.eye(3, dtype=torch.float64)[[1, 0]]
    by_hand = (after_a - own) + 2 * after_a[0] * (candidate - after_a) / (1 - after_a[0])
    assert same(slopes.view(-1, 3)[1], by_hand / 3)


@worlds
def test_the_loss_of_all_real_texts_by_hand(space: TextSpace) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    log_prob = generator(real).log_softmax(2)
    total = unlikely = torch.zeros(())
    for row, sentence in enumerate(real.tolist()):
        for t, candidates in enumerate(before_by_hand(sentence)):
            total = total - log_prob[row, t, sentence[t]]
            for c in candidates:
                unlikely = unlikely - (1 - log_prob[row, t, c].exp()).log()
    total = total + 0.5 * unlikely
    objective = Unlikelihood(alpha=0.5, sequence=0.0)
    loss = loss_of(objective, generator, real)
    assert same(loss, total / real.mask.sum())
    assert same(gradient(loss, generator), gradient(total / real.mask.sum(), generator))
    figures = objective.generator_loss(generator, None, real, real, 0.0)[1]  # type: ignore[arg-type]
    assert same(figures["unlikelihood"], (unlikely / real.mask.sum()).detach())
    assert same(figures["nll"], -generator.log_prob(real)[real.mask].mean().detach())


@worlds
def test_without_alpha_it_is_maximum_likelihood(space: TextSpace) -> None:
    objective = Unlikelihood(alpha=0.0, sequence=0.0)
    assert_is_mle(objective, small_generator(space), enumerate_texts(space))


def test_a_word_that_is_certain_is_finitely_unlikely() -> None:
    log_prob = torch.tensor([0.0, 1e-7, -1e-7, -0.5, -1e9], requires_grad=True)
    costs = unlikelihood(log_prob)
    right = [46.05, 46.05, 16.12, 0.933, 0.0]
    assert costs.tolist() == pytest.approx(right, abs=0.01)
    (slopes,) = torch.autograd.grad(costs.sum(), log_prob)
    assert slopes.tolist() == pytest.approx([0.0, 0.0, 1e7, 1.5415, 0.0], rel=0.01)


def repeated_by_hand(sentence: list[int], n: int, start: int) -> list[bool]:
    own, seen, marked = sentence[start:], set(), [False] * len(sentence)
    for at in range(len(own) - n + 1):
        gram = tuple(own[at : at + n])
        if gram in seen:
            marked[start + at : start + at + n] = [True] * n
        seen.add(gram)
    return marked


@pytest.mark.parametrize("n", [1, 2, 3, 9, 12])
@pytest.mark.parametrize("start", [0, 2, 8])
def test_repeated_ngrams_are_those_of_a_set(n: int, start: int) -> None:
    random = torch.Generator().manual_seed(n)
    tokens = torch.randint(1, 4, (200, 9), generator=random)
    text = Text.ended(tokens, LONG)
    assert len(set(text.lengths.tolist())) > 5
    result = repeats(text, n, start)
    for row, sentence in enumerate(text.tolist()):
        right = repeated_by_hand(sentence, n, start) + [False] * (9 - len(sentence))
        assert result[row].tolist() == right
    if n < 3 and start < 3:
        assert result.any()


def test_the_last_ngram_and_its_overlap_count() -> None:
    text = texts_of(LONG, [(2, 3, 2, 3, 1), (2, 2, 2, 1), (2, 3, 4, 1)])
    marked = repeats(text, 2)
    assert marked.int().tolist() == [
        [0, 0, 1, 1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0, 0],
        [0] * 9,
    ]


def own_texts(objective: Unlikelihood, generator: AutoregressiveGenerator, real: Text) -> Text:
    """The texts of an update of own texts, which comes next."""
    objective.state = {"updates": torch.tensor(1)}
    assert objective.of_own_texts()
    return objective.sample(generator, real, 0.0)


def test_own_texts_go_on_from_real_ones() -> None:
    generator, real = random_generator(FIXED), enumerate_texts(FIXED)
    for greedy in (True, False):
        objective = Unlikelihood(prompt=0.7, greedy=greedy)
        fake = own_texts(objective, generator, real)
        assert fake.prompt_length == 2
        assert torch.equal(fake.tokens[:, :2], real.tokens[:, :2])
        likeliest = generator(fake)[:, 2].argmax(1)
        assert torch.equal(fake.tokens[:, 2], likeliest) == greedy
    from_nothing = own_texts(Unlikelihood(prompt=0.0), generator, real)
    assert from_nothing.prompt_length == 0
    assert len(torch.unique(from_nothing.tokens, dim=0)) == 1


def loss_of_own(
    objective: Unlikelihood, generator: AutoregressiveGenerator, fake: Text
) -> tuple[Tensor, dict[str, Tensor]]:
    objective.state = {"updates": torch.tensor(1)}
    given: Any = (generator, None, fake, fake, 0.0)
    return without_state(objective.generator_loss(*given))[0]


@worlds
@pytest.mark.parametrize("n", [1, 2])
def test_the_loss_of_own_texts_by_hand(space: TextSpace, n: int) -> None:
    generator, fake = small_generator(space), enumerate_texts(space)
    total, marked = torch.zeros(()), 0
    for row, sentence in enumerate(fake.tolist()):
        for t, again in enumerate(repeated_by_hand(sentence, n, 0)):
            if again:
                p = generator(fake[row : row + 1])[0, t].softmax(0)[sentence[t]]
                total, marked = total - (1 - p).log(), marked + 1
    loss, figures = loss_of_own(Unlikelihood(ngram=n), generator, fake)
    tokens = fake.mask.sum()
    assert marked
    assert same(loss, total / tokens)
    assert same(gradient(loss, generator), gradient(total / tokens, generator))
    assert float(figures["repeated"]) == pytest.approx(marked / int(tokens))


def test_no_repeated_ngram_has_no_loss() -> None:
    generator = small_generator(LONG)
    fake = texts_of(LONG, [(2, 3, 4, 2, 4, 3, 1), (2, 2, 3, 3, 4, 4, 2, 1)])
    loss, figures = loss_of_own(Unlikelihood(ngram=2), generator, fake)
    assert loss == 0
    assert figures["repeated"] == 0
    assert not gradient(loss, generator).any()
    prompted = Text(fake.tokens, fake.lengths, prompt_length=3)
    assert loss_of_own(Unlikelihood(ngram=2), generator, prompted)[0] == 0
    # what the prompt has is not repeated by the text
    again = texts_of(LONG, [(2, 3, 2, 3, 1)])
    assert loss_of_own(Unlikelihood(ngram=2), generator, again)[0] > 0
    prompted = Text(again.tokens, again.lengths, prompt_length=2)
    assert loss_of_own(Unlikelihood(ngram=2), generator, prompted)[0] == 0


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_so_many_updates_are_of_own_texts(share: float) -> None:
    objective = Unlikelihood(sequence=share)
    kinds = []
    for done in range(40):
        objective.state = {"updates": torch.tensor(done)}
        kinds.append(objective.of_own_texts())
    assert sum(kinds) == round(40 * share)
    assert all(abs(sum(kinds[:n]) - n * share) < 1 for n in range(41))


def test_an_update_is_counted() -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)
    objective = Unlikelihood()
    for done in range(3):
        fake = objective.sample(generator, real, 0.0)
        assert (fake is real) == (done != 1)
        given: Any = (generator, None, real, fake, 0.0)
        _, kept = without_state(objective.generator_loss(*given))
        objective.state = dict(kept)
        assert int(kept["updates"]) == done + 1


def test_it_is_a_loss_of_real_words() -> None:
    assert_of_real_words(Unlikelihood())


def test_shards_of_own_texts_are_the_whole() -> None:
    generator, fake = small_generator(VARIABLE), enumerate_texts(VARIABLE)[:14]
    objective = Unlikelihood(ngram=1)
    objective.state = {"updates": torch.tensor(1)}
    one, two = (in_shards(objective, generator, None, fake, fake, parts) for parts in (1, 2))
    assert one.any()
    assert same(one, two)


def test_own_texts_are_those_of_the_network_without_dropout() -> None:
    generator, real = small_generator(FIXED, dropout=0.5), enumerate_texts(FIXED)
    objective = Unlikelihood(ngram=1)
    fake = own_texts(objective, generator, real)
    plain = loss_of_own(objective, generator, fake)[0]
    generator.train()
    assert torch.equal(own_texts(objective, generator, real).tokens, fake.tokens)
    assert same(loss_of_own(objective, generator, fake)[0], plain)
    assert generator.dropout.training
    real_words = [loss_of(Unlikelihood(sequence=0.0), generator, real) for _ in range(2)]
    assert not same(*real_words)


@worlds
def test_the_data_are_no_fixed_point(space: TextSpace) -> None:
    data = dyadic_generator(space)
    real = whole(data)
    slopes = gradient(loss_of(Unlikelihood(sequence=0.0), data, real), data)
    assert slopes.norm() > 0.01
    # it is that of the candidates alone
    log_prob = data(real).log_softmax(2)
    before = log_prob.gather(2, real.tokens.unsqueeze(1).expand(-1, 3, -1))
    right = unlikelihood(before)[words_before(real)].sum() / real.mask.sum()
    assert same(slopes, gradient(right, data))
    assert gradient(loss_of(Unlikelihood(alpha=0.0), data, real), data).norm() < 1e-12


def test_more_repetition_costs_more() -> None:
    generator = Uniform(LONG)
    texts = texts_of(LONG, [(2, 3, 2, 1), (2, 3, 2, 3, 1), (2, 3, 2, 3, 2, 1)])
    costs = [
        float(loss_of_own(Unlikelihood(ngram=2), generator, one)[0].detach())
        for one in texts.split(1)
    ]
    assert costs[0] == 0
    assert costs[1] == pytest.approx(-2 / 5 * float(torch.tensor(1 - 1 / 4).log()))
    assert costs[2] == pytest.approx(-3 / 6 * float(torch.tensor(1 - 1 / 4).log()))


def test_it_resumes_bit_for_bit(tmp_path: Path) -> None:
    keep = ("seed", "oracle.", "evaluation.", "schedule.")
    settings = {key: value for key, value in TOY.items() if key.startswith(keep)}
    settings |= small_parts("unlikelihood") | {"schedule.mle_epochs": 1, "schedule.rounds": 4}
    settings |= {"objective.ngram": 1, "objective.greedy": False, "schedule.shards": 2}
    runs = [create_run(make_config("unlikelihood", settings), tmp_path / name) for name in "ab"]
    steps = len(steps_of(runs[1], begin(runs[1])))
    whole_run, stopped = train(runs[0]), train(runs[1], range(1, steps))
    assert whole_run.read_bytes() == stopped.read_bytes()
