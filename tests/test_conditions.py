"""What texts are written for: classes and sources, from the data to the last number.

A tiny sequence-to-sequence generator, whose law given each source is written down, is drawn from,
rolled out, scored, trained, stored and evaluated like any other.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import seq2seq
import torch
from seq2seq import Attention
from torch import Tensor
from toys import Cli, stop_when
from worlds import (
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    exact_values,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    reward_of,
    same,
    small_discriminator,
    small_generator,
    texts_of,
)

import textgan
from textgan.core.errors import Interrupted
from textgan.core.statistics import bootstrap
from textgan.core.tensors import load_tensors, under_prefix
from textgan.data.corpus import Corpus
from textgan.data.sentences import Sentences
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace, concatenate
from textgan.data.tokenizers import WordTokenizer
from textgan.losses import policy_gradient
from textgan.metrics.base import MetricInputs, Models
from textgan.metrics.likelihood import Likelihood
from textgan.models.draw import draw_texts
from textgan.models.generators.base import State
from textgan.models.likelihood import nll_per_token, uniform_nll
from textgan.models.rollout import roll_out, rollout_bytes, rollout_values
from textgan.objectives.reinforce import Reinforce
from textgan.training import run as runs
from textgan.training.run import open_run

SOURCES = TextSpace(4, 2, eos=1)
ANSWERS = TextSpace(5, 3, eos=4, bos=2, pad=3, source=SOURCES)  # no id is where others have it
# as GPT-2 has them, as T5, and as BERT
IDS = [
    TextSpace(4, 3, eos=2, bos=2, pad=2),
    TextSpace(4, 3, eos=1, bos=0, pad=0),
    TextSpace(5, 3, eos=4, bos=2, pad=3),
]
ids = pytest.mark.parametrize("space", IDS, ids=["one id", "two ids", "three ids"])


def sources() -> Text:
    """Two sources, one of them shorter."""
    return texts_of(SOURCES, [(1,), (3, 2)])


def answering() -> Attention:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Attention(ANSWERS).double()


def all_answers(which: int) -> Text:
    """Every text of the space, each in answer to the same source."""
    texts = enumerate_texts(ANSWERS)
    source = sources()[torch.full((len(texts),), which)]
    return replace(texts, condition=Condition(source=source))


# conditions by themselves


def both() -> Condition:
    return Condition(torch.tensor([1, 0]), sources())


def test_a_condition_is_indexed_repeated_joined_and_moved_as_a_whole() -> None:
    condition = both()
    for other in (
        condition.repeat(2)[torch.tensor([0, 3])],
        Condition.join([condition[:1], condition[1:]]),
        condition[torch.tensor([1, 0])][torch.tensor([1, 0])],
        condition.to(torch.device("cpu")),
    ):
        assert other.labels is not None and other.source is not None
        assert other.labels.tolist() == [1, 0]
        assert torch.equal(other.source.tokens, sources().tokens)
        assert torch.equal(other.source.lengths, sources().lengths)


def test_conditions_of_which_only_some_have_a_source_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="only some have"):
        Condition.join([both(), Condition(torch.tensor([1]))])


def test_no_condition_is_one_too() -> None:
    assert not UNCONDITIONAL and both() and Condition(torch.tensor([1]))
    for same_as in (UNCONDITIONAL[:3], UNCONDITIONAL.repeat(4), UNCONDITIONAL.draw(5)):
        assert same_as == UNCONDITIONAL
    assert Condition.join([UNCONDITIONAL, UNCONDITIONAL]) == UNCONDITIONAL
    before = torch.get_rng_state()
    UNCONDITIONAL.draw(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_conditions_are_drawn_together() -> None:
    drawn = both().draw(4000)
    assert drawn.labels is not None and drawn.source is not None
    assert torch.equal(drawn.labels == 1, drawn.source.lengths == 1)
    assert 0.45 < float(drawn.labels.double().mean()) < 0.55


def test_what_is_lacking_is_said() -> None:
    with pytest.raises(ValueError, match="texts of 3 classes need labels"):
        UNCONDITIONAL.require_labels(3)
    with pytest.raises(ValueError, match="need one"):
        answering().sample(2)
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="twice"):
        small_generator(replace(VARIABLE, classes=2)).sample(
            2, condition=Condition(labels), labels=labels
        )


def test_labels_alone_are_short_for_a_condition() -> None:
    generator, labels = small_generator(replace(VARIABLE, classes=2)), torch.arange(6) % 2
    torch.manual_seed(1)
    long = generator.sample(6, condition=Condition(labels))
    torch.manual_seed(1)
    short = generator.sample(6, labels=labels)
    assert torch.equal(long.tokens, short.tokens)
    assert short.labels is labels


def test_texts_and_what_they_answer_become_tensors_and_come_back() -> None:
    text = replace(enumerate_texts(ANSWERS)[:2], condition=both())
    tensors = text.to_tensors()
    assert set(tensors) == {"tokens", "sizes", "labels", "source.tokens", "source.sizes"}
    back = Text.from_tensors(tensors)
    assert back.source is not None and back.labels is not None
    for ours, theirs in ((text, back), (sources(), back.source)):
        assert torch.equal(ours.tokens, theirs.tokens) and torch.equal(ours.lengths, theirs.lengths)
    assert back.labels.tolist() == [1, 0]
    plain = Text.from_tensors(enumerate_texts(VARIABLE).to_tensors())
    assert plain.condition == UNCONDITIONAL


def test_a_space_survives_json() -> None:
    for space in (ANSWERS, VARIABLE, *IDS):
        assert TextSpace.from_dict(json.loads(json.dumps(asdict(space)))) == space


@pytest.mark.parametrize("name", ["eos", "bos", "pad", "unknown"])
def test_an_id_beyond_the_vocabulary_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 4"):
        TextSpace(**{"vocabulary": 4, "length": 3, name: 4})


def test_an_old_start_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"Old.start .* write start\(self, n, condition\)"):

        class Old(Attention):
            def start(self, n, source=None, labels=None):  # type: ignore[no-untyped-def, override]
                return ()


# special ids


@ids
def test_any_ids_may_begin_end_and_pad_a_text(space: TextSpace) -> None:
    texts, generator = enumerate_texts(space), small_generator(space)
    chances = probabilities(generator, texts)
    assert same(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    sample = draw_texts(generator, 5000)
    assert agree(counts_of(sample, space), chances)
    assert (sample.tokens[~sample.mask] == space.pad).all()
    rewards = random_rewards(space)
    torch.manual_seed(0)
    found = rollout_values(generator, texts, reward_of(space, rewards), 4000)
    assert same(found, exact_values(generator, texts, rewards), 0.05)
    expected = 1 / (space.vocabulary - len(space.unwritten))
    assert uniform_nll(space) == pytest.approx(-torch.tensor(expected).log().item())


@pytest.mark.parametrize("name", ["lstm", "gru", "relational_memory", "leak"])
def test_a_generator_does_not_know_an_id_by_its_number(name: str) -> None:
    """A language with its ids exchanged, weights and all, has the same law."""
    space = IDS[2]
    order = torch.tensor([2, 3, 0, 0, 1])  # new id to old one; begin and padding are one there
    generator, other = small_generator(VARIABLE, name), small_generator(space, name)
    weights = generator.state_dict()
    judge = small_discriminator(VARIABLE)

    def leak(text: Text) -> Tensor:
        return judge.features(replace(text, tokens=order[text.tokens]))

    if name == "leak":
        other.leak = leak  # type: ignore[assignment]
        generator.leak = judge.features  # type: ignore[assignment]
    for key in ("embedding.weight", "output.weight", "output.bias"):
        weights[key] = weights[key][order]
    other.load_state_dict(weights)
    # an id that is never written costs nothing, so that there is one more changes no chance
    texts = enumerate_texts(space)
    known = replace(texts, tokens=torch.where(texts.mask, order[texts.tokens], 0))
    assert same(log_probs(other, texts), log_probs(generator, known))


@pytest.mark.parametrize("name", ["cnn", "rnn", "transformer", "stepwise", "residual"])
def test_a_discriminator_does_not_know_padding_by_its_number(name: str) -> None:
    space, order = IDS[2], torch.tensor([2, 3, 0, 0, 1])
    judge, other = small_discriminator(VARIABLE, name), small_discriminator(space, name)
    weights = judge.state_dict()
    weights["embedding.weight"] = weights["embedding.weight"][order]
    other.load_state_dict(weights)
    texts = enumerate_texts(space)
    known = replace(texts, tokens=torch.where(texts.mask, order[texts.tokens], 0))
    assert same(other(texts), judge(known))
    assert same(other(texts.trimmed()), judge(known))


# a generator that answers sources


@pytest.mark.parametrize("which", [0, 1])
def test_the_law_given_a_source_is_a_law(which: int) -> None:
    generator, texts = answering(), all_answers(which)
    chances = probabilities(generator, texts)
    assert same(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    condition = Condition(source=sources()[torch.full((5000,), which)])
    sample = draw_texts(generator, 5000, condition=condition)
    assert agree(counts_of(sample, ANSWERS), chances)
    assert sample.source is not None and len(sample.source) == 5000
    assert not agree(counts_of(sample, ANSWERS), probabilities(generator, all_answers(1 - which)))


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


def test_forking_then_stepping_is_stepping_then_forking() -> None:
    generator = answering()
    state = generator.start(2, Condition(source=sources()))
    symbol, forks = torch.tensor([0, 1]), torch.tensor([1, 0, 1, 1])
    _, state = generator.step(symbol, state)
    forked, after = generator.step(symbol[forks], state[forks])
    whole, _ = generator.step(symbol, state)
    assert same(forked, whole[forks])
    joined = after.join(state[torch.tensor([0])])
    assert joined.origin is not None
    assert joined.origin.tolist() == [1, 0, 1, 1, 0]
    assert [len(part) for part in joined.carried] == [5]
    assert all(a is b for a, b in zip(joined.shared, state.shared, strict=True))


def test_a_state_in_which_nothing_is_shared_has_no_origin() -> None:
    state = State((torch.zeros(3, 2),))
    assert state.origin is None
    assert state[torch.tensor([0, 0])].join(state).origin is None


def test_the_memory_forecast_counts_what_is_shared_once_a_sentence() -> None:
    generator = answering()
    shared = sum(
        part[0].numel() for part in generator.start(1, Condition(source=sources()[:1])).shared
    )
    few, many = (rollout_bytes(generator, 8, n, 0, 100) for n in (10, 20))
    assert 2 * few - many == 8 * shared * 8


def test_policy_gradient_given_sources_is_that_of_the_expected_reward() -> None:
    generator, rewards = answering(), random_rewards(ANSWERS)
    texts = concatenate([all_answers(0), all_answers(1)])
    chances, twice = log_probs(generator, texts).exp(), torch.cat([rewards, rewards])
    exact = gradient(-(chances * twice).sum() / 2, generator)
    # the loss of a batch is a mean: so the law is a weight
    weights = (2 * len(rewards) * chances.detach() * twice / 2).unsqueeze(1)
    loss = policy_gradient(
        generator.log_prob(texts), weights.expand_as(texts.tokens), texts.mask, "mean_sentence"
    )
    assert same(gradient(loss, generator), exact)


def test_objectives_answer_the_sources_of_real_texts() -> None:
    generator, judge = answering(), small_discriminator(ANSWERS)
    real = replace(enumerate_texts(ANSWERS)[:2], condition=Condition(source=sources()))
    objective = Reinforce()
    objective.connect(generator, judge, real)
    fake = objective.sample(generator, real, 0.5)
    assert fake.condition is real.condition
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.5)
    assert gradient(loss, generator).any()


# numbers


def test_likelihoods_are_given_the_source() -> None:
    generator, texts = answering(), all_answers(0)
    other = replace(texts, condition=all_answers(1).condition)
    expected = float(-log_probs(generator, texts).detach().sum() / texts.lengths.sum())
    assert nll_per_token(generator, texts).value == pytest.approx(expected, rel=1e-12)
    assert nll_per_token(generator, other).value != pytest.approx(expected, rel=1e-3)


def test_likelihoods_of_an_evaluation_are_resampled_by_source() -> None:
    generator = answering()
    texts = concatenate([all_answers(0), all_answers(1)])
    totals = -log_probs(generator, texts).detach()
    nothing = Sentences(torch.tensor([3]), torch.tensor([1]))
    inputs = MetricInputs(
        tokenizer=WordTokenizer(("a",), length=2), predictions=nothing, lines=["a"],
        references=nothing, sample=nothing, paired_sample=nothing, paired_references=nothing,
        models=Models(generator, None, texts, texts),
    )  # fmt: skip
    score = Likelihood().measure(inputs)["nll_test"]
    # two sources are drawn: both, or one of them twice
    halves = zip(totals.chunk(2), texts.lengths.chunk(2), strict=True)
    each = [float(part.sum() / size.sum()) for part, size in halves]
    both = float(totals.sum() / texts.lengths.sum())
    assert sorted({round(float(value), 9) for value in score.replicates}) == sorted(
        round(value, 9) for value in (*each, both)
    )


def test_equal_sources_have_one_number() -> None:
    condition = Condition(source=sources()[torch.tensor([1, 0, 0, 1])])
    assert condition.sources is not None
    found = condition.sources.tolist()
    assert found[0] == found[3] != found[1] == found[2]
    assert UNCONDITIONAL.sources is None


def test_sources_are_resampled_with_all_that_answers_them() -> None:
    """Ten sources of twenty equal answers are worth ten numbers, not two hundred."""
    random = torch.Generator().manual_seed(1)
    each = torch.randn(10, generator=random, dtype=torch.float64).numpy()
    totals, ones = each.repeat(20), torch.ones(200, dtype=torch.float64).numpy()
    known = torch.arange(10).repeat_interleave(20).numpy()
    alone = bootstrap(each, ones[:10], 500, seed=3)
    together = bootstrap(totals, ones, 500, 3, known)
    wrong = bootstrap(totals, ones, 500, 3)
    assert together.value == pytest.approx(alone.value)
    assert together.low == pytest.approx(alone.low) and together.high == pytest.approx(alone.high)
    assert wrong.low is not None and alone.low is not None
    assert wrong.low - wrong.value > 0.5 * (alone.low - alone.value)
    # where every text has a source of its own it is the usual one
    assert bootstrap(totals, ones, 500, 3, torch.arange(200).numpy()) == wrong


# a run


WORDS = ("no", "yes", "maybe", "never", "always")


def pairs() -> Corpus:
    """A corpus whose answers repeat the word that their source begins with."""
    asks, tells = WordTokenizer(WORDS, length=3), WordTokenizer(WORDS[:4], length=4)
    lines = [(WORDS[i % 4], WORDS[(i // 4) % 5]) for i in range(60)]
    source = asks([" ".join(line) for line in lines]).pad_to(3)
    answers = tells([" ".join([line[0]] * (1 + i % 2)) for i, line in enumerate(lines)]).pad_to(4)
    whole = replace(answers, condition=Condition(source=source))
    facts = {"source": "pairs", "sentences": 60, "split": {"train": 30, "valid": 15, "test": 15}}
    facts |= {"vocabulary": len(tells), "length": 4}
    parts = whole[:30], whole[30:45], whole[45:]
    space = replace(tells.space, source=asks.space)
    return Corpus("pairs", space, *parts, tells, facts, source_tokenizer=asks)


TOLD: dict[str, Any] = {
    "seed": 1,
    "data.file": "pairs.tsv",
    "generator": f"{seq2seq.__file__}:Attention",
    "generator.hidden": 6,
    "generator.init": 0.3,
    "discriminator.sizes": [1, 2],
    "discriminator.counts": [4, 4],
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 3,
    "schedule.discriminator_turns": 1,
    "schedule.rounds": 1,
    "schedule.d_steps": 1,
    "schedule.k": 1,
    "evaluation.samples": 20,
    "evaluation.final_samples": 30,
    "evaluation.bootstrap": 100,
}


def train_pairs(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "make_corpus", lambda config: (pairs(), None))
        textgan.train("seqgan", out=folder, quiet=True, **TOLD)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of sources and answers."""
    return train_pairs(tmp_path_factory.mktemp("pairs") / "run")


