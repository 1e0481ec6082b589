"""Distributions of whole texts that a trained generator G offers besides its own, without training.

    temperature        every token is drawn from softmax(logits / T)
    mixture            sum_k w_k G_{T_k}(y): each text is drawn whole at one of several temperatures
    joint temperature  G(y)^(1/T) / Z: a temperature of whole texts (Shih et al. 2023, arXiv
                       2302.03686; the "power distribution" of Karan and Du 2025, arXiv 2510.14901)

The log-likelihood of a mixture is the logsumexp of log w_k + log G_{T_k}(y), which is exact. Z is
a sum over all texts. It is estimated by importance sampling from the generator's own texts q at
(token) temperature T, with a = 1 / T:

    w_i = G(y_i)^a / q(y_i),    Z = E_q w,    effective sample size = (sum w)^2 / sum w^2

and texts are resampled from those of q in proportion to w. The mean of w is unbiased, so its
logarithm is too small, by about (1 / effective - 1 / drawn) / 2 nats a text: so is the NLL of a
text, 0.0005 nats a token where 50 effective texts have 20 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from textgan.core.checks import TEMPERATURES, number_from, short
from textgan.core.errors import UserError, option
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.text import Text

MixtureParts = Annotated[
    str | Mapping[float, float] | Sequence[tuple[float, float]],
    "temperature:weight pairs such as 1:0.5,0.6:0.5",
]
PROPOSALS = 8  # texts drawn for each that is resampled
FEWEST = 50  # effective texts of a joint temperature, below which it is refused


@dataclass(frozen=True)
class Mixture:
    """Texts of which each is drawn whole at one of several temperatures, by weight."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        parts = zip(self.temperatures, self.weights, strict=True)
        return ",".join(f"{temperature:g}:{weight:g}" for temperature, weight in parts)

    def log_prob(self, at: Callable[[float], Tensor]) -> Tensor:
        """Compute log P of texts, (B,), from `at`, which has that at a temperature."""
        parts = zip(self.temperatures, self.weights, strict=True)
        return torch.stack([at(heat) + math.log(weight) for heat, weight in parts]).logsumexp(0)


@dataclass(frozen=True)
class JointTemperature:
    """G(y)^(1/temperature) / Z, as it is asked for. times: texts drawn for each that is
    resampled."""

    temperature: float
    times: int = PROPOSALS

    def __str__(self) -> str:
        return f"joint {self.temperature:g}"


@dataclass(frozen=True, kw_only=True)
class FittedJoint(JointTemperature):
    """G(y)^(1/temperature) / Z, with an estimate of log Z.

    error: its standard error. effective: the effective sample size, of so many `proposals`.
    """

    log_z: float
    error: float
    effective: float
    proposals: int

    def log_prob(self, at: Callable[[float], Tensor]) -> Tensor:
        """Compute log P of texts, (B,), from `at`, which has that at a temperature."""
        return at(1.0) / self.temperature - self.log_z


Asked = float | Mixture | JointTemperature
"""How texts are to be drawn; a number is a temperature of tokens."""
Tempering = float | Mixture | FittedJoint
"""How texts were drawn, with what their likelihood takes."""


def tempered(temperature: Tempering, at: Callable[[float], Tensor]) -> Tensor:
    """Compute log P of texts, (B,), from `at`, which has that at a temperature of tokens."""
    if isinstance(temperature, Mixture | FittedJoint):
        return temperature.log_prob(at)
    return at(temperature)


def label(temperature: Asked) -> str:
    """Write how texts are drawn, for signatures: 0.8, 1:0.5,0.6:0.5 or joint 0.8."""
    return f"{temperature:g}" if isinstance(temperature, int | float) else str(temperature)


