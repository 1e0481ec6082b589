"""Costs of the generator's texts under the oracle, and of real texts under the generator.

With o_t = log P(y_t | y_<t) of the oracle at its own temperature, 1, and g_t that of the generator,
its logits divided by the temperature at which its texts were drawn (of a mixture or a joint
temperature, see `textgan.models.tempering`, log P of the whole text is in the place of their sum):

    nll_oracle   the mean of -o_t over the tokens of the generator's texts
    nll_test     the mean of -g_t over the tokens of held-out real texts
    nll_valid    the same of the other held-out texts, by which training is watched
    entropy      the mean of -g_t over the tokens of the generator's texts
    perplexity   exp(nll_test)

Of a resampled generator nll_test is taken with the upper bound of log Z, and nll_test_low with the
lower, see `textgan.models.resample`.

The end token of a text is one of its tokens, its padding is not. All tokens weigh the same; the
bootstrap draws whole texts, whose tokens belong together.
"""

from __future__ import annotations

import hashlib
import math
from typing import ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from textgan.core.errors import option
from textgan.core.score import Better, Score
from textgan.core.seeds import fork_rng
from textgan.core.statistics import Estimate, Floats, percentiles
from textgan.core.streams import Purpose, stream
from textgan.data.text import Text
from textgan.metrics.base import Metric, MetricInputs, Models, Unavailable
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.likelihood import log_probs, top_probabilities
from textgan.models.tempering import FittedJoint, Mixture, Tempering, label, tempered

Model = Literal["generator", "oracle"]
Split = Literal["drawn", "test", "valid"]
OfTexts = dict[tuple[Text, float], Tensor]
UNIT = "nats/token"
LARGEST_EXPONENT = 700.0  # exp of more is no number
WANTED = {
    "generator": "a generator with a likelihood; this one has none",
    "oracle": "an oracle, which knows the true probability of every text; only synthetic data "
    "have one",
}


class Likelihood(Metric, name="likelihood"):
    """The nats per token of texts under the oracle, and of real ones under the generator.

    NLL_oracle (lower is better) says how plausible each text is and nothing of how many different
    ones there are; NLL_test (lower is better) says how much of real text is covered and nothing of
    what else is written. Neither means much without the other, and both are taken at the
    temperature at which the texts are drawn. Entropy says how diverse the generator is, and should
    be that of real text. Perplexity is exp(NLL_test).

    Pitfalls: the oracle's likeliest text, repeated, has the lowest NLL_oracle, so a value below the
    oracle's own is concentration, not quality; a lower temperature gets there without training.
    Published values of NLL_test (NLL_gen) rarely compare: the code of RelGAN and TextGAN-PyTorch
    takes it on the training data and counts padding (a COCO value of 0.7 is about 2.3 nats per real
    token), at temperature 1 even where samples are drawn colder; LeakGAN's draws its samples at
    temperature 1 / 1.5 and takes NLL_test at 1. A vocabulary that leaves more words unknown makes
    text cheaper. Where a generator was trained on relaxed text, this is the likelihood of words
    drawn from its softmax.
    """

    paper: ClassVar[str] = "Yu et al. 2017, arXiv 1609.05473; Zhu et al. 2018, arXiv 1802.01886"

    def check(self, inputs: MetricInputs) -> None:
        models = known_models(inputs)
        if not (models.generator or models.oracle or models.resampled):
            raise Unavailable("needs a generator with a likelihood or an oracle; there is neither")

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        models = known_models(inputs)
        scores: dict[str, Score] = {}
        if models.oracle is not None:
            facts = {"oracle": fingerprint(models.oracle)}
            scores["nll_oracle"] = _cost(inputs, "NLL_oracle", "lower", "oracle", "drawn", facts)
        if models.generator is not None:
            facts = {"vocab": str(models.generator.space.vocabulary)}
            of_test = _cost(inputs, "NLL_test", "lower", "generator", "test", facts)
            scores["nll_test"] = of_test
            if models.valid is not None:
                scores["nll_valid"] = _cost(
                    inputs, "NLL_valid", "lower", "generator", "valid", facts
                )
            scores["entropy"] = _cost(
                inputs, "entropy", "like real text", "generator", "drawn", facts
            )
            if max(of_test.estimate.value, of_test.estimate.high or 0.0) < LARGEST_EXPONENT:
                scores["perplexity"] = perplexity(of_test)
        return scores | _of_resampled(inputs)


