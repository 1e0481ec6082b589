"""What is watched of a generator while it trains and in the table at the run's end.

Cheap enough for every epoch and round; `textgan evaluate` measures everything else
(`textgan.metrics`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from textgan.core.optim import NotFinite
from textgan.core.seeds import fork_rng
from textgan.core.statistics import NORMAL_95, Estimate
from textgan.core.streams import Purpose, stream
from textgan.data.corpus import Corpus
from textgan.data.text import Text
from textgan.metrics.functional.ngrams import ngram_jsds
from textgan.models.discriminators.base import Discriminator
from textgan.models.draw import draw_texts, labels_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import nll_per_token
from textgan.models.sampling import Categorical, greedy, multinomial, without
from textgan.training.schedule import Step
from textgan.training.state import TrainingState

ACCURACY_TEXTS = 500  # texts of each kind on which a discriminator's accuracy is counted
# Of new texts, half of them real, that a discriminator tells; where its whole interval is above,
# fewer than one text in fifty is of use to the generator, and the sigmoid of a score is 0 or 1
WINS = 0.98
# Standard deviation, within a batch, of rewards that could be anything from 0 to 1; below, two
# thirds of the texts differ by less than a hundredth of that, and a policy gradient is as small
FLAT = 0.01
BELOW = 200  # resamplings of NLL_oracle, so that it is called below the oracle's by no chance


def unique_share(text: Text) -> float:
    """How many of the texts are different, as a share: 1 where no two are the same."""
    return len(torch.unique(text.tokens, dim=0)) / len(text)


def ngram_divergences(text: Text, corpus: Corpus, largest: int) -> dict[str, Estimate]:
    """jsd1, jsd2, ...: the n-gram divergence of texts from the training text, in bits.

    It grows as the texts become fewer, so of a sample there are taken as many texts as are held out
    for the test. Then the divergence of those, real as they are, is the floor of the sample's.
    """
    part = text.tokens[: len(corpus.test)]
    largest = min(largest, part.shape[1])
    values = ngram_jsds(part, corpus.train.tokens, largest) if largest else []
    return {f"jsd{n}": Estimate(value) for n, value in enumerate(values, start=1)}


def measure(
    generator: Generator,
    corpus: Corpus,
    oracle: AutoregressiveGenerator | None,
    *,
    samples: int,
    seed: int,
    resamplings: int = 0,
    temperature: float = 1.0,
    ngrams: int = 0,
) -> tuple[dict[str, Estimate], Text]:
    """Every measure that this generator and corpus allow, and the texts they were taken on.

    nll_oracle: of the samples under the oracle. nll_valid, nll_test: of held-out text.
    entropy: of the samples under the generator. unique: share of different samples. length: mean
    tokens of a sample. jsd1 to jsd<ngrams>: see ngram_divergences. What needs a likelihood is left
    out for a generator that has none. The likelihoods of real text are those of the generator
    itself, so a temperature other than 1 leaves them and the entropy out rather than mix two
    distributions.
    """
    device = corpus.train.tokens.device
    choose = None if temperature == 1.0 else Categorical(temperature)
    with fork_rng(stream(Purpose.MEASURED, seed), device):
        text = draw_texts(generator, samples, choose, labels_like(corpus.train, samples))
    found: dict[str, Estimate] = {}
    if oracle is not None:
        found["nll_oracle"] = nll_per_token(oracle, text, resamplings or BELOW, seed)
    if isinstance(generator, AutoregressiveGenerator) and temperature == 1.0:
        found["nll_test"] = nll_per_token(generator, corpus.test, resamplings, seed)
        found["nll_valid"] = nll_per_token(generator, corpus.valid, resamplings, seed)
        found["entropy"] = nll_per_token(generator, text, resamplings, seed)
    found["unique"] = Estimate(unique_share(text))
    found["length"] = Estimate(float(text.sizes.double().mean()))
    return found | ngram_divergences(text, corpus, ngrams), text


def accuracy(real: Tensor, fake: Tensor) -> float:
    """How often scores (logits) of real and of fake texts have the right sign, half each."""
    return float((real > 0).double().mean() + (fake < 0).double().mean()) / 2


def sample_warnings(
    found: dict[str, Estimate],
    *,
    unique_alarm: float,
    entropy_alarm: float,
    mle_entropy: float | None,
    oracle: Estimate | None,
) -> list[str]:
    """What a reader of these measures should be warned of: collapse, or a number too good.

    oracle: the entropy of the oracle, where there is one.
    """
    warnings = []
    unique = found["unique"].value
    if unique < unique_alarm:
        warnings.append(f"collapse: only {unique:.0%} of the samples are different")
    entropy = found["entropy"].value if "entropy" in found else None
    if entropy is not None and mle_entropy is not None and entropy < entropy_alarm * mle_entropy:
        warnings.append(
            f"collapse: entropy {entropy:.2f} nats per token, {entropy / mle_entropy:.0%} of "
            f"MLE's {mle_entropy:.2f}"
        )
    if oracle is not None:
        nll = found["nll_oracle"]
        if nll.high is not None and nll.high < (oracle.value if oracle.low is None else oracle.low):
            warnings.append(
                f"NLL_oracle {nll.value:.3f} is below the oracle's own entropy "
                f"{oracle.value:.3f}: the generator repeats the oracle's likeliest texts"
            )
    return warnings


def adversary_warnings(metrics: Mapping[str, float], texts: int) -> list[str]:
    """Whether a round's metrics show that the game is over: the discriminator wins, or its reward
    is the same for all texts, so that it teaches nothing.

    metrics: by their tags in the log. texts: how many its accuracy on new text is counted on.
    """
    warnings = []
    accuracy = metrics.get("discriminator/accuracy_held_out")
    if accuracy is not None and _wilson_low(accuracy, texts) > WINS:
        warnings.append(
            f"discriminator wins: it tells {accuracy:.1%} of new texts from generated ones, so its "
            "scores hardly rank texts; train it less (schedule.d_steps, schedule.k, "
            "optimisers.discriminator_lr) or the generator longer by MLE first"
        )
    reward, deviation = (metrics.get(f"generator/reward{end}") for end in ("", "_deviation"))
    ends = reward is not None and (0 <= reward < FLAT / 10 or 1 - FLAT / 10 < reward <= 1)
    if (deviation is not None and deviation < FLAT) or (deviation is None and ends):
        shown = f"{reward:.3f}" if reward is not None else "constant"
        spread = "" if deviation is None else f", deviation {deviation:.4f}"
        remedy = "see objective.* for a reward that tells texts apart, or train longer by MLE first"
        if accuracy is not None:
            remedy = (
                f"the discriminator's accuracy is {accuracy:.2f}: train it less if that is near 1"
            )
        warnings.append(
            f"reward is flat: {shown} for nearly every text{spread}, so the generator learns "
            f"nothing from it; {remedy}"
        )
    return warnings


def _wilson_low(share: float, n: int) -> float:
    """The lower end of Wilson's 95 % interval for a share of n."""
    if n < 1:
        return 0.0
    z2 = NORMAL_95**2 / n
    middle, half = share + z2 / 2, math.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    return (middle - half) / (1 + z2)


