"""Beam search against enumeration, and against a beam search that is written down plainly."""

import math
from dataclasses import replace

import pytest
import torch
from answers import ANSWERS, all_answers, answering, both, sources
from seq2seq import Attention
from torch import Tensor
from worlds import FIXED, VARIABLE, Uniform, enumerate_texts, log_probs, same, small_generator

from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models import beam
from textgan.models.beam import BeamSearch, Hypotheses
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.sampling import greedy

ALL = ANSWERS.vocabulary**ANSWERS.length  # no prefix is ever dropped
WITH_UNKNOWN = replace(ANSWERS, unknown=0)
Plain = list[tuple[list[int], float, float]]  # tokens, log P, score


def of_world(space: TextSpace, seed: int = 3) -> Attention:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Attention(space).double()


def lists(found: Hypotheses) -> list[Plain]:
    """Of each condition its texts, their log P and scores."""
    texts, n = found.text.tolist(), found.score.shape[1]
    flat = list(
        zip(texts, found.log_prob.flatten().tolist(), found.score.flatten().tolist(), strict=True)
    )
    return [flat[start : start + n] for start in range(0, len(flat), n)]


def plainly(
    generator: AutoregressiveGenerator, condition: Condition, search: BeamSearch, n: int
) -> Plain:
    """The n best of one condition, one hypothesis after another, without early stopping."""
    space = generator.space
    barred = set(space.unwritten) | (set() if search.allow_unknown else {space.unknown})
    beams: list[tuple[list[int], float, bool]] = [([], 0.0, False)]
    for position in range(search.max_length or space.length):
        ranked = []
        for tokens, log_prob, ended in beams:
            if ended:
                ranked.append((math.inf, (tokens, log_prob, True)))
                continue
            state = generator.start(1, condition)
            for symbol in [space.bos, *tokens]:
                logits, state = generator.step(torch.tensor([symbol]), state)
            each = logits[0].log_softmax(0).tolist()
            children = sorted(range(space.vocabulary), key=lambda word: -each[word])
            children = [word for word in children if word not in barred]
            if position + 1 < search.min_length:
                children = [word for word in children if word != space.eos]
            for place, word in enumerate(children):
                total = log_prob + each[word]
                child = ([*tokens, word], total, word == space.eos)
                ranked.append((total - search.diversity * place * (position > 0), child))
        ranked.sort(key=lambda one: -one[0])
        beams = [one for _, one in ranked[: search.width]]
    result = [
        (tokens, log_prob, log_prob / len(tokens) ** search.length_penalty)
        for tokens, log_prob, _ in beams
    ]
    return sorted(result, key=lambda one: -one[2])[:n]


def assert_alike(found: Plain, wanted: Plain) -> None:
    assert [tokens for tokens, *_ in found] == [tokens for tokens, *_ in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours[1:] == pytest.approx(theirs[1:], abs=1e-12)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.6, 1.0, 2.0])
def test_a_beam_as_wide_as_all_texts_is_the_exhaustive_argmax(alpha: float) -> None:
    generator = answering()
    found = lists(BeamSearch(width=ALL, length_penalty=alpha)(generator, both(), n=15))
    for place, which in enumerate((0, 1)):
        texts = all_answers(which)
        chances = log_probs(generator, texts).detach()
        scores, order = (chances / texts.lengths.double() ** alpha).sort(descending=True)
        parts = texts[order].tolist(), chances[order].tolist(), scores.tolist()
        assert_alike(found[place], list(zip(*parts, strict=True)))
    assert found[0][0][0] != found[1][0][0]  # the source matters


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "search",
    [
        BeamSearch(width=1),
        BeamSearch(width=2, length_penalty=0),
        BeamSearch(width=3, diversity=0.7),
        BeamSearch(width=4, length_penalty=-1, diversity=0.2, min_length=2),
        BeamSearch(width=3, max_length=2, length_penalty=1.5),
        BeamSearch(width=9, allow_unknown=True, diversity=3),
    ],
)
def test_all_settings_do_what_a_plain_search_does(search: BeamSearch, seed: int) -> None:
    space = TextSpace(7, 5, eos=4, bos=2, pad=3, unknown=1, source=ANSWERS.source)
    generator = of_world(space, seed)
    n = min(3, search.width)
    found = lists(search(generator, both(), n))
    for which in (0, 1):
        assert_alike(found[which], plainly(generator, both()[torch.tensor([which])], search, n))


@pytest.mark.parametrize("world", [ANSWERS, WITH_UNKNOWN], ids=["all words", "unknown"])
def test_width_1_is_greedy_decoding(world: TextSpace) -> None:
    for seed in range(5):
        generator = of_world(world, seed)
        search = BeamSearch(width=1, allow_unknown=True)
        assert torch.equal(
            search(generator, both()).text.tokens,
            generator.sample(2, choose=greedy, condition=both()).tokens,
        )


