import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from languages import TINY_MODEL, material, numbered, spelt, true_nats, written
from tokenized import sentences_of
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.data.batches import batches
from textgan.data.sentences import Sentences, joined
from textgan.metrics.base import Unavailable
from textgan.metrics.networks import (
    LanguageModel,
    LanguageModelSettings,
    costs,
    encode,
    read,
    real_language_model,
    shared_tokenizer,
    silent,
    train_language_model,
    train_network,
    train_tokenizer,
)

sentences_of_words = st.lists(st.lists(st.integers(0, 9), max_size=7), min_size=1, max_size=8)

# three words, each of which likes another to follow, and may end a sentence
CHAIN = torch.tensor([[0.05, 0.8, 0.05, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.1, 0.1, 0.3]])
FIRST = torch.tensor([0.7, 0.2, 0.05, 0.05])


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    taught = written(CHAIN, FIRST, 400, 0)
    settings = replace(TINY_MODEL, reads=2000)
    return learnt(taught, settings)


def learnt(
    taught: Sentences, settings: LanguageModelSettings, vocabulary: int = 100, seed: int = 0
) -> LanguageModel:
    """A language model of all that stands in sentences twice."""
    words = spelt(taught)
    known = train_tokenizer(words, vocabulary, settings.longest)
    return train_language_model(words, known, settings, seed=seed)


def cost(model: LanguageModel, sentences: Sentences) -> Tensor:
    return costs(model.network, read(model.tokenizer, spelt(sentences)))


# Words as networks read them


def test_words_seen_twice_are_known_the_most_frequent_first() -> None:
    real = list(map(str.split, ["7 3 3", "9 7 5", "5 3 8"]))  # 3: three times; 9, 8: once
    tokenizer, others = train_tokenizer(real, 10, 6)
    assert tokenizer.words == ("3", "7", "5")  # of 7 and 5 the one that occurs first
    assert others == 2
    assert (tokenizer.space.vocabulary, tokenizer.space.length) == (6, 6)
    tokenizer, others = train_tokenizer(real, 2, 6)
    assert tokenizer.words == ("3", "7")
    assert others == 3


@given(sentences_of_words, st.integers(1, 6), st.integers(2, 9))
def test_text_is_words_then_end_then_padding(
    sentences: list[list[int]], most: int, longest: int
) -> None:
    known, _ = train_tokenizer(spelt(numbered([[0, 0, 1, 1, 1, 4, 4]])), most, longest)
    text = read(known, spelt(numbered(sentences)))
    ids = {int(word): 3 + i for i, word in enumerate(known.words)}
    wanted = [[*(ids.get(word, 2) for word in words), 1][:longest] for words in sentences]
    assert text.lengths.tolist() == [len(row) for row in wanted]
    width = text.tokens.shape[1]
    assert width == max(len(row) for row in wanted)
    assert text.tokens.tolist() == [row + [0] * (width - len(row)) for row in wanted]


def test_what_networks_read_does_not_depend_on_the_numbers_of_words() -> None:
    lines, result = ["b a", "a b c", "c d <unk> <unk>"], []
    for known in ([], ["d", "z", "c", "y"]):
        tokenizer, (real,) = sentences_of(lines, known=known)
        row = material(real, real, real, tokenizer)
        words = row.words(real)
        assert words == [line.split() for line in lines]  # the unknown word is one like others
        result.append(read(shared_tokenizer(row, TINY_MODEL)[0], words).tokens)
    assert torch.equal(*result)


def test_known_words_are_the_same_in_all_rows_and_come_from_train_where_there_is_some() -> None:
    train, references = numbered([[1, 1, 2, 2, 2]]), numbered([[5, 5]])
    memory: dict[object, object] = {}
    rows = [material(numbered([[w, w]]), references, train, memory=memory) for w in (8, 9)]
    first, second = (shared_tokenizer(row, TINY_MODEL) for row in rows)
    assert first is second
    assert first[0].words == ("2", "1")
    assert shared_tokenizer(material(references, references), TINY_MODEL)[0].words == ("5",)


# Training


@given(st.lists(st.integers(1, 20), min_size=1, max_size=90), st.integers(1, 7))
def test_batches_take_every_text_once(sizes: list[int], batch: int) -> None:
    parts = batches(torch.tensor(sizes), batch)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(sizes)))
    assert max(len(part) for part in parts) <= batch