class MLEScore(NamedTuple):
    """How good an MLE epoch is: nats per token, lower is better.

    entropy: of the samples. best: whether no epoch before was as good.
    """

    score: float
    entropy: float
    best: bool


class Observation(NamedTuple):
    """What was seen of a run at a tick.

    metrics: by their tags in the log. samples: some lines. mle: only of MLE epochs.
    """

    metrics: dict[str, float]
    warnings: list[str]
    samples: list[str]
    mle: MLEScore | None = None


def observe(state: TrainingState, step: Step, means: Mapping[str, float]) -> Observation:
    """Measure the generator, and how well the discriminator does, where the plan says so.

    means: of what was trained since the last tick. Nothing of the state changes. Raises NotFinite
    where the weights are no longer numbers.
    """
    run, metrics = state.run, dict(means)
    warnings: list[str] = []
    samples: Text | None = None
    mle = None
    if step.evaluate and step.phase != "discriminator":
        limits = run.config.evaluation
        measures, samples = measure(
            state.generator,
            run.corpus,
            run.oracle,
            samples=limits.samples,
            seed=stream(Purpose.MONITOR, run.seed, step.tick),  # other texts at every tick
            ngrams=limits.ngrams,
        )
        if not all(math.isfinite(estimate.value) for estimate in measures.values()):
            raise NotFinite("the generator's weights are no longer numbers")
        for name, estimate in measures.items():
            tag = "generator/entropy" if name == "entropy" else f"eval/{name}"
            metrics[tag] = estimate.value
        if run.oracle_entropy is not None:
            metrics["eval/oracle_entropy"] = run.oracle_entropy
        if step.phase == "mle":
            score = measures["nll_oracle" if run.oracle is not None else "nll_valid"].value
            best = state.best_mle is None or score < state.best_mle
            mle = MLEScore(score, measures["entropy"].value, best)
        else:
            warnings += sample_warnings(
                measures,
                unique_alarm=limits.unique_alarm,
                entropy_alarm=limits.entropy_alarm,
                mle_entropy=state.mle_entropy,
                oracle=run.oracle_level,
            )
    if step.evaluate and step.phase != "mle" and state.objective.score_is_logit:
        metrics |= _accuracy(state, samples, step)
    warnings += [
        f"{name} is not a number but {value}"
        for name, value in metrics.items()
        if not math.isfinite(value)
    ]
    if step.phase == "adversarial":
        warnings += adversary_warnings(metrics, 2 * min(ACCURACY_TEXTS, len(run.corpus.valid)))
    lines = [] if samples is None else run.corpus.decode(_readable(state, samples[:10], step.tick))
    return Observation(metrics, warnings, lines, mle)


def _readable(state: TrainingState, samples: Text, tick: int) -> Text:
    """These samples, or as many others without the unknown word, as `textgan sample` writes
    them."""
    corpus, unknown = state.run.corpus, state.run.corpus.tokenizer.unknown_id
    if unknown is None or not bool((samples.tokens == unknown).any()):
        return samples
    likely = isinstance(state.generator, AutoregressiveGenerator)
    with fork_rng(stream(Purpose.MONITOR_LINES, state.run.seed, tick), state.run.device):
        labels = labels_like(corpus.train, len(samples))
        choose = without(unknown, multinomial if likely else greedy)
        return draw_texts(state.generator, len(samples), choose, labels)


@torch.no_grad()
def _accuracy(state: TrainingState, samples: Text | None, step: Step) -> dict[str, float]:
    """How well the discriminator tells fresh fakes from its training text and from new text,
    dropout off."""
    discriminator, corpus = state.discriminator, state.run.corpus
    if not isinstance(discriminator, Discriminator):
        return {}
    if samples is None:
        with fork_rng(stream(Purpose.ACCURACY, state.run.seed, step.tick), state.run.device):
            real = corpus.valid[:ACCURACY_TEXTS]
            samples = state.objective.sample(state.generator, real, step.progress)
    train, new, fake = (
        discriminator(text[:ACCURACY_TEXTS]) for text in (corpus.train, corpus.valid, samples)
    )
    return {
        "discriminator/accuracy": accuracy(train, fake),
        "discriminator/accuracy_held_out": accuracy(new, fake),
    }
