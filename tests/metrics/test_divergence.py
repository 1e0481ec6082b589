"""Divergences of whole texts, against sums over all texts of a space."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from answers import to_source
from enumerated import by_hand, drawn, material_of, models_of
from hypothesis import given
from hypothesis import strategies as st
from tables import generator_of, random_generator
from torch import Tensor
from worlds import FIXED, VARIABLE, WORLDS, enumerate_texts, probabilities, small_generator

import textgan
from textgan.core import registry
from textgan.core.score import Score
from textgan.data.text import UNCONDITIONAL, Text, TextSpace
from textgan.metrics.base import Models, Unavailable
from textgan.metrics.divergence import (
    Divergence,
    every_text,
    exact_divergences,
    how_many,
    log_over_mixture,
)
from textgan.metrics.likelihood import Likelihood, fingerprint
from textgan.models.draw import draw_like
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.oracle import make_oracle, oracle_corpus
from textgan.models.tempering import Mixture

LOG_2 = math.log(2)
PER_TOKEN = ("reverse_kl", "forward_kl")


def in_plain_sums(p: list[float], q: list[float]) -> dict[str, float]:
    """Divergences of two distributions from their definitions, p being the generator's."""

    def kl(p: list[float], q: list[float]) -> float:
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)

    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return {
        "kl_generator": kl(p, q),
        "kl_oracle": kl(q, p),
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "tv": sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2,
    }


def by_enumeration(
    generator: AutoregressiveGenerator, oracle: AutoregressiveGenerator, temperature: float = 1.0
) -> dict[str, float]:
    texts = enumerate_texts(oracle.space)
    p, q = by_hand(generator, texts, temperature).exp(), by_hand(oracle, texts).exp()
    result = in_plain_sums(p.tolist(), q.tolist())
    # NLL_oracle - entropy, NLL_test - entropy: per token of what is written, and of real text
    result["reverse_kl"] = result["kl_generator"] / float(p @ texts.lengths.double())
    result["forward_kl"] = result["kl_oracle"] / float(q @ texts.lengths.double())
    return result


def values(result: dict[str, Score]) -> dict[str, float]:
    return {name: score.estimate.value for name, score in result.items()}


# --- formulas ---


def test_a_case_worked_out_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()
    result = exact_divergences(p.log(), q.log())
    assert result["kl_generator"] == pytest.approx(LOG_2, rel=1e-14)
    assert result["kl_oracle"] == math.inf
    right = (math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * LOG_2) / 2
    assert result["js"] == pytest.approx(right, rel=1e-14)
    assert result["tv"] == 0.5


chances = st.lists(st.floats(1e-3, 1), min_size=5, max_size=5).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


@given(chances, chances)
def test_exact_divergences_are_their_definitions(p: list[float], q: list[float]) -> None:
    g, o = (torch.tensor(side, dtype=torch.float64).log() for side in (p, q))
    result, swapped = exact_divergences(g, o), exact_divergences(o, g)
    assert result == pytest.approx(in_plain_sums(p, q), rel=1e-9, abs=1e-14)
    assert result["kl_generator"] == swapped["kl_oracle"]
    for name in ("js", "tv"):
        assert result[name] == pytest.approx(swapped[name], rel=1e-12, abs=1e-16)
    # Pinsker, Lin: bounds that hold for any two distributions
    assert result["tv"] ** 2 / 2 - 1e-15 <= result["js"] <= LOG_2 * result["tv"] + 1e-15
    assert 2 * result["tv"] ** 2 <= min(result["kl_generator"], result["kl_oracle"]) + 1e-15


def test_distributions_with_nothing_in_common() -> None:
    g, o = torch.tensor([0.0, -math.inf]).double(), torch.tensor([-math.inf, 0.0]).double()
    result = exact_divergences(g, o)
    assert result == {"kl_generator": math.inf, "kl_oracle": math.inf, "js": LOG_2, "tv": 1.0}


def test_what_single_precision_leaves_of_a_sum_is_no_divergence() -> None:
    """Both lack 1e-6 of a sum of 1; without care that would count as -1e-6 nats."""
    g = torch.full((4,), 0.25, dtype=torch.float64).log() - 1e-6
    result = exact_divergences(g, torch.full((4,), 0.25, dtype=torch.float64).log())
    assert all(abs(value) < 1e-15 for value in result.values())


def test_the_share_in_a_mixture_neither_overflows_nor_leaves_its_bound() -> None:
    gaps = torch.tensor([0.0, 1e-9, 1.0, 700.0, 800.0, 1e6, math.inf], dtype=torch.float64)
    near, far = torch.zeros_like(gaps) - 50.0, -50.0 - gaps
    above = log_over_mixture(near, far)
    assert above[0] == 0
    assert (above <= LOG_2).all()
    assert same_as(above[2], -math.log((1 + math.exp(-1)) / 2))
    assert same_as(above[-1], LOG_2)
    below = log_over_mixture(far, near)
    assert below[-1] == -math.inf
    assert same_as(below[3], LOG_2 - 700)
    assert same_as(below[4], LOG_2 - 800)
    assert not below.isnan().any()