def test_the_score_is_of_the_generators_log_prob() -> None:
    generator = answering()
    found = BeamSearch(width=6, length_penalty=0.7, diversity=0.4)(generator, both(), n=6)
    own = log_probs(generator, found.text).detach().view(2, 6)
    assert same(found.log_prob, own)
    assert same(found.score, own / found.text.lengths.view(2, 6).double() ** 0.7)
    assert (found.score.diff(dim=1) <= 0).all()


def test_rate_0_is_a_plain_beam_and_a_huge_one_leaves_one_child_a_parent() -> None:
    generator = of_world(replace(ANSWERS, length=2))
    plain, zero = (
        BeamSearch(width=3, **given)(generator, both(), n=3) for given in ({}, {"diversity": 0.0})
    )
    assert torch.equal(plain.text.tokens, zero.text.tokens)
    huge = BeamSearch(width=3, diversity=1e6)(generator, both(), n=3)
    for texts in (huge.text.tokens[:3], huge.text.tokens[3:]):
        assert len(set(texts[:, 0].tolist())) == 3
    assert any(
        len(set(texts[:, 0].tolist())) < 3
        for texts in (plain.text.tokens[:3], plain.text.tokens[3:])
    )


def test_no_width_beats_the_exhaustive_search() -> None:
    best = BeamSearch(width=ALL)(answering(), both()).score
    for width in range(1, 12):
        assert (BeamSearch(width=width)(answering(), both()).score <= best + 1e-12).all()


def test_a_source_is_answered_alike_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, search = answering(), BeamSearch(width=3)
    many = sources()[torch.tensor([0, 1, 1, 0, 1, 0])]
    whole = lists(search(generator, Condition(source=many), n=2))
    for i in range(6):
        [alone] = lists(search(generator, Condition(source=many[i : i + 1]), n=2))
        assert_alike(alone, whole[i])
        [wider] = lists(search(generator, Condition(source=many[i : i + 1].pad_to(2, 3)), n=2))
        assert_alike(wider, whole[i])
    monkeypatch.setattr(beam, "AT_ONCE", 6)  # two sources a piece
    seen: list[list[int]] = []

    def progress(pieces, what):  # type: ignore[no-untyped-def]
        for piece in pieces:
            seen.append(piece.tolist())
            yield piece

    pieces = lists(search(generator, Condition(source=many), 2, progress))
    assert seen == [[1, 2], [4, 0], [3, 5]]  # longer ones first
    for ours, theirs in zip(pieces, whole, strict=True):
        assert_alike(ours, theirs)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0, 3.0])