class Peakiness(Metric, name="peakiness"):
    """The mean probability of the likeliest word, at each place of held-out real texts.

    From 1 / words, for a generator that knows nothing, to 1 for one that has no doubt. A policy
    gradient may raise it, and BLEU of sampled answers with it, whatever its reward says (Choshen et
    al. 2020): so compare it with that of MLE, and answers with cooled and greedy ones of MLE.

    Pitfalls: neither high nor low is good. It is taken after the words of real texts, which the
    generator itself might not have written.
    """

    paper: ClassVar[str] = "Choshen et al. 2020, arXiv 1907.01752"
    pairs_only: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        if known_models(inputs).generator is None:
            raise Unavailable(f"needs {WANTED['generator']}")

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        models = known_models(inputs)
        assert models.generator is not None  # it was checked
        text, temperature = models.test, models.temperature
        if not isinstance(temperature, int | float):
            raise Unavailable("needs one temperature of tokens, which a mixture has not")
        sums = top_probabilities(models.generator, text, temperature, inputs.progress)
        estimate, replicates = inputs.ratio(
            sums.double().cpu(), text.lengths, sources=text.condition.sources
        )
        signature = inputs.sign(
            "peakiness",
            split="test",
            texts=len(text),
            temp=f"{temperature:g}",
            vocab=models.generator.space.vocabulary,
        )
        title = at_temperature("Peakiness", temperature)
        return {"peakiness": Score(title, estimate, signature, "like real text", "", replicates)}


def _cost(
    inputs: MetricInputs,
    title: str,
    better: Better,
    model: Model,
    split: Split,
    facts: dict[str, str],
) -> Score:
    """Nats per token of texts under a model."""
    text = texts_of(known_models(inputs), split)
    log_p = log_likelihoods(inputs, model, split)
    return _score_of(inputs, title, better, text, log_p, model, split, facts)


def _of_resampled(inputs: MetricInputs) -> dict[str, Score]:
    """NLL_test of a resampled generator by either bound of log Z; nothing where there is none, or
    none with a likelihood."""
    models = known_models(inputs)
    model, text = models.resampled, models.test
    if model is None or not isinstance(model.generator, AutoregressiveGenerator):
        return {}
    with fork_rng(stream(Purpose.PARTITION, inputs.seed), text.tokens.device):
        log_p = model.log_prob_bounds(text)
    facts = {"vocab": str(model.space.vocabulary), "resample": str(model.candidates)}
    names = {"nll_test": ("NLL_test", "upper"), "nll_test_low": ("NLL_test, at least", "lower")}
    return {
        name: _score_of(
            inputs, title, "lower", text, each.cpu(), "generator", "test", facts | {"log_z": bound}
        )
        for (name, (title, bound)), each in zip(names.items(), log_p, strict=True)
    }


def _score_of(
    inputs: MetricInputs,
    title: str,
    better: Better,
    text: Text,
    log_p: Tensor,
    model: Model,
    split: Split,
    facts: dict[str, str],
) -> Score:
    """Nats per token of texts of these log-probabilities (B,)."""
    models = known_models(inputs)
    if not text.lengths.any():
        raise Unavailable(f"needs {split} texts of at least one token; all of them are empty")
    measured = inputs.ratio(-log_p, text.lengths, sources=resampled_with(models, split))
    if model == "generator":
        measured = widened(inputs, measured, len(text) / float(text.lengths.sum()))
    estimate, replicates = measured
    signature = inputs.sign(
        title.partition(",")[0].lower(),
        split=split,
        texts=len(text),
        temp=label(models.temperature),
        **facts,
        unit=UNIT,
    )
    title = at_temperature(title, models.temperature)
    return Score(title, estimate, signature, better, UNIT, replicates)


def texts_of(models: Models, split: Split) -> Text:
    """Return the texts of a split."""
    if split == "valid":
        assert models.valid is not None  # no number of them is asked for where there are none
        return models.valid
    return models.drawn if split == "drawn" else models.test