def same_as(result: Tensor, right: float) -> bool:
    return abs(result.item() - right) < 1e-12


# --- all texts of a space ---


def as_rows(text: Text) -> set[tuple[int, ...]]:
    return {tuple(row) for row in torch.cat([text.tokens, text.lengths.unsqueeze(1)], 1).tolist()}


@pytest.mark.parametrize(
    "space",
    [
        *WORLDS, TextSpace(5, 1), TextSpace(5, 1, eos=1), TextSpace(2, 4), TextSpace(4, 3, eos=3),
        TextSpace(3, 4, eos=1), TextSpace(2, 3, eos=1),
    ],
)  # fmt: skip
def test_every_text_is_there_once(space: TextSpace) -> None:
    result = every_text(space)
    assert len(result) == how_many(space)
    rows = {
        (*row, size)
        for row, size in zip(result.tokens.tolist(), result.lengths.tolist(), strict=True)
    }
    assert len(rows) == len(result)
    if space.vocabulary > 2:
        right = enumerate_texts(space)
        assert rows == {
            (*r, s) for r, s in zip(right.tokens.tolist(), right.lengths.tolist(), strict=True)
        }
    assert result.tokens.shape[1] == space.length


# --- exact, where all texts can be written down ---


@pytest.mark.parametrize("space", WORLDS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_small_spaces_are_summed(space: TextSpace, temperature: float) -> None:
    generator, oracle = small_generator(space), random_generator(space)
    result = Divergence().measure(material_of(models_of(generator, oracle, 3, temperature)))
    assert values(result) == pytest.approx(
        by_enumeration(generator, oracle, temperature), rel=1e-10
    )
    assert list(result) == ["kl_generator", "kl_oracle", "js", "tv", "reverse_kl", "forward_kl"]
    for name, score in result.items():
        assert score.estimate.low is None and not len(score.replicates)
        unit = "nats/token" if name in PER_TOKEN else "share" if name == "tv" else "nats/text"
        assert score.signature == (
            f"{name}|exact|temp:{temperature:g}|oracle:{fingerprint(oracle)}|unit:{unit}"
            f"|v:{textgan.__version__}"
        )
        assert score.title.endswith(" at T=0.7") == (temperature != 1)


@pytest.mark.parametrize("space", WORLDS)
def test_the_oracle_is_at_no_distance_from_itself(space: TextSpace) -> None:
    oracle = small_generator(space).float()
    result = Divergence().measure(material_of(models_of(oracle, oracle)))
    assert set(values(result).values()) == {0.0}
    twin = small_generator(space).float()
    result = Divergence().measure(material_of(models_of(twin, oracle)))
    assert set(values(result).values()) == {0.0}


@pytest.mark.parametrize("space", WORLDS)
def test_drawn_texts_of_the_oracle_are_at_no_distance_either(space: TextSpace) -> None:
    oracle = small_generator(space).float()
    result = Divergence(enumerable=0).measure(material_of(models_of(oracle, oracle)))
    assert list(result) == ["kl_generator", "kl_oracle", "js", *PER_TOKEN]
    for score in result.values():
        assert score.estimate.value == 0
        assert (score.estimate.low, score.estimate.high) == (0, 0)


def test_infinite_divergences_are_refused() -> None:
    uniform = torch.full((27,), 1 / 27, dtype=torch.float64)
    oracle, narrow = generator_of(FIXED, uniform), generator_of(FIXED, uniform)
    with torch.no_grad():
        narrow.table[..., 2] = -math.inf
    with pytest.raises(Unavailable, match=r"KL\(O‖G\) is infinite"):
        Divergence().measure(material_of(models_of(narrow, oracle)))
    with pytest.raises(Unavailable, match=r"KL\(G‖O\) is infinite"):
        Divergence().measure(material_of(models_of(oracle, narrow)))


# --- means over drawn texts ---


def test_impossible_texts_are_refused() -> None:
    uniform = torch.full((27,), 1 / 27, dtype=torch.float64)
    oracle, narrow = generator_of(FIXED, uniform), generator_of(FIXED, uniform)
    with torch.no_grad():
        narrow.table[..., 2] = -math.inf
    with pytest.raises(Unavailable, match="texts that the generator can write"):
        Divergence(enumerable=0).measure(material_of(models_of(narrow, oracle)))
    with pytest.raises(Unavailable, match="texts that the oracle can write"):
        Divergence(enumerable=0).measure(material_of(models_of(oracle, narrow)))


@pytest.mark.parametrize("space", WORLDS)
@pytest.mark.parametrize("temperature", [1.0, 0.8])
def test_means_over_texts_as_often_as_they_are_drawn_are_the_sums(
    space: TextSpace, temperature: float
) -> None:
    """Samples that hold each text in exactly the proportion in which it is written."""
    texts = enumerate_texts(space)
    random = torch.Generator().manual_seed(3)
    shares = []
    for _ in range(2):
        weights = torch.rand(len(texts), generator=random, dtype=torch.float64).square() + 0.05
        counts = (weights / weights.sum() * 400).floor() + 1
        shares.append(counts)
    real, fake = (texts[torch.arange(len(texts)).repeat_interleave(of.long())] for of in shares)
    oracle = generator_of(space, shares[0] / shares[0].sum())
    generator = generator_of(space, shares[1] / shares[1].sum())
    with torch.no_grad():  # so that it writes those texts at that temperature
        generator.table.mul_(temperature)
    result = Divergence(enumerable=0).measure(
        material_of(Models(generator, oracle, fake, real, temperature))
    )
    right = by_enumeration(generator, oracle, temperature)
    del right["tv"]
    assert values(result) == pytest.approx(right, rel=1e-10)
    assert result["js"].signature == (
        f"js|drawn:{len(fake)}|test:{len(real)}|temp:{temperature:g}|"
        f"oracle:{fingerprint(oracle)}|unit:nats/text|v:{textgan.__version__}"
    )


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 200 samples, 95 % but for chance: a count of 190 +- 4 sqrt(200 * 0.95 * 0.05)."""
    generator, oracle = small_generator(FIXED), random_generator(FIXED)
    right = by_enumeration(generator, oracle)
    fake, real = drawn(generator, 200 * 200, 1), drawn(oracle, 200 * 160, 2)
    inside = dict.fromkeys(("kl_generator", "kl_oracle", "js", *PER_TOKEN), 0)
    errors: dict[str, list[float]] = {name: [] for name in inside}
    for trial, (some, others) in enumerate(zip(fake.split(200), real.split(160), strict=True)):
        material = material_of(Models(generator, oracle, some, others), resamplings=80, seed=trial)
        result = Divergence(enumerable=0).measure(material)
        for name in inside:
            estimate = result[name].estimate
            assert estimate.low is not None and estimate.high is not None
            inside[name] += estimate.low <= right[name] <= estimate.high
            errors[name].append(estimate.value - right[name])
    for name, count in inside.items():
        assert 178 <= count <= 200, (name, count)
        bias, error = np.mean(errors[name]), np.std(errors[name]) / 200**0.5
        assert abs(bias) < 4 * error, name


def test_divergences_given_a_source_are_means_over_sources() -> None:
    """A generator and an oracle that read sources, two words of two."""
    sources, texts = enumerate_texts(TextSpace(2, 2)), enumerate_texts(FIXED)
    generator, oracle = (make_oracle(3, 3, 3, 4, seed, TextSpace(2, 2)).double() for seed in (0, 1))
    right: dict[str, float] = dict.fromkeys(("kl_generator", "kl_oracle", "js"), 0.0)
    for source in sources.split(1):
        both = (probabilities(one, to_source(texts, source)) for one in (generator, oracle))
        exact = in_plain_sums(*(chances.tolist() for chances in both))
        right = {name: value + exact[name] / 4 for name, value in right.items()}
    test = oracle_corpus(oracle, 20, 4000, 0, {}).test
    drawn = draw_like(generator, test.condition, 4000, seed=1)
    models = Models(generator, oracle, drawn, test)
    result = Divergence().measure(material_of(models))
    assert list(result) == ["kl_generator", "kl_oracle", "js", *PER_TOKEN]
    right |= {"reverse_kl": right["kl_generator"] / 3, "forward_kl": right["kl_oracle"] / 3}
    for name, score in result.items():
        low, high = score.low, score.high
        assert low is not None and high is not None
        assert abs(score.value - right[name]) < high - low, name


def test_divergences_are_resampled_by_source() -> None:
    generator, oracle = (make_oracle(3, 3, 3, 4, seed, TextSpace(2, 1)).double() for seed in (0, 1))
    test = oracle_corpus(oracle, 20, 40, 0, {}).test
    result = Divergence().measure(material_of(Models(generator, oracle, test, test)))
    # of two sources a resampling has both, or one of them twice
    different = {
        name: len({round(float(value), 12) for value in score.replicates})
        for name, score in result.items()
    }
    assert different == dict.fromkeys(("kl_generator", "kl_oracle", *PER_TOKEN), 3) | {"js": 9}


@pytest.mark.parametrize("space", WORLDS)
@pytest.mark.parametrize("temperature", [1.0, Mixture((1.0, 0.5), (0.4, 0.6))])
def test_what_is_left_of_both_nlls_without_the_entropies(
    space: TextSpace, temperature: float | Mixture
) -> None:
    """Of the same texts, resampling by resampling: so what a text adds to both terms cancels."""
    generator, oracle = random_generator(space), random_generator(space, seed=5)
    drawn = draw_like(generator, UNCONDITIONAL, 300, seed=1, temperature=temperature)
    real = draw_like(oracle, UNCONDITIONAL, 300, seed=2)
    inputs = material_of(Models(generator, oracle, drawn, real, temperature), resamplings=200)
    nlls, kls = Likelihood().measure(inputs), Divergence(enumerable=0).measure(inputs)
    of_oracle = Likelihood().measure(material_of(Models(oracle, oracle, real, real)))
    reverse, forward = kls["reverse_kl"], kls["forward_kl"]
    assert reverse.value == pytest.approx(nlls["nll_oracle"].value - nlls["entropy"].value)
    assert forward.value == pytest.approx(nlls["nll_test"].value - of_oracle["entropy"].value)
    cost = nlls["nll_oracle"].replicates - nlls["entropy"].replicates
    assert reverse.replicates == pytest.approx(cost)
    entropy = Likelihood().measure(replace(inputs, models=Models(oracle, oracle, real, real)))[
        "entropy"
    ]
    assert forward.replicates == pytest.approx(nlls["nll_test"].replicates - entropy.replicates)
    spread = nlls["nll_oracle"].replicates.std() + nlls["entropy"].replicates.std()
    assert 0 < reverse.replicates.std() < spread


def test_both_sides_make_the_interval_of_js() -> None:
    generator, oracle = small_generator(FIXED), random_generator(FIXED)
    models = models_of(generator, oracle, 400)
    result = Divergence(enumerable=0).measure(material_of(models, resamplings=1000))["js"]
    variance = 0.0
    for a, b, text in ((generator, oracle, models.drawn), (oracle, generator, models.test)):
        of_texts = log_over_mixture(by_hand(a, text), by_hand(b, text))
        variance += float(of_texts.var()) / len(text) / 4
    assert result.replicates.std() == pytest.approx(math.sqrt(variance), rel=0.1)


def test_padding_changes_nothing() -> None:
    generator, oracle = small_generator(VARIABLE), random_generator(VARIABLE)
    models = models_of(generator, oracle)
    ended = models.test.lengths < VARIABLE.length
    models = replace(models, test=models.test[ended])
    narrow = Text(models.test.tokens[:, :2], models.test.lengths)
    result = Divergence(enumerable=0).measure(material_of(models))
    again = Divergence(enumerable=0).measure(material_of(replace(models, test=narrow)))
    assert values(result) == pytest.approx(values(again), rel=1e-12)


def test_sides_of_few_texts() -> None:
    models = models_of(small_generator(FIXED), random_generator(FIXED))
    result = Divergence(enumerable=0).measure(material_of(replace(models, test=models.test[:1])))
    assert result["js"].estimate.low is None and result["kl_oracle"].estimate.low is None
    assert result["kl_generator"].estimate.low is not None
    with pytest.raises(Unavailable, match="needs at least 1 drawn text"):
        Divergence(enumerable=0).measure(material_of(replace(models, drawn=models.drawn[:0])))


def test_what_it_needs() -> None:
    generator, oracle = small_generator(FIXED), random_generator(FIXED)
    models = models_of(generator, oracle)
    for lacking, needs in (
        (None, "which a file is not"),
        (replace(models, oracle=None), "needs an oracle"),
        (replace(models, generator=None), "needs a generator with a likelihood"),
        (replace(models, generator=small_generator(VARIABLE)), "the same kind of text"),
    ):
        with pytest.raises(Unavailable, match=needs):
            Divergence().measure(material_of(lacking))


@pytest.mark.parametrize("enumerable", [0, 2**17])
def test_weights_that_are_no_numbers_are_not_at_distance_0(enumerable: int) -> None:
    generator = small_generator(FIXED)
    models = models_of(generator, random_generator(FIXED))
    with torch.no_grad():
        next(generator.parameters()).fill_(math.nan)
    with pytest.raises(Unavailable, match="it diverged"):
        Divergence(enumerable=enumerable).measure(material_of(models))


def test_a_large_space_is_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    space = TextSpace(30, 4)
    assert how_many(space) > 2**17 >= how_many(TextSpace(50, 3))
    monkeypatch.setattr("textgan.metrics.divergence.every_text", None)
    models = models_of(small_generator(space), small_generator(space, seed=1))
    assert "tv" not in Divergence().measure(material_of(models, resamplings=20))


def test_it_is_registered_and_documented() -> None:
    assert registry.find("metric", "divergence") is Divergence
    assert "Pitfalls:" in (Divergence.__doc__ or "") and Divergence.paper