def test_stopping_early_changes_nothing_but_the_work(
    alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = replace(ANSWERS, length=16)
    search, saved = BeamSearch(width=4, length_penalty=alpha), 0
    for seed in range(6):
        with monkeypatch.context() as patch:
            generator = of_world(space, seed)
            early = lists(search(generator, both(), n=1))
            steps = sum(generator.hypotheses)
            patch.setattr(BeamSearch, "_close", lambda *given: None)
            generator = of_world(space, seed)
            for ours, theirs in zip(lists(search(generator, both(), n=1)), early, strict=True):
                assert_alike(ours, theirs)
            saved += sum(generator.hypotheses) - steps
    assert saved > 0 or alpha >= 1  # of a mean the bound is loose


@pytest.mark.parametrize("seed", range(5))
def test_a_device_that_runs_ahead_finds_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There all places are in flight to the end, for to count those that are would be to wait."""
    space, search = replace(ANSWERS, length=8), BeamSearch(width=4, diversity=0.3)
    here = lists(search(of_world(space, seed), both(), n=4))
    monkeypatch.setattr(beam, "is_asynchronous", lambda tensor: True)
    generator = of_world(space, seed)
    found = search(generator, both(), n=4)
    for ours, theirs in zip(lists(found), here, strict=True):
        assert_alike(ours, theirs)
    assert (found.text.tokens[~found.text.mask] == space.pad).all()
    assert generator.hypotheses == [2, *[8] * (space.length - 1)]


def test_the_memory_of_a_source_is_made_once_and_copied_for_no_hypothesis() -> None:
    generator = answering()
    BeamSearch(width=4)(generator, both(), n=4)
    assert generator.encoded == 2
    assert set(generator.memories) == {2}
    assert max(generator.hypotheses) > 2
    assert generator.hypotheses[0] == 2  # one hypothesis a source before the first token


def test_special_tokens_and_the_unknown_word_are_not_written() -> None:
    generator = of_world(WITH_UNKNOWN)
    with torch.no_grad():
        generator.output.bias.fill_(-20)
        generator.output.bias[0] += 25  # the unknown word
        generator.forbidden.zero_()  # and a generator that forbids nothing itself
    texts = BeamSearch(width=8)(generator, both(), n=8).text
    assert not set(texts.tokens[texts.mask].tolist()) & {0, 2, 3}
    allowed = BeamSearch(width=8, allow_unknown=True)(generator, both(), n=8).text
    assert 0 in allowed.tokens[allowed.mask]
    assert not set(allowed.tokens[allowed.mask].tolist()) & {2, 3}


def test_lengths_are_kept() -> None:
    space = replace(ANSWERS, length=6)
    for least, most in ((0, 2), (3, 0), (4, 4), (2, 5)):
        search = BeamSearch(width=7, min_length=least, max_length=most)
        lengths = search(of_world(space), both(), n=7).text.lengths
        assert lengths.min() >= least
        assert lengths.max() <= (most or 6)


@pytest.mark.parametrize("space", [FIXED, VARIABLE], ids=["fixed", "variable"])
def test_texts_that_answer_nothing_are_searched_too(space: TextSpace) -> None:
    generator = small_generator(space)
    texts = enumerate_texts(space)
    chances = log_probs(generator, texts).detach()
    found = BeamSearch(width=space.vocabulary**space.length, length_penalty=0)(generator, n=5)
    assert found.text.condition == UNCONDITIONAL
    order = chances.argsort(descending=True)[:5]
    assert found.text.tolist() == texts[order].tolist()
    assert same(found.log_prob[0], chances[order])


def test_each_label_has_its_texts() -> None:
    space = replace(VARIABLE, classes=3)
    generator, labels = small_generator(space), torch.tensor([2, 0, 1])
    found = BeamSearch(width=64, length_penalty=0)(generator, Condition(labels), n=2)
    texts = enumerate_texts(space)
    for label, pair in zip(labels, found.text.split(2), strict=True):
        of_class = replace(texts, condition=Condition(label.expand(len(texts))))
        chances = log_probs(generator, of_class).detach()
        assert pair.tolist() == texts[chances.argsort(descending=True)[:2]].tolist()
        assert pair.labels is not None
        assert pair.labels.tolist() == [label, label]
    with pytest.raises(ValueError, match="3 classes need labels"):
        BeamSearch()(generator)


def test_fewer_texts_than_asked_for() -> None:
    space = TextSpace(3, 2, eos=1)  # "", "w", "w w"
    found = BeamSearch(width=5)(Uniform(space), n=5)
    assert found.score.isfinite().tolist() == [[True, True, True, False, False]]
    assert found.text.tolist()[3:] == found.text.tolist()[:1] * 2
    backward = torch.tensor([[-3.0, -2.0, -1.0, 0.0, 0.0]])
    again = found.rerank(backward, share=1.0)
    assert again.score.tolist() == [[-1.0, -2.0, -3.0, -math.inf, -math.inf]]


def hypotheses() -> Hypotheses:
    return BeamSearch(width=4)(answering(), both(), n=4)


def mean_log_prob_of_source(model: Attention, text: Text) -> Tensor:
    """Of each text, the mean of log P(source | text) over the source's tokens."""
    assert text.source is not None
    swapped = replace(
        text.source, condition=Condition(source=replace(text, condition=UNCONDITIONAL))
    )
    return (log_probs(model, swapped) / swapped.lengths).detach().view(2, 4)


def test_mmi_with_an_uninformative_backward_model_keeps_the_order() -> None:
    found, backward = (
        hypotheses(),
        of_world(TextSpace(4, 2, eos=1, source=replace(ANSWERS, source=None))),
    )
    with torch.no_grad():  # it does not read what it answers
        backward.source.weight.zero_()
        backward.places.weight.zero_()
    again = found.rerank(mean_log_prob_of_source(backward, found.text))
    assert torch.equal(again.text.tokens, found.text.tokens)
    assert torch.equal(again.log_prob, found.log_prob)


def test_mmi_orders_by_the_mean_of_both_scores() -> None:
    found, backward = (
        hypotheses(),
        of_world(TextSpace(4, 2, eos=1, source=replace(ANSWERS, source=None))),
    )
    values = mean_log_prob_of_source(backward, found.text)
    again = lists(found.rerank(values))
    changed = 0
    for which, plain in enumerate(lists(found)):
        mixed = [
            (tokens, log_prob, 0.5 * score + 0.5 * value)
            for (tokens, log_prob, score), value in zip(plain, values[which].tolist(), strict=True)
        ]
        assert_alike(again[which], sorted(mixed, key=lambda one: -one[2]))
        changed += [one[0] for one in again[which]] != [one[0] for one in plain]
    assert changed
    one = found.rerank(values, share=1.0).best()
    assert same(one.score.squeeze(1), values.max(1).values)
    assert len(one.text) == 2


def test_settings_out_of_range_are_refused() -> None:
    for wrong in (
        {"width": 0},
        {"diversity": -1.0},
        {"length_penalty": math.inf},
        {"min_length": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            BeamSearch(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n = 3: a beam of width 2"):
        BeamSearch(width=2)(answering(), both(), n=3)
    with pytest.raises(ValueError, match="need one"):
        BeamSearch()(answering())
