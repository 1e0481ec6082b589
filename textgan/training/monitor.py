"""The observations of training at a tick: the scores of the generator, how well the discriminator
does, and warnings for a reader of the curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from textgan.core.optim import NotFinite
from textgan.core.seeds import fork_rng
from textgan.core.statistics import NORMAL_95
from textgan.core.streams import Purpose, stream
from textgan.data.text import Text
from textgan.losses import logistic
from textgan.metrics.base import Unavailable
from textgan.metrics.warnings import warnings_of_row
from textgan.models.discriminators.base import Discriminator
from textgan.models.draw import answers, draw_like
from textgan.training.measure import asked_rows, greedy_bleu, level_of, measure
from textgan.training.schedule import Step
from textgan.training.state import TrainingState

SHOWN = 10  # samples at a tick
HELD_OUT_LOSS = "discriminator/loss_held_out"  # logged where it ends the pretraining
ACCURACY_TEXTS = 500  # texts of each kind on which a discriminator's accuracy is counted
# Accuracy of a discriminator on new texts, half of them real; where its whole interval is above,
# fewer than one text in fifty is of use to the generator, and the sigmoid of a score is 0 or 1
WINS = 0.98
# Standard deviation, within a batch, of rewards that could be anything from 0 to 1; below, two
# thirds of the texts differ by less than a hundredth of that, and a policy gradient is as small
FLAT = 0.01
NEAR_ONE = 0.9  # accuracy from which a discriminator has learnt too much rather than too little


def accuracy(real: Tensor, fake: Tensor) -> float:
    """Compute how often scores (logits) of real and of fake texts have the right sign, half
    each."""
    return float((real > 0).double().mean() + (fake < 0).double().mean()) / 2


def adversary_warnings(metrics: Mapping[str, float], texts: int) -> list[str]:
    """Warn where a round's metrics show that the game is over: the discriminator wins, or its
    reward is the same for all texts, so that the generator learns nothing.

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
            what = "less" if accuracy > NEAR_ONE else "longer, for it tells texts hardly apart"
            remedy = f"the discriminator's accuracy is {accuracy:.2f}: train it {what}"
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
    """The score of an MLE epoch: nats per token, lower is better.

    entropy: of the samples. best: whether no epoch before was as good.
    """

    score: float
    entropy: float
    best: bool


class Observation(NamedTuple):
    """The observations of a run at a tick.

    metrics: by their tags in the log. samples: some lines; where texts answer sources, of source,
    text and reference. mle: only of MLE epochs.
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
        try:
            scores, samples = measure(
                state.generator,
                run.corpus,
                run.oracle,
                samples=limits.samples,
                seed=stream(Purpose.MONITOR, run.seed, step.tick),  # other texts at every tick
                ngrams=limits.ngrams,
            )
        except Unavailable:
            raise NotFinite("the generator's weights are no longer numbers") from None
        for name, score in scores.items():
            tag = "generator/entropy" if name == "entropy" else f"eval/{name}"
            metrics[tag] = score.value
        valid = run.corpus.valid
        if bleu := greedy_bleu(state.generator, run.corpus, valid, limits.samples):
            metrics["eval/sacrebleu_valid"] = bleu.value
        if run.oracle_entropy is not None:
            metrics["eval/oracle_entropy"] = run.oracle_entropy
        if step.phase == "mle":
            nll = scores["nll_oracle" if run.oracle is not None else "nll_valid"].value
            best = state.best_mle is None or nll < state.best_mle
            mle = MLEScore(nll, scores["entropy"].value, best)
        else:
            warnings += warnings_of_row(
                scores,
                level_of(run.oracle_level),
                mle_entropy=state.mle_entropy,
                unique_alarm=limits.unique_alarm,
                entropy_alarm=limits.entropy_alarm,
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
    lines = [] if samples is None else _lines(state, samples, step.tick)
    return Observation(metrics, warnings, lines, mle)


def _lines(state: TrainingState, samples: Text, tick: int) -> list[str]:
    """Some samples to be read: labels and texts, or sources, texts and references."""
    corpus = state.run.corpus
    if corpus.space.source is None:
        return corpus.decode(_readable(state, samples[:SHOWN], tick))
    rows = asked_rows(len(corpus.test), SHOWN).to(corpus.test.tokens.device)
    reference = corpus.test[rows]
    written = answers(
        state.generator,
        reference.condition,
        seed=stream(Purpose.MONITOR_LINES, state.run.seed, tick),
        forbid=corpus.space.unknown,
    )
    before = corpus.decode(written)  # with labels and sources
    after = corpus.tokenizer.decode(reference.tolist())
    return [
        " | ".join([*line.split("\t"), other]) for line, other in zip(before, after, strict=True)
    ]


def _readable(state: TrainingState, samples: Text, tick: int) -> Text:
    """These samples, or as many others without the unknown word, as `textgan sample` writes
    them."""
    corpus, unknown = state.run.corpus, state.run.corpus.space.unknown
    if unknown is None or not bool((samples.tokens == unknown).any()):
        return samples
    return draw_like(
        state.generator,
        corpus.conditions,
        len(samples),
        seed=stream(Purpose.MONITOR_LINES, state.run.seed, tick),
        forbid=unknown,
    )


@torch.no_grad()
def _accuracy(state: TrainingState, samples: Text | None, step: Step) -> dict[str, float]:
    """Measure how well the discriminator separates fresh fakes from its training text and from new
    text, dropout off."""
    discriminator, corpus = state.discriminator, state.run.corpus
    if not isinstance(discriminator, Discriminator):
        return {}
    if samples is None:
        with fork_rng(stream(Purpose.ACCURACY, state.run.seed, step.tick), state.run.device):
            real = corpus.valid[:ACCURACY_TEXTS]
            samples = state.objective.discriminator_sample(state.generator, real, step.progress)
    train, new, fake = (
        discriminator(text[:ACCURACY_TEXTS]) for text in (corpus.train, corpus.valid, samples)
    )
    seen = {
        "discriminator/accuracy": accuracy(train, fake),
        "discriminator/accuracy_held_out": accuracy(new, fake),
    }
    if state.run.config.schedule.discriminator_patience:
        seen[HELD_OUT_LOSS] = float(logistic(new, fake))
    return seen