def test_sources_are_kept_in_the_run(folder: Path) -> None:
    run, corpus = open_run(folder, trust_code=True), pairs()
    assert run.corpus.space == corpus.space
    assert run.corpus.source_tokenizer == corpus.source_tokenizer
    for ours, theirs in ((run.corpus.train, corpus.train), (run.corpus.test, corpus.test)):
        assert ours.source is not None and theirs.source is not None
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.equal(ours.source.tokens, theirs.source.tokens)
        assert torch.equal(ours.source.lengths, theirs.source.lengths)
    assert run.corpus.decode(run.corpus.train[:2]) == ["no no\tno", "yes no\tyes yes"]


def test_a_generator_of_answers_is_sampled_and_evaluated(folder: Path, cli: Cli) -> None:
    run = open_run(folder, trust_code=True)
    lines = (folder / "samples.txt").read_text().splitlines()
    known = {line.split("\t")[0] for line in run.corpus.decode(run.corpus.test)}
    assert {line.split("\t")[0] for line in lines} <= known
    code, out, error = cli("sample", folder, "-n", 5, "--trust-code")
    assert code == 0, error
    assert all("\t" in line for line in out.splitlines()[:5])
    nll = nll_per_token(run.load_generator(), run.corpus.test).value  # type: ignore[arg-type]
    scores = textgan.evaluate(
        folder, metrics=["likelihood", "bleu"], trust_code=True, quiet=True, samples=30
    )
    assert f"{nll:.3f}" in str(scores)


def test_training_that_stops_goes_on_with_its_sources(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_when(patch, lambda state: state.done == 14)
        with pytest.raises(Interrupted):
            train_pairs(tmp_path / "halved")
    textgan.resume(tmp_path / "halved", quiet=True, trust_code=True)
    whole, halved = (open_run(path, trust_code=True) for path in (folder, tmp_path / "halved"))
    ours, theirs = whole.load_generator().state_dict(), halved.load_generator().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_sources_that_are_no_texts_of_their_space_are_refused(folder: Path) -> None:
    tensors, facts = load_tensors(folder / "data.safetensors")
    tensors["test.source.tokens"][0, 0] = 99
    with pytest.raises(ValueError, match="test source texts"):
        runs.check_texts(
            "test",
            Text.from_tensors(under_prefix("test", tensors)),
            TextSpace.from_dict(facts["space"]),
            0,
        )
