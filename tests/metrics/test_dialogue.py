"""Evaluators whose law is known have the numbers that follow from it; trained ones come near."""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from echoes import WORDS, echoes
from places import ROOT
from scipy import stats
from tokenized import sentences_of
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.score import Score
from textgan.core.statistics import over_evaluators
from textgan.evaluation.comparison import compare_scores
from textgan.metrics.base import Metric, MetricInputs, Pairs, Unavailable
from textgan.metrics.dialogue import (
    AdversarialSuccess,
    Commonest,
    EvaluatorReliabilityError,
    EvaluatorSettings,
    MachineVsRandom,
    Scorer,
    Task,
    divide,
    errors,
    halves,
    with_random_answers,
)

Lines = list[str]
METRICS: list[Metric] = [AdversarialSuccess(), MachineVsRandom(), EvaluatorReliabilityError()]
BAGS = f"{ROOT / 'tests/support/echoes.py'}:Bags"
SMALL: dict[str, Any] = {"network": BAGS, "lr": 0.02, "reads": 4000}


def inputs(
    sources: Lines, human: Lines, machine: Lines, after: Lines | None = None, **options: Any
) -> MetricInputs:
    tokenizer, (people, texts, following) = sentences_of(human, machine, after or [])
    of_sources, (asked,) = sentences_of(sources)
    return MetricInputs(
        tokenizer=tokenizer,
        predictions=texts,
        lines=machine,
        references=people,
        sample=texts,
        paired_sample=texts,
        paired_references=people,
        source_tokenizer=of_sources,
        sources=asked,
        real_pairs=Pairs(asked, people, following if after else None),
        **options,
    )


def numbered(word: str, n: int = 120) -> Lines:
    return [f"{word} {i}" for i in range(n)]


def told(n: int = 120) -> MetricInputs:
    """Every source has words of its own, and so has what people and the machine say to it."""
    return inputs(*(numbered(word, n) for word in ("source", "human", "machine", "after")))


def constant(score: float) -> Callable[..., Scorer]:
    return lambda learn, stop, seed: lambda pairs: torch.full((len(pairs),), score)


def by_words(learn: Task, stop: Task, seed: int) -> Scorer:
    """How many of an answer's words are of positives that it learnt from, less those of others."""
    kinds = [Counter(side.answers.words.tolist()) for side in learn]

    def scores(pairs: Pairs) -> Tensor:
        return torch.tensor(
            [
                float(sum((word in kinds[0]) - (word in kinds[1]) for word in answer))
                for answer in pairs.answers.tolist()
            ]
        )

    return scores


def with_evaluator(evaluator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluatorSettings, "evaluator", lambda settings, inputs: evaluator)


def measured(row: MetricInputs, **settings: Any) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for metric in METRICS:
        scores |= type(metric)(**settings).measure(row)
    return scores