def resampled_with(models: Models, split: Split) -> Tensor | None:
    """Return which texts of a split are resampled together, (B,): those of one source, or copies of
    one text; None where each is for itself."""
    return (
        models.copies
        if split == "drawn" and models.copies is not None
        else (texts_of(models, split).condition.sources)
    )


def widened(
    inputs: MetricInputs, measured: tuple[Estimate, Floats], share: float
) -> tuple[Estimate, Floats]:
    """Add the error of an estimated log Z, times a share, to a number's replicates."""
    (estimate, replicates), models = measured, known_models(inputs)
    if not isinstance(models.temperature, FittedJoint) or not len(replicates):
        return measured
    random = np.random.default_rng(stream(Purpose.BOOTSTRAP, inputs.seed, 2))
    noise = random.standard_normal(len(replicates))
    replicates = replicates + share * models.temperature.error * noise
    return percentiles(estimate.value, replicates), replicates


def perplexity(nll: Score) -> Score:
    """Compute exp of a number of nats per token and of its interval."""

    def raised(nats: float | None) -> float | None:
        return None if nats is None else math.exp(nats)

    return Score(
        nll.title.replace("NLL_test", "perplexity"),
        Estimate(math.exp(nll.value), raised(nll.low), raised(nll.high)),
        nll.signature.replace("nll_test", "perplexity").replace(UNIT, "per token"),
        nll.better,
        "per token",
        np.exp(nll.replicates),
    )


def known_models(inputs: MetricInputs) -> Models:
    """Return the models behind the texts. Raises Unavailable where there are none."""
    if inputs.models is None:
        raise Unavailable(
            "needs a generator with a likelihood, which a file is not, nor a run that is judged by "
            f"{option('references')}, nor one that starts from noise"
        )
    return inputs.models


def log_likelihoods(inputs: MetricInputs, model: Model, split: Split) -> Tensor:
    """Compute log P of every text, (B,) in float64 on the processor, under the oracle at
    temperature 1 or under the generator at that of its texts.

    Raises Unavailable where there is no such model or text, and where a text is impossible.
    """
    models = known_models(inputs)
    text = texts_of(models, split)
    network = models.generator if model == "generator" else models.oracle
    if network is None:
        raise Unavailable(f"needs {WANTED[model]}")
    temperature: Tempering = models.temperature if model == "generator" else 1.0
    if not len(text):
        raise Unavailable(f"needs at least 1 {split} text; there is none")
    log_p = remembered(inputs, network, text, temperature)
    impossible = int(log_p.isinf().sum())
    if impossible:
        raise Unavailable(
            f"needs texts that the {model} can write; {impossible:,} of the {len(log_p):,} {split} "
            "texts have probability zero, so that the number is infinite"
        )
    return log_p


def remembered(
    inputs: MetricInputs, model: AutoregressiveGenerator, text: Text, temperature: Tempering
) -> Tensor:
    """Return log P of every text, (B,) in float64 on the processor, computed once for all metrics.

    Raises Unavailable for a model that gives no numbers.
    """
    # models are forgotten with their last user: the memory may outlive many of them
    memory = inputs.remember("log P", WeakKeyDictionary[AutoregressiveGenerator, OfTexts])
    of_texts = memory.setdefault(model, {})

    def at(heat: float) -> Tensor:
        if (text, heat) not in of_texts:
            log_p = log_probs(model, text, heat, inputs.progress)
            of_texts[text, heat] = log_p.double().cpu()
        return of_texts[text, heat]

    log_p = tempered(temperature, at)
    if log_p.isnan().any():
        raise Unavailable("needs likelihoods; a model's are no longer numbers, so it diverged")
    return log_p


def at_temperature(title: str, temperature: Tempering) -> str:
    """Return a title with the temperature at which texts are drawn, unless it is 1."""
    if isinstance(temperature, Mixture):
        return f"{title} at T={temperature} (mixture)"
    if isinstance(temperature, FittedJoint):
        return f"{title} at T={temperature.temperature:g} (joint)"
    return title if temperature == 1.0 else f"{title} at T={temperature:g}"


def fingerprint(oracle: AutoregressiveGenerator) -> str:
    """Identify an oracle by the first eight letters of a hash of its parameters."""
    sha = hashlib.sha256()
    for name, weights in oracle.state_dict().items():
        sha.update(name.encode() + weights.cpu().numpy().tobytes())
    return sha.hexdigest()[:8]