def asked_for(temperature: float, mixture: MixtureParts | None, joint_temperature: float) -> Asked:
    """Return how texts are to be drawn by the arguments of a command. Raises UserError where two of
    them are given."""
    given: dict[str, Asked] = {}
    if temperature != 1:
        given["temperature"] = temperature
    if mixture is not None:
        given["mixture"] = mixture_from("mixture", mixture)
    if joint_temperature != 1:
        given["joint_temperature"] = JointTemperature(joint_temperature)
    if len(given) > 1:
        first, second, *_ = map(option, given)
        raise UserError(f"texts are drawn by {first} or by {second}; leave one of them out")
    return next(iter(given.values()), 1.0)


def mixture_from(name: str, value: object) -> Mixture:
    """Read a mixture: `1:0.5,0.6:0.5`, a dict of weights by temperature, or pairs of both.

    The weights must add up to 1, for a typing error is likelier than a wish to have them scaled.
    Raises UserError.
    """
    usual = f"give temperature:weight pairs such as {option(name, '1:0.5,0.6:0.5')}"
    pairs: list[Sequence[object]] = []
    if isinstance(value, str):
        pairs = [part.split(":") for part in value.split(",") if part.strip()]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable):
        pairs = [part if isinstance(part, Sequence) else () for part in value]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise UserError(f"{name} = {short(value)}: {usual}")
    numbers = [[_number(name, part, usual) for part in pair] for pair in pairs]
    temperatures = tuple(number_from(name, heat, TEMPERATURES) for heat, _ in numbers)
    weights = tuple(number_from(name, weight, (0.0, 1.0)) for _, weight in numbers)
    total = math.fsum(weights)
    if abs(total - 1) > 1e-6 or not all(weights):
        raise UserError(
            f"{name} = {short(value)}: weights must be above 0 and add up to 1, not {total:g}"
        )
    if len(set(temperatures)) < len(temperatures):
        raise UserError(f"{name} = {short(value)}: give each temperature once")
    return Mixture(temperatures, weights)


def _number(name: str, value: object, usual: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise UserError(f"{name}: {value.strip()!r} is not a number; {usual}") from None


def resample_jointly(
    of_generator: Tensor, of_proposals: Tensor, temperature: float, n: int, seed: int
) -> tuple[Tensor, FittedJoint]:
    """Choose n of the proposals, by their place (n,), as texts of G^(1/temperature) / Z.

    of_generator, of_proposals: log P (B,) of the proposals under the generator at temperature 1,
    and under what drew them. Raises UserError where they are worth too few texts.
    """
    log_w = (of_generator / temperature - of_proposals).double().cpu()
    log_sum = log_w.logsumexp(0)
    effective = float((2 * log_sum - (2 * log_w).logsumexp(0)).exp())
    if not effective >= FEWEST:
        raise UserError(
            f"joint_temperature = {temperature:g}: {len(log_w):,} texts drawn at that temperature "
            f"are worth {effective:.0f} of the joint one (effective sample size), fewer than "
            f"{FEWEST}; choose one nearer to 1, or draw more"
        )
    error = math.sqrt(max(0.0, 1 / effective - 1 / len(log_w)))
    log_z = float(log_sum) - math.log(len(log_w))
    made = FittedJoint(
        temperature=temperature,
        log_z=log_z,
        error=error,
        effective=effective,
        proposals=len(log_w),
    )
    # systematic resampling: each proposal n w / sum w times, but for rounding up or down
    with fork_rng(stream(Purpose.JOINT_TEMPERATURE, seed), torch.device("cpu")):
        places = (torch.arange(n, dtype=torch.float64) + torch.rand(1, dtype=torch.float64)) / n
        order = torch.randperm(n)
    cumulative = (log_w - log_sum).exp().cumsum(0)
    rows = torch.searchsorted(cumulative / cumulative[-1], places, right=True)
    return rows.clamp_(max=len(log_w) - 1)[order], made


def without_token(text: Text, log_p: Tensor, token: int | None) -> Tensor:
    """Return log P of texts with those that have a token, such as the unknown word, impossible."""
    if token is None:
        return log_p
    return log_p.masked_fill(((text.tokens == token) & text.mask).any(1), -math.inf)
