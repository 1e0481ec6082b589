"""Loss truncation: the real texts with the largest losses are left out (Kang and Hashimoto 2020).

ACL 2020, arXiv 2004.14589. Q_c is the (1 - c)-quantile of the losses of the last `window` texts.

Generator:      L_G = -(1 / tokens) sum_b 1[l_b <= Q_c] log G(y_b),  tokens those of all texts
Loss of a text: l_b = -log G(y_b), or that by its number of tokens (`by`)
Discriminator:  none

c = 0 is maximum likelihood. Where some real texts are noise, the truncated loss bounds how well
generated texts can be told from the others, says the paper. Before `min_count` losses are known
nothing is left out. It is for a generator that knows the language (schedule.mle_epochs, init=RUN):
of a new one, large losses are those of texts that it has not learnt yet. `progress` anneals
nothing.

The data's own distribution p is no fixed point: there the expected gradient is that of minus the
probability of all texts that are kept, which grows. p restricted to these is one. So it gives up
the share c of the texts that is least likely, be it noise or not.

Losses are those of the network with its dropout, both those remembered and those compared. They are
computed once more, without gradients, of the whole batch: its shards share one quantile, and
together are the whole batch. A text that repeats is remembered as often.

Settings of the released code (ddkang/loss_dropper 12ea3b8): c 0.4, `window` and `min_count` 10,000.

Departs from the paper's code:
- the quantile is of the last losses at each update, this one's among them; the code computes it
  anew after each 10,000
- a loss equal to the quantile is kept, so that c = 0 leaves nothing out
- "token" divides by the text's own length; README.md takes the mean over the padded batch, so that
  there a text's loss depends on which longer texts it is beside
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss, dropout
from textgan.data.text import Text
from textgan.losses import mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.mle import MLE


@dataclass(kw_only=True)
class Truncation(MLE, name="truncation"):
    """Maximum likelihood of real texts but for the least likely ones."""

    paper: ClassVar[str] = "Kang and Hashimoto 2020, arXiv 2004.14589"

    c: Annotated[
        float, Field(ge=0, lt=1, description="share of texts that is left out; code: 0.4")
    ] = 0.4
    by: Annotated[
        Literal["sentence", "token"], Field(description="whose loss is compared; code: token")
    ] = "sentence"
    window: Annotated[
        int, Field(ge=1, le=10**7, description="last losses whose quantile counts; code: 10,000")
    ] = 10_000
    min_count: Annotated[
        int, Field(ge=1, description="losses before any text is left out; code: 10,000")
    ] = 10_000
    scored: Generator | None = field(default=None, init=False, repr=False, compare=False)

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.min_count > self.window:
            raise ValueError(
                f"min_count = {self.min_count}: no more than window = {self.window} losses are kept"
            )
        self.scored = generator  # see on_fakes

    def on_fakes(self, fake: Text) -> None:
        """Remember the losses of a batch's texts, which for this method are real ones."""
        generator = self.scored
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with torch.no_grad(), dropout(generator):
            losses = self.losses(generator.log_prob(fake), fake)
        before = self.state.get("losses", losses[:0])
        self.state["losses"] = torch.cat([before, losses])[-self.window :]

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        log_prob, mask = generator.log_prob(real), real.mask
        losses = self.losses(log_prob.detach(), real)
        kept = (losses <= self.largest(losses)).to(losses)
        loss = policy_gradient(log_prob, kept.unsqueeze(1), mask, self.reduction)
        return loss, {"nll": -mean_of_tokens(log_prob.detach(), mask), "kept": kept.mean()}

    def losses(self, log_prob: Tensor, text: Text) -> Tensor:
        """Compute the loss (B,) of each text from the log-probabilities (B, T) of its tokens."""
        sums = -torch.where(text.mask, log_prob, 0.0).sum(1)
        return sums / text.lengths if self.by == "token" else sums

    def largest(self, losses: Tensor) -> Tensor:
        """Return the largest loss of a text that is kept, a scalar of the type of `losses`."""
        known = self.state.get("losses", losses[:0]).to(losses)
        if len(known) < self.min_count:
            return losses.new_tensor(torch.inf)
        return torch.quantile(known, 1 - self.c)
