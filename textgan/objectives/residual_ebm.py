"""Residual energy-based model: a discriminator corrects a generator that stays (Deng et al. 2020).

arXiv 2004.11714, ICLR 2020. P(x) = G(x) exp F(x) / Z, with the paper's energy E = -F.

Discriminator:  L_D = -E_data log sigmoid(F(x)) - E_G log(1 - sigmoid(F(x)))     (NCE, noise G)
Generator:      maximum likelihood, before; L_G = -E_data log G(x)

G is trained by `schedule.mle_epochs` and then left as it is, while F learns in
`schedule.discriminator_turns` to tell real texts from fresh ones of G (`schedule.fakes` a turn).
The best F is log p / G, and then P = p. Texts of P are picked among candidates of G by
`textgan sample RUN --resample 64`, and the table has a row of them, with NLL_test by both bounds of
log Z (see `textgan.models.resample`). `progress` anneals nothing.

F is only as good as its real texts are many: once it learns the training texts by heart, NLL_test
of P is above that of G. So its turns end `schedule.discriminator_patience` turns after the one with
the smallest loss on held-out texts, which is the one that is kept.

Departs from the paper:
- F is small and starts from nothing; the paper's abstract has pretrained BERT and RoBERTa
- generator updates, if a schedule has any, go on with maximum likelihood, and F goes on with them.
  The generator's dropout is off in them, as it is in the texts that F learns from

The paper was not read beyond its abstract; what is said of the optimum and of Z is derived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import logistic, nll
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class ResidualEBM(Objective, name="residual_ebm"):
    """Maximum likelihood, then a discriminator by which its texts are resampled."""

    paper: ClassVar[str] = "Deng et al. 2020, arXiv 2004.11714"
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.discriminator_turns": 40,
        "schedule.discriminator_patience": 5,
        "schedule.rounds": 0,
    }

    resample: Annotated[
        int,
        Field(ge=0, description="candidates of each text of its table's resampled row; 0: no row"),
    ] = 64
    l2: Annotated[float, Field(ge=0, description="on the discriminator's output layer")] = 0.0

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        loss = logistic(*discriminator.score_pair(real, fake))
        return loss + self.l2 * discriminator.output_penalty(), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        return nll(generator.log_prob(real), real.mask, "mean_sentence"), {}
