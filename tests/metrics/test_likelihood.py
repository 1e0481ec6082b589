"""Nats per token of drawn and of held-out texts, against sums over all texts of a space."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from answers import all_answers, answering
from enumerated import by_hand, material_of, models_of
from tables import generator_of, random_generator
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    Uniform,
    enumerate_texts,
    same,
    small_generator,
    texts_of,
)

import textgan
from textgan.core import registry
from textgan.core.streams import Purpose, stream
from textgan.data.sentences import Sentences
from textgan.data.text import Text, TextSpace, concatenate
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs, Models, Unavailable
from textgan.metrics.likelihood import Likelihood, Peakiness, fingerprint
from textgan.models.draw import draw_jointly
from textgan.models.likelihood import log_probs, nll_per_token
from textgan.models.tempering import JointTemperature, Mixture

# --- log P at a temperature ---


@pytest.mark.parametrize("temperature", [0.5, 0.85, 1.0, 2.0])
def test_nll_of_a_known_categorical_at_a_temperature(temperature: float) -> None:
    """Three words of probability proportional to p^(1/T), independent of each other."""
    p = [0.7, 0.2, 0.1]
    model = Uniform(FIXED)
    model.bias.data = torch.tensor(p, dtype=torch.float64).log()
    text = texts_of(FIXED, [(0, 0, 1), (2, 1, 0), (1, 1, 1)])
    scaled = [chance ** (1 / temperature) for chance in p]
    chances = [one / sum(scaled) for one in scaled]
    right = -(3 * math.log(chances[0]) + 5 * math.log(chances[1]) + math.log(chances[2])) / 9
    assert abs(nll_per_token(model, text, temperature=temperature).value - right) < 1e-12


@pytest.mark.parametrize("space", WORLDS)
@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_probabilities_at_a_temperature_sum_to_one(space: TextSpace, temperature: float) -> None:
    model, texts = small_generator(space), enumerate_texts(space)
    result = log_probs(model, texts, temperature)
    assert abs(result.exp().sum().item() - 1) < 1e-12
    assert same(result, by_hand(model, texts, temperature))


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_padding_costs_nothing_whatever_its_width(temperature: float) -> None:
    model = small_generator(VARIABLE)
    text = enumerate_texts(VARIABLE)
    text = text[text.lengths < VARIABLE.length]
    narrow = Text(text.tokens[:, : int(text.lengths.max())], text.lengths)
    wide = text.pad_to(9)
    wide.tokens[~wide.mask] = 3  # what stands there means nothing
    assert same(log_probs(model, narrow, temperature), log_probs(model, wide, temperature))
    for one, size in zip(narrow.split(1), text.lengths.tolist(), strict=True):
        alone = Text(one.tokens[:, :size], one.lengths)
        assert same(log_probs(model, alone, temperature), log_probs(model, one, temperature))


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_what_is_never_written_is_impossible_at_any_temperature(temperature: float) -> None:
    model = small_generator(VARIABLE)
    text = texts_of(VARIABLE, [(2, 0, 1), (2, 3, 1)])
    result = log_probs(model, text, temperature)
    assert result[0] == -math.inf and result[1].isfinite()


def test_pieces_do_not_change_it() -> None:
    model, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    whole = log_probs(model, texts)
    model.scored_at_once = 30
    assert same(log_probs(model, texts), whole)
    models = Models(model, None, texts, texts)
    result = Likelihood().measure(material_of(models, resamplings=0))
    assert abs(result["nll_test"].estimate.value + whole.sum() / texts.lengths.sum()) < 1e-12


# --- the metric ---


@pytest.mark.parametrize("space", WORLDS)
@pytest.mark.parametrize("temperature", [1.0, 0.85])
def test_every_number_is_what_its_name_says(space: TextSpace, temperature: float) -> None:
    generator, oracle = small_generator(space), random_generator(space)
    models = models_of(generator, oracle, temperature=temperature)
    result = Likelihood().measure(material_of(models))
    assert list(result) == ["nll_oracle", "nll_test", "entropy", "perplexity"]
    written, test = models.drawn, models.test
    nll_test = float(-by_hand(generator, test, temperature).sum() / test.lengths.sum())
    right = {
        "nll_oracle": float(-by_hand(oracle, written).sum() / written.lengths.sum()),
        "nll_test": nll_test,
        "entropy": float(-by_hand(generator, written, temperature).sum() / written.lengths.sum()),
        "perplexity": math.exp(nll_test),
    }
    assert {name: score.estimate.value for name, score in result.items()} == pytest.approx(
        right, rel=1e-12
    )
    directions = [score.better for score in result.values()]
    assert directions == ["lower", "lower", "like real text", "lower"]


def test_signatures_and_titles_say_the_temperature() -> None:
    generator, oracle = small_generator(VARIABLE), random_generator(VARIABLE)
    end = f"v:{textgan.__version__}"
    warm = Likelihood().measure(material_of(models_of(generator, oracle, temperature=0.85)))
    assert warm["nll_test"].title == "NLL_test at T=0.85"
    assert warm["perplexity"].title == "perplexity at T=0.85"
    assert (
        warm["nll_test"].signature
        == f"nll_test|split:test|texts:67|temp:0.85|vocab:4|unit:nats/token|{end}"
    )
    assert (
        warm["perplexity"].signature
        == f"perplexity|split:test|texts:67|temp:0.85|vocab:4|unit:per token|{end}"
    )
    plain = Likelihood().measure(material_of(models_of(generator, oracle)))
    assert [score.title for score in plain.values()] == [
        "NLL_oracle", "NLL_test", "entropy", "perplexity"
    ]  # fmt: skip
    assert (
        plain["nll_oracle"].signature == f"nll_oracle|split:drawn|texts:60|temp:1|"
        f"oracle:{fingerprint(oracle)}|unit:nats/token|{end}"
    )
    assert fingerprint(generator) == fingerprint(small_generator(VARIABLE))
    assert fingerprint(generator) != fingerprint(small_generator(VARIABLE, seed=1))


@pytest.mark.parametrize("space", WORLDS)
def test_numbers_of_a_mixture_are_those_of_its_distribution(space: TextSpace) -> None:
    generator, oracle = random_generator(space), random_generator(space, seed=5)
    models, mixture = models_of(generator, oracle), Mixture((1.0, 0.5), (0.3, 0.7))
    result = Likelihood().measure(material_of(replace(models, temperature=mixture)))
    for name, text in {"nll_test": models.test, "entropy": models.drawn}.items():
        chances = 0.3 * by_hand(generator, text).exp() + 0.7 * by_hand(generator, text, 0.5).exp()
        right = float(-chances.log().sum() / text.lengths.sum())
        assert result[name].value == pytest.approx(right, rel=1e-12)
        assert "|temp:1:0.3,0.5:0.7|" in result[name].signature
        assert result[name].title.endswith(" at T=1:0.3,0.5:0.7 (mixture)")
    with pytest.raises(Unavailable, match="needs one temperature of tokens"):
        Peakiness().measure(material_of(replace(models, temperature=mixture)))


def test_the_error_of_a_normaliser_widens_intervals() -> None:
    generator, oracle = random_generator(FIXED), random_generator(FIXED, seed=5)
    [drawn] = draw_jointly(generator, 400, JointTemperature(0.5), seed=0)
    real = models_of(oracle, oracle, 400).test
    models = Models(generator, oracle, drawn.text, real, copies=drawn.proposal)
    fitted = drawn.temperature
    results = {
        error: Likelihood().measure(
            material_of(replace(models, temperature=replace(fitted, error=error)))
        )
        for error in (0.0, 0.6)
    }
    exact, rough = results[0.0], results[0.6]
    log_p = by_hand(generator, real) / 0.5 - fitted.log_z
    assert exact["nll_test"].value == pytest.approx(float(-log_p.mean() / 3), rel=1e-12)
    assert rough["nll_test"].value == exact["nll_test"].value
    for name in ("nll_test", "entropy"):  # an error of 0.6 nats a text is 0.2 a token
        widened = math.hypot(exact[name].replicates.std(), 0.2)
        assert rough[name].replicates.std() == pytest.approx(widened, rel=0.1)
    assert np.array_equal(rough["nll_oracle"].replicates, exact["nll_oracle"].replicates)


def test_copies_are_resampled_together() -> None:
    generator, oracle = random_generator(FIXED), random_generator(FIXED, seed=5)
    models = models_of(generator, oracle, 100)
    copies = torch.arange(100).repeat_interleave(4)
    alone = Likelihood().measure(material_of(models))["nll_oracle"]
    several = replace(models, drawn=models.drawn[copies], copies=copies)
    result = Likelihood().measure(material_of(several))["nll_oracle"]
    assert result.value == pytest.approx(alone.value, rel=1e-12)
    assert result.replicates == pytest.approx(alone.replicates)


def test_intervals_are_bootstraps_over_sentences() -> None:
    generator, oracle = small_generator(VARIABLE), random_generator(VARIABLE)
    models = models_of(generator, oracle, 300)
    result = Likelihood().measure(material_of(models, resamplings=200, seed=5))
    costs, sizes = -by_hand(generator, models.test).numpy(), models.test.lengths.numpy()
    random = np.random.default_rng(stream(Purpose.BOOTSTRAP, 5, 0))
    means = []
    for _ in range(200):
        chosen = random.integers(len(costs), size=len(costs))
        means.append(costs[chosen].sum() / sizes[chosen].sum())
    assert np.allclose(result["nll_test"].replicates, means, rtol=1e-12)
    assert np.allclose(result["perplexity"].replicates, np.exp(means), rtol=1e-12)
    nats, times = result["nll_test"].estimate, result["perplexity"].estimate
    assert nats.low is not None and nats.high is not None
    assert nats.low < nats.value < nats.high
    assert (times.low, times.high) == pytest.approx((math.exp(nats.low), math.exp(nats.high)))
    without = Likelihood().measure(material_of(models, resamplings=0))
    assert all(score.estimate.low is None for score in without.values())


def test_what_has_no_likelihood_is_left_out() -> None:
    generator, oracle = small_generator(FIXED), random_generator(FIXED)
    models = models_of(generator, oracle)
    result = Likelihood().measure(material_of(replace(models, generator=None)))
    assert list(result) == ["nll_oracle"]
    result = Likelihood().measure(material_of(replace(models, oracle=None)))
    assert list(result) == ["nll_test", "entropy", "perplexity"]
    with pytest.raises(Unavailable, match="there is neither"):
        Likelihood().measure(material_of(replace(models, oracle=None, generator=None)))
    with pytest.raises(Unavailable, match="which a file is not"):
        Likelihood().measure(material_of(None))


def test_the_row_of_the_oracle_costs_it_its_entropy() -> None:
    oracle = small_generator(FIXED)
    chances = log_probs(oracle, enumerate_texts(FIXED)).exp()
    entropy = float(-(chances * chances.log()).sum()) / FIXED.length
    result = Likelihood().measure(material_of(models_of(oracle, oracle, 4000)))
    assert result["nll_oracle"].estimate == result["entropy"].estimate
    for score in result.values():
        nats = math.log(score.estimate.value) if score.unit == "per token" else score.estimate.value
        assert abs(nats - entropy) < 0.02


def test_each_likelihood_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*arguments: Any) -> Tensor:
        calls.append(len(arguments[1]))
        return log_probs(*arguments)

    monkeypatch.setattr("textgan.metrics.likelihood.log_probs", counted)
    material = material_of(models_of(small_generator(FIXED), random_generator(FIXED)))
    first = Likelihood().measure(material)
    second = Likelihood().measure(material)
    assert calls == [60, 67, 60]
    assert [one.estimate for one in first.values()] == [one.estimate for one in second.values()]
    # other rows share the memory, not the numbers
    other = replace(material, models=models_of(random_generator(FIXED, 3), small_generator(FIXED)))
    assert Likelihood().measure(other)["nll_test"].estimate != first["nll_test"].estimate


def test_measuring_disturbs_no_random_numbers() -> None:
    material = material_of(models_of(small_generator(FIXED), random_generator(FIXED)))
    before = torch.get_rng_state()
    Likelihood().measure(material)
    assert torch.equal(torch.get_rng_state(), before)


# --- texts and models that have no number ---


def test_an_impossible_text_is_refused_not_averaged() -> None:
    generator, oracle = small_generator(VARIABLE), random_generator(VARIABLE)
    impossible = texts_of(VARIABLE, [(2, 0, 1), (2, 3, 1), (0, 2, 1)])
    models = models_of(generator, oracle)
    with pytest.raises(Unavailable, match=r"the generator can write; 2 of the 3 test texts"):
        Likelihood().measure(material_of(replace(models, test=impossible)))
    with pytest.raises(Unavailable, match=r"the oracle can write; 2 of the 3 drawn texts"):
        Likelihood().measure(material_of(replace(models, drawn=impossible)))


def test_weights_that_are_no_numbers_are_refused() -> None:
    generator = small_generator(FIXED)
    models = models_of(generator, random_generator(FIXED))
    with torch.no_grad():
        next(generator.parameters()).fill_(math.nan)
    with pytest.raises(Unavailable, match="it diverged"):
        Likelihood().measure(material_of(models))


def test_no_text_one_text_and_empty_text() -> None:
    generator, oracle = small_generator(VARIABLE), random_generator(VARIABLE)
    models = models_of(generator, oracle)
    with pytest.raises(Unavailable, match="needs at least 1 test text"):
        Likelihood().measure(material_of(replace(models, test=models.test[:0])))
    result = Likelihood().measure(material_of(replace(models, test=models.test[:1])))
    assert result["nll_test"].estimate.low is None
    empty = Text(models.test.tokens * 0, models.test.lengths * 0)
    with pytest.raises(Unavailable, match="all of them are empty"):
        Likelihood().measure(material_of(replace(models, test=empty)))


def test_a_perplexity_beyond_all_numbers_is_left_out() -> None:
    generator = generator_of(FIXED, torch.ones(27).double() / 27)
    with torch.no_grad():
        generator.table[..., 0] = -2000.0
    test = texts_of(FIXED, [(0, 0, 0), (1, 2, 1)])
    result = Likelihood().measure(material_of(Models(generator, None, test, test)))
    assert result["nll_test"].estimate.value > 700
    assert "perplexity" not in result


def test_it_is_registered_and_documented() -> None:
    assert registry.find("metric", "likelihood") is Likelihood
    assert "Pitfalls:" in (Likelihood.__doc__ or "") and Likelihood.paper


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
