"""What all metrics share: the inputs, and numbers with their intervals."""

import numpy as np
import pytest
import torch
from languages import material, numbered

from textgan.core.statistics import over_subsets, percentiles, resampled_ratio
from textgan.metrics.base import MetricInputs

TEXTS, REAL = numbered([[1, 2], [3], [], [2, 2, 4]]), numbered([[1], [2, 3]])


def inputs(**settings: object) -> MetricInputs:
    return material(TEXTS, REAL, **settings)


def test_a_ratio_is_that_of_the_sums_with_its_bootstrap() -> None:
    totals, counts = torch.tensor([1.0, 6.0, 2.0]), torch.tensor([2.0, 3.0, 1.0])
    estimate, replicates = inputs(seed=5).ratio(totals, counts)
    assert estimate.value == 9 / 6
    expected = resampled_ratio(totals.double().numpy(), counts.double().numpy(), 100, 5, 0)
    assert np.array_equal(replicates, expected)
    assert estimate == percentiles(1.5, replicates)
    _, other = inputs(seed=5).ratio(totals, counts, side=1)
    assert not np.array_equal(replicates, other), "texts of another side are resampled apart"
    mean, of_mean = inputs().mean(totals)
    assert mean.value == 3 and len(of_mean) == 100


def test_texts_of_one_source_are_resampled_together() -> None:
    totals, counts = torch.tensor([1.0, 6.0, 2.0, 1.0]), torch.tensor([2.0, 3.0, 1.0, 4.0])
    result = inputs().ratio(totals, counts, sources=torch.tensor([7, 7, 3, 3]))
    expected = inputs().ratio(torch.tensor([7.0, 3.0]), torch.tensor([5.0, 5.0]))
    assert result[0].value == expected[0].value == 1.0
    assert sorted(set(result[1])) == sorted(set(expected[1]))


def test_no_interval_of_one_text_or_without_resamplings() -> None:
    for made, values in ((inputs(), [2.0]), (inputs(resamplings=0), [1.0, 3.0])):
        estimate, replicates = made.mean(torch.tensor(values))
        assert (estimate.value, estimate.low, len(replicates)) == (2.0, None, 0)


def test_numbers_of_a_set_are_those_of_its_subsets() -> None:
    values = torch.arange(8.0)

    def largest(rows: torch.Tensor) -> float:
        return float(values[rows].max())

    made = inputs(subsets=20, seed=3)
    estimate, replicates = made.of_set(7.0, largest, 8, (0, 7))
    [expected] = over_subsets([7.0], lambda rows: [largest(rows)], 8, 20, 3).T
    assert np.array_equal(replicates, expected)
    assert estimate.value == 7 and estimate.high is not None and estimate.high <= 7
    for few, subsets in ((3, 20), (8, 0)):
        alone, none = inputs(subsets=subsets).of_set(7.0, largest, few)
        assert (alone.value, alone.low, len(none)) == (7.0, None, 0)


def test_what_is_shared_is_made_once() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    shared = inputs()
    assert [shared.remember("key", make) for _ in range(3)] == [1, 1, 1]
    assert shared.remember(("key", 2), make) == 2


def test_sentences_have_words_and_signatures_their_kind() -> None:
    made = inputs(counted="+unknown")
    assert made.words(TEXTS) == [["1", "2"], ["3"], [], ["2", "2", "4"]]
    assert made.token_kind == made.tokenizer.kind + "+unknown"


def test_fields_of_version_0_1_are_read_by_their_names() -> None:
    made = inputs(train_source="references")
    assert made.hypotheses is made.predictions  # type: ignore[attr-defined]
    assert made.real is made.paired_references  # type: ignore[attr-defined]
    assert made.learnt == "references"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="MetricInputs has no nothing"):
        made.nothing  # type: ignore[attr-defined]  # noqa: B018
