"""DPGAN: a diversity-promoting GAN whose discriminator is a language model (Xu et al., EMNLP 2018).

arXiv 1802.01345. Repeated text surprises a language model little and earns little; novel text
surprises it and earns much.

Word's reward:  r_t = min(-log D(y_t | y_<t), bound)
Text's reward:  R(y) = mean_t r_t
Discriminator:  L_D = mean R(fake) - real_weight * mean R(real)
Generator:      L_G = -mean_b sum_t (Q_bt - baseline_bt) log G(y_bt | y_b,<t),  Q a constant
Return:         Q_t = sum_{s >= t} r_s ("word"), R(y) ("sentence") or R(y) sum_{s >= t} r_s ("both")

Real text shall surprise D and generated text shall not, so D learns the generator's texts too
often. -log D has no upper bound, and L_D as the paper has it (bound infinite, real_weight 1) no
minimum. With the bound L_D >= -bound * real_weight, and a word that has reached it pulls no more;
but where the two texts are alike a real_weight of 1 still drives all words there, and nothing is
left to tell. Below 1 the best D of a word is proportional to G - real_weight * data where that is
positive: a language model of generated text without what is real about it. The discriminator's
pretraining is by L_D as well (`schedule.discriminator_turns`). `progress` anneals nothing.

Where texts vary in length a longer one earns more under "word" and "both". "word" climbs the
expected sum of the words' rewards and "sentence" the expected mean, exactly; "both", as in the port
TextGAN-PyTorch, is without the share that R(y) has in the words before t.

Departs from the paper and its code:
- fakes are drawn from the generator; the port takes the likeliest words after real prefixes, and
  its policy gradient holds for no distribution
- `bound` holds for both networks and real text weighs 0.9; in the released code the bound is 12 for
  the generator alone, and real text weighs 0.0001, which an array of integers makes 0
- the released code's words earn their own reward only, divided by 10,000, and after each update
  comes one on real text, weighted by its rewards; `schedule.mle_steps` is the like of that
- its discriminator sees the fakes of all earlier rounds again, ours those of its turn
- the baseline "batch", the mean of the batch's other texts, is ours
- no hierarchical decoder: the paper's has a state for each sentence and one for its words. Where
  texts answer a source, both networks read it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.names import Kind
from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, policy_gradient
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class DPGAN(Objective, name="dpgan"):
    """Policy gradient on how much each word surprises a language model of generated text."""

    paper: ClassVar[str] = "Xu et al. 2018, arXiv 1802.01345"
    discriminator: ClassVar[str | None] = "lstm"
    discriminator_kind: ClassVar[Kind] = "generator"
    score_is_logit: ClassVar[bool] = False

    reward: Annotated[
        Literal["word", "sentence", "both"], Field(description="what a word earns; paper: both")
    ] = "both"
    bound: Annotated[
        float, Field(gt=0, description="nats that a word can earn; paper's code: 12")
    ] = 12.0
    real_weight: Annotated[
        float, Field(ge=0, le=1, description="of real text in the discriminator's loss; paper: 1")
    ] = 0.9
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position; port: none"),
    ] = "none"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "mean_sentence"
    )

    def discriminator_loss(self, discriminator: Any, real: Text, fake: Text) -> Loss:
        of_real = self._sentences(self._words(discriminator, real), real).mean()
        of_fake = self._sentences(self._words(discriminator, fake), fake).mean()
        return of_fake - self.real_weight * of_real, {
            "reward_real": of_real.detach(),
            "reward_fake": of_fake.detach(),
        }

    def generator_loss(
        self, generator: Generator, discriminator: Any, real: Text, fake: Text, progress: float
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with torch.no_grad():
            words = self._words(discriminator, fake)
            sentences = self._sentences(words, fake)
            to_come = words.flip(1).cumsum(1).flip(1)
            values = {
                "word": to_come,
                "sentence": sentences.unsqueeze(1).expand_as(words),
                "both": sentences.unsqueeze(1) * to_come,
            }[self.reward]
            baseline = leave_one_out(values, fake.mask) if self.baseline == "batch" else 0.0
        weights = values - baseline
        return policy_gradient(generator.log_prob(fake), weights, fake.mask, self.reduction), {
            "reward": sentences.mean(),
            "reward_deviation": sentences.std(unbiased=False),
        }

    def _words(self, discriminator: Any, text: Text) -> Tensor:
        """The reward of every word, (B, T), zero at padding."""
        surprise: Tensor = -discriminator.log_prob(text)
        return torch.where(text.mask, surprise.clamp(max=self.bound), 0.0)

    def _sentences(self, words: Tensor, text: Text) -> Tensor:
        """The reward of every text, (B,), from those of its words."""
        return words.sum(1) / text.lengths