class Counter(nn.Module):
    """One number that falls by about 0.1 in every step of Adam."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.zeros(()))


def run_fit(losses: list[float], reads: int = 1000) -> tuple[float, int]:
    """Where the number is left, and how many epochs of one step were run."""
    network, seen = Counter(), iter(losses)
    epochs = 0

    def held_out() -> float:
        nonlocal epochs
        epochs += 1
        return next(seen)

    train_network(
        network,
        torch.tensor([1, 1]),
        lambda chosen: network.at,
        held_out,
        lr=0.1,
        batch=2,
        reads=reads,
        progress=silent,
        what="counter",
    )
    return round(float(network.at.detach()), 3), epochs


def test_the_best_epoch_is_kept_and_training_stops_when_it_is_long_ago() -> None:
    assert run_fit([5, 4, 3, 4, 3, 4]) == (-0.3, 6)  # as good as before is no better
    assert run_fit([5, 6, 7, 4, 9, 9, 9]) == (-0.4, 7)
    assert run_fit([5, 4, 3, 2], reads=8) == (-0.4, 4)  # and when enough has been read


def test_a_network_that_diverges_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="the counter did not train: its loss is not a number"):
        run_fit([math.nan] * 3)
    network = Counter()
    with pytest.raises(Unavailable, match="gradient of Counter is not finite"):
        train_network(
            network,
            torch.tensor([1]),
            lambda chosen: network.at * math.inf,
            lambda: 0.0,
            lr=0.1,
            batch=1,
            reads=1,
            progress=silent,
            what="counter",
        )


# Language models


@pytest.mark.parametrize(
    ("transitions", "first"),
    [
        (CHAIN, FIRST),
        # words drawn each for itself, sentences ended with probability 0.2
        (torch.tensor([[0.4, 0.25, 0.15, 0.2]] * 3), torch.tensor([0.4, 0.25, 0.15, 0.2])),
    ],
)
def test_a_language_model_learns_the_entropy_of_its_language(
    transitions: Tensor, first: Tensor
) -> None:
    taught, new = written(transitions, first, 1500, 0), written(transitions, first, 1000, 1)
    model = learnt(taught, replace(TINY_MODEL, longest=64, reads=15_000))
    result = float(cost(model, new).sum() / (new.sizes + 1).sum())
    exact = true_nats(new, transitions, first)
    assert exact - 1e-3 < result < exact + 0.01


def test_a_tenth_of_the_sentences_is_never_learnt_from() -> None:
    taught = numbered([[i, i] for i in range(60)])  # every sentence has a word of its own
    slow, fast = (
        learnt(taught, replace(TINY_MODEL, reads=120, lr=lr)).network for lr in (1e-2, 2e-2)
    )
    # a word that was never read is what it was at the start
    never_read = (slow.embedding.weight == fast.embedding.weight).all(1)[3:]
    assert int(never_read.sum()) == 6


def test_a_sentence_costs_the_same_alone_and_among_others(model: LanguageModel) -> None:
    sentences = joined([written(CHAIN, FIRST, 30, 2), numbered([[], [0] * 40, [77]])])
    text = read(model.tokenizer, spelt(sentences))
    together = costs(model.network, text)
    for row in range(len(text)):
        alone = text[row : row + 1].trimmed()
        logits = model.network(alone)[0].detach()
        exact = F.cross_entropy(logits, alone.tokens[0], reduction="sum")
        assert float(together[row]) == pytest.approx(float(exact), abs=1e-4)


def test_training_is_deterministic_and_disturbs_no_random_numbers(model: LanguageModel) -> None:
    taught = written(CHAIN, FIRST, 400, 0)
    before = torch.get_rng_state()
    settings = replace(TINY_MODEL, reads=2000)
    again = learnt(taught, settings)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(1)
    other = learnt(taught, settings, seed=1)
    new = spelt(written(CHAIN, FIRST, 50, 3))
    assert torch.equal(encode(model, new), encode(again, new))
    assert not torch.equal(encode(model, new), encode(other, new))


def test_the_model_of_train_is_trained_once() -> None:
    train = written(CHAIN, FIRST, 60, 0)
    memory: dict[object, object] = {}
    settings = replace(TINY_MODEL, reads=60)
    rows = [material(numbered([[word]]), train, train, memory=memory) for word in range(2)]
    first, second = (real_language_model(row, settings) for row in rows)
    assert first is second
    assert real_language_model(rows[0], replace(settings, hidden=8)) is not first


def test_no_more_sentences_are_learnt_from_than_told() -> None:
    train = written(CHAIN, FIRST, 90, 0)
    settings = replace(TINY_MODEL, reads=60, sentences=70)
    model = learnt(train, settings)
    assert model.facts["learnt"] == 70


def test_too_little_text_is_unavailable() -> None:
    few = numbered([[1, 2]] * 49)
    for train in (None, few):
        with pytest.raises(Unavailable, match="or train=FILE, the text"):
            real_language_model(material(few, few, train))
    with pytest.raises(Unavailable, match=r"needs at least 50 texts .*; there are 49"):
        learnt(few, TINY_MODEL)


# Vectors of sentences


def test_a_vector_is_the_mean_of_the_states_before_each_word_and_the_end(
    model: LanguageModel,
) -> None:
    sentences = joined([written(CHAIN, FIRST, 20, 4), numbered([[], [0] * 40])])
    vectors = encode(model, spelt(sentences))
    assert vectors.dtype == torch.float64
    assert vectors.shape == (22, TINY_MODEL.hidden)
    ids = {int(word): 3 + i for i, word in enumerate(model.tokenizer.words)}
    with torch.no_grad():
        for vector, words in zip(vectors, sentences.tolist(), strict=True):
            read = [0, *(ids[word] for word in words)][: TINY_MODEL.longest]
            states, _ = model.network.rnn(model.network.embedding(torch.tensor([read])))
            torch.testing.assert_close(vector, states[0].mean(0).double(), atol=1e-5, rtol=0)


def test_vectors_know_the_order_of_words(model: LanguageModel) -> None:
    forth, back = encode(model, spelt(numbered([[0, 1, 2], [2, 1, 0]])))
    assert float((forth - back).norm()) > 0.1


# Odd texts

ODD = {
    "empty": numbered([[]] * 60),
    "all the same": numbered([[1, 2, 3]] * 60),
    "two words": numbered([[0, 1], [1, 0, 0]] * 30),
    "one word each, all different": numbered([[i] for i in range(60)]),
    "one very long": numbered([[1] * 20_000, *([[1, 2]] * 59)]),
    "half empty": numbered([[], [1, 2, 3, 4]] * 30),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_odd_texts_have_finite_costs_and_vectors(odd: Sentences, model: LanguageModel) -> None:
    settings = replace(TINY_MODEL, reads=120)
    own = learnt(odd, settings)
    usual = written(CHAIN, FIRST, 5, 0)
    for judge, judged in ((own, odd), (own, usual), (model, odd)):
        assert bool(cost(judge, judged).isfinite().all())
        assert bool(encode(judge, spelt(judged)).isfinite().all())