@pytest.mark.parametrize("score", [-1.0, 0.0, 1.0])
def test_a_constant_evaluator(score: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with_evaluator(constant(score), monkeypatch)
    values = {name: one.value for name, one in measured(told()).items()}
    terms = ("human", "machine", "random", "following")
    assert values == {
        "adversuc": 0.5, "machine_vs_random": 0.5, "ere": 0.25,
        **{f"ere_{name}": 0.5 for name in terms},
    }  # fmt: skip


def test_an_evaluator_that_knows_people_on_identical_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, human = numbered("source"), numbered("human")
    row = inputs(sources, human, human)
    assert row.real_pairs is not None
    known = {tuple(answer) for answer in row.real_pairs.answers.tolist()}

    def perfect(learn: Task, stop: Task, seed: int) -> Scorer:
        return lambda pairs: torch.tensor(
            [1.0 if tuple(answer) in known else -1.0 for answer in pairs.answers.tolist()]
        )

    with_evaluator(perfect, monkeypatch)
    score = AdversarialSuccess().measure(row)["adversuc"]
    assert (score.value, score.low, score.high) == (0.5, 0.5, 0.5)


def test_a_lookup_evaluator_on_disjoint_vocabularies(monkeypatch: pytest.MonkeyPatch) -> None:
    with_evaluator(by_words, monkeypatch)
    scores = measured(told())
    assert scores["adversuc"].value == 0
    assert scores["machine_vs_random"].value == 1
    assert scores["ere_following"].value == 0  # and nothing is known of the other tasks
    assert scores["ere_human"].value == scores["ere_machine"].value == 0.5
    assert scores["ere_random"].value == 0.5 and scores["ere"].value == 0.125


def test_an_evaluator_that_solves_the_third_task_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = told()

    def by_number(learn: Task, stop: Task, seed: int) -> Scorer:
        def scores(pairs: Pairs) -> Tensor:
            assert row.source_tokenizer is not None
            words = row.words(pairs.answers)
            sources = [
                row.source_tokenizer.convert_ids_to_tokens(s) for s in pairs.sources.tolist()
            ]
            same = [a[-1] == s[-1] for a, s in zip(words, sources, strict=True)]
            return torch.tensor(same).double() - 0.5

        return scores

    with_evaluator(by_number, monkeypatch)
    scores = EvaluatorReliabilityError().measure(row)
    assert scores["ere_random"].value == 0 and scores["ere_following"].value == 0.5
    assert scores["ere"].value == 0.125
    assert MachineVsRandom().measure(row)["machine_vs_random"].value == 1


def test_pairs_of_one_source_are_in_one_part_and_every_part_is_balanced() -> None:
    sources = [f"source {i % 37}" for i in range(150)]
    others = [f"source {i % 41}" for i in range(130)]
    row = inputs(sources, numbered("human", 150), numbered("machine", 150))
    assert row.real_pairs is not None and row.source_tokenizer is not None
    few = sentences_of(others, known=row.source_tokenizer.words)[1][0]
    sides = [row.real_pairs, Pairs(few, row.predictions[:130])]
    parts = divide(sides, 4, 20, 0)
    met: dict[tuple[int, ...], int] = {}
    for number, part in enumerate(parts):
        assert len(part[0]) == len(part[1]) <= 20
        for side in part:
            for source in map(tuple, side.sources.tolist()):
                assert met.setdefault(source, number) == number
    assert len({len(part[0]) for part in parts}) == 1, "as many as `most` of each"
    answers = [tuple(answer) for part in parts for answer in part[0].answers.tolist()]
    assert len(set(answers)) == len(answers)
    other = divide(sides, 4, 20, 1)
    assert [part[0].sources.digest() for part in other] != [p[0].sources.digest() for p in parts]
    # sets with the same sources keep the same ones, so that a source is on both sides
    for one, two in divide(
        [row.real_pairs, Pairs(row.real_pairs.sources, row.predictions)], 4, 9, 0
    ):
        assert one.sources.digest() == two.sources.digest()


@pytest.mark.parametrize("kinds", [1, 2, 3, 10, 24])
def test_halves_have_no_source_in_common(kinds: int) -> None:
    sources = [f"source {min(i, kinds - 1)}" for i in range(24)]
    row = inputs(sources, numbered("human", 24), numbered("machine", 24))
    assert row.real_pairs is not None
    one, two = halves(row.real_pairs, 0)
    assert len(one) == len(two)
    assert not {*map(tuple, one.sources.tolist())} & {*map(tuple, two.sources.tolist())}
    # the last source has all pairs but those of the others, one each
    assert {1: 0, 2: 1, 3: 1, 10: 5, 24: 12}[kinds] <= len(one) <= min(12, kinds - 1)


def test_halves_are_alike_in_how_often_their_sources_recur() -> None:
    sources = [f"source {i % 8}" for i in range(64)] + [f"once {i}" for i in range(64)]
    random.Random(0).shuffle(sources)
    row = inputs(sources, numbered("human", 128), numbered("machine", 128))
    assert row.real_pairs is not None and row.source_tokenizer is not None
    shares = []
    for seed in range(40):
        words = [row.source_tokenizer.decode(side.sources.tolist())
                 for side in halves(row.real_pairs, seed)]  # fmt: skip
        shares.append([sum("once" in source for source in side) / len(side) for side in words])
    one, two = np.mean(shares, 0)
    assert abs(one - two) < 0.1 and 0.4 < one < 0.6


def in_conversations() -> tuple[MetricInputs, Tensor]:
    """100 conversations of ten pairs, of utterances that occur nowhere else: what follows an answer
    is the answer of the next pair."""
    said = [[f"c{c} u{c}x{k}" for k in range(12)] for c in range(100)]
    sources, human, after = ([u for one in said for u in one[k : k + 10]] for k in range(3))
    return inputs(sources, human, numbered("machine", 1000), after), torch.arange(1000) // 10


def with_conversations(row: MetricInputs, numbers: Tensor) -> MetricInputs:
    assert row.real_pairs is not None
    people = replace(row.real_pairs, conversations=numbers)
    return replace(row, conversations=numbers, real_pairs=people)


def by_answer(learn: Task, stop: Task, seed: int) -> Scorer:
    """Remembers the answers it learnt from, and guesses at others."""
    positive, negative = ({*side.answers.spelt()} for side in learn)
    dice = random.Random(0)
    return lambda pairs: torch.tensor(
        [
            (one in positive) - (one in negative) + dice.choice([-0.1, 0.1])
            for one in pairs.answers.spelt()
        ]
    )


def test_what_follows_an_answer_is_no_answer_of_another_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_evaluator(by_answer, monkeypatch)
    row, numbers = in_conversations()
    score = EvaluatorReliabilityError().measure(row)["ere_following"]
    assert score.value > 0.65 and "split:source" in score.signature
    score = EvaluatorReliabilityError().measure(with_conversations(row, numbers))["ere_following"]
    assert abs(score.value - 0.5) < 0.06 and "split:conversation" in score.signature


def test_topics_of_other_conversations_are_not_told_from_these(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_evaluator(by_words, monkeypatch)
    row, numbers = in_conversations()
    assert row.sources is not None and row.real_pairs is not None
    test, valid = torch.arange(500), torch.arange(500, 1000)

    def real_row(row: MetricInputs) -> float:
        assert row.real_pairs is not None and row.sources is not None
        people, others = row.real_pairs[test], row.real_pairs[valid]
        row = replace(
            row, real_pairs=people, sources=others.sources, predictions=others.answers,
            conversations=others.conversations,
        )  # fmt: skip
        return AdversarialSuccess().measure(row)["adversuc"].value

    assert real_row(row) < 0.01 and real_row(with_conversations(row, numbers)) == 0.5


def test_no_part_and_no_half_has_a_source_or_a_conversation_of_another() -> None:
    # every conversation begins alike, so that they are one by their sources
    sources = [f"c{i // 6} u{i}" if i % 6 else "hi" for i in range(240)]
    row = inputs(sources, numbered("human", 240), numbered("machine", 240))
    row = with_conversations(row, torch.arange(240) // 6 + 7)
    assert row.real_pairs is not None
    answers = replace(row.real_pairs, answers=row.predictions)
    sizes = []
    for k in range(9):
        parts = [sides[0] for sides in divide([row.real_pairs, answers], 4, 100, k)]
        for sides in (parts, halves(row.real_pairs, k)):
            met = [{*side.sources.spelt()} for side in sides]
            for kept in (met, [{*side.conversations.tolist()} for side in sides]):  # type: ignore[union-attr]
                assert sum(map(len, kept)) == len(set.union(*kept))  # type: ignore[arg-type]
        sizes.append((sum(map(len, parts)), *map(len, halves(row.real_pairs, k))))
        one, two = halves(row.real_pairs, k)
        assert sum("hi" in text for text in row.source_tokenizer.decode(  # type: ignore[union-attr]
            one.sources.tolist() + two.sources.tolist())) in range(15, 21)  # fmt: skip
    assert set(sizes) == {(210, 100, 100)}


def test_a_random_answer_is_none_of_the_same_source() -> None:
    for kinds in (2, 3, 40):  # with two sources, each has half of the pairs
        sources = [f"s{i % kinds}" for i in range(120)]
        row = inputs(sources, [f"{s} human {i}" for i, s in enumerate(sources)], numbered("m"))
        assert row.real_pairs is not None and row.source_tokenizer is not None
        some = row.real_pairs
        for seed in range(5):
            shuffled = with_random_answers(some, some, seed)
            assert sorted(shuffled.answers.tolist()) == sorted(some.answers.tolist())
            asked = row.source_tokenizer.decode(shuffled.sources.tolist())
            for one, answer in zip(asked, row.words(shuffled.answers), strict=True):
                assert one != answer[0]
    most = inputs(["same"] * 61 + numbered("s", 59), numbered("human"), numbered("m")).real_pairs
    assert most is not None
    with pytest.raises(Unavailable, match="more different sources; most of a part have one"):
        with_random_answers(most, most, 0)


def test_no_source_keeps_its_own_answer_and_all_answers_are_used() -> None:
    row = told(50)
    assert row.real_pairs is not None
    shuffled = with_random_answers(row.real_pairs, row.real_pairs, 0)
    assert shuffled.sources.digest() == row.real_pairs.sources.digest()
    own, given = row.real_pairs.answers.tolist(), shuffled.answers.tolist()
    assert sorted(own) == sorted(given)
    assert all(a != b for a, b in zip(own, given, strict=True))


def test_terms_are_distances_of_means_and_not_means_of_distances() -> None:
    values = torch.tensor([0.4, 0.6, 0.45, 0.55])
    assert float(errors(values, 0.5).mean()) == pytest.approx(0)
    assert float(errors(values, 0.7).mean()) == pytest.approx(0.2)
    assert float(errors(values, 0.3).mean()) == pytest.approx(0.2)


def test_intervals_are_those_of_student_over_evaluators() -> None:
    a, b = [0.1, 0.14, 0.09, 0.2, 0.12], [0.2, 0.21, 0.12, 0.33, 0.2]
    estimate, _ = over_evaluators(a)
    half = stats.t.ppf(0.975, 4) * np.std(a, ddof=1) / math.sqrt(5)
    assert estimate.low == pytest.approx(np.mean(a) - half)
    assert estimate.high == pytest.approx(np.mean(a) + half)
    one, two = (
        {"adversuc": Score("", *over_evaluators(x)[:1], "s", "higher", "", over_evaluators(x)[1])}
        for x in (a, b)
    )
    (difference,) = compare_scores(one, two).differences
    right = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert difference.estimate is not None
    assert difference.estimate.low == pytest.approx(right.low)
    assert difference.estimate.high == pytest.approx(right.high)
    estimate, _ = over_evaluators([0.0, 0.0, 0.3], (0.0, 1.0))
    assert estimate.low == 0


def test_trained_evaluators_know_a_machine_by_its_words_and_people_by_the_source() -> None:
    sources, human = echoes(600, 0)
    _, other = echoes(600, 1, [word.upper() for word in WORDS])
    scores = measured_by_bags(inputs(sources, human, other))
    assert scores["adversuc"].value < 0.02 and scores["machine_vs_random"].value > 0.98
    # the echo of another word of the source: nobody can tell it from people's
    dice = random.Random(3)
    again = [f"{word} {word}" for word in (dice.choice(source.split()) for source in sources)]
    scores = measured_by_bags(inputs(sources, human, again))
    adversuc = scores["adversuc"]
    assert adversuc.low is not None and adversuc.high is not None
    assert adversuc.low < 0.5 < adversuc.high and 0.4 < adversuc.value < 0.6
    # a third of random answers are a word of the source, too
    assert 0.65 < scores["machine_vs_random"].value < 0.84


def measured_by_bags(row: MetricInputs) -> dict[str, Score]:
    return AdversarialSuccess(**SMALL).measure(row) | MachineVsRandom(**SMALL).measure(row)


def test_the_same_inputs_have_the_same_numbers_and_the_signature_says_how() -> None:
    sources, human = echoes(120, 0)
    row = inputs(sources, human, echoes(120, 5)[1])
    one, two = (AdversarialSuccess(**SMALL | {"reads": 400}).measure(row) for _ in range(2))
    assert one["adversuc"] == two["adversuc"]
    assert np.array_equal(one["adversuc"].replicates, two["adversuc"].replicates)
    signature = one["adversuc"].signature
    for fact in (
        "network:",
        "n_train:144",
        "n_test:240",
        "seeds:0/0-4",
        "split:source",
        "reads:400",
    ):
        assert fact in signature, signature
    other = inputs(sources, human, echoes(120, 5)[1], seed=1)
    again = AdversarialSuccess(**SMALL | {"reads": 400}).measure(other)["adversuc"]
    assert again.signature != signature and not np.array_equal(
        again.replicates, one["adversuc"].replicates
    )


def test_the_human_tasks_are_trained_once_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Task] = []

    def counted(learn: Task, stop: Task, seed: int) -> Scorer:
        trained.append(learn)
        return constant(1.0)(learn, stop, seed)

    with_evaluator(counted, monkeypatch)
    memory: dict[Any, Any] = {}
    for word in ("machine", "another"):
        lines = [numbered(one) for one in ("source", "human", word, "after")]
        EvaluatorReliabilityError().measure(inputs(*lines, memory=memory))
    assert len(trained) == 5 * (4 + 1)
    # but not where what follows, or the seed, is another
    lines = [*(numbered(one) for one in ("source", "human", "machine")), numbered("after")[::-1]]
    EvaluatorReliabilityError().measure(inputs(*lines, memory=memory))
    assert len(trained) == 5 * (4 + 1 + 4)
    EvaluatorReliabilityError().measure(inputs(*lines, memory=memory, seed=1))
    assert len(trained) == 5 * (4 + 1 + 4 + 4)


def test_what_is_missing_is_said() -> None:
    row = told()
    with pytest.raises(Unavailable, match=r"needs texts that answer sources: .*source=FILE"):
        AdversarialSuccess().check(without_sources())
    with pytest.raises(Unavailable, match="at least 100 pairs on each side; there are 9 on one"):
        MachineVsRandom().check(told(9))
    with pytest.raises(Unavailable, match="needs the utterance that follows each answer"):
        EvaluatorReliabilityError().check(
            inputs(numbered("source"), numbered("human"), numbered("machine"))
        )
    with pytest.raises(UserError, match=r"network = 'cnn' does not read the source; give one of:"):
        AdversarialSuccess(network="cnn").measure(row)
    alike = inputs(["the same"] * 120, numbered("human"), numbered("machine"))
    with pytest.raises(Unavailable, match="pairs of more different sources"):
        AdversarialSuccess(**SMALL).measure(alike)


def without_sources() -> MetricInputs:
    tokenizer, (texts,) = sentences_of(numbered("a"))
    return MetricInputs(
        tokenizer=tokenizer, predictions=texts, lines=[], references=texts, sample=texts,
        paired_sample=texts, paired_references=texts,
    )  # fmt: skip


def test_the_share_of_the_commonest_answers() -> None:
    machine = ["i do not know"] * 5 + ["yes"] * 3 + [f"answer {i}" for i in range(12)]
    sources = numbered("source", 20)
    row = inputs(sources, numbered("human", 20), machine)
    for most, times in ((1, 5), (2, 8), (3, 9), (14, 20), (50, 20)):
        score = Commonest(most=most).measure(row)["commonest"]
        assert score.value == times / 20 and f"most:{most}|hyps:20" in score.signature
    score = Commonest(most=1).measure(row)["commonest"]
    assert score.low is not None and score.high is not None and score.low < 0.25 < score.high
