"""EMO: the earth mover's distance between words' vectors beside likelihood (Ren et al. 2024).

ICLR 2024, arXiv 2310.04691. y is a real word, q_v the generator's probability of the word v in its
place.

Generator:      L_G = mean over tokens of
                mle   1/2 (-log q_y + (-log q_y / emo)* emo)
                emo   (emo / -log q_y)* (-log q_y) + emo
Distance:       emo = 1 - sum_v q_v cos(e_y, e_v),  e the vectors of words, constants
Discriminator:  none

(...)* is a constant: it brings one term to the size of the other. emo is the cost of moving all of
q to y, where that from v to y is 1 - cos. With vectors at right angles it is 1 - q_y, for which
words are as good as each other; that they are not is what the method is for. So it needs vectors
that mean something: on texts of a random oracle they mean nothing. `progress` anneals nothing.

`cost` says whose vectors: "output", the rows of the generator's output layer as they are now (the
code's adaptive variant), "embedding", those that it reads, or "fixed", the output layer's at the
first of these updates (the code's are those of a pretrained model). Before any training "fixed" is
a random matrix; the others may train from the start (schedule.mle_epochs=0).

The data's own distribution p is no fixed point: there the expected gradient of emo is
-sum_v grad q_v sum_y p_y cos(e_y, e_v) after each prefix, zero only where all words are as near to
the others. emo is linear in q, so alone its best q is a single word.

The released patch (DRSY/EMO 14da9d5, emo_patch.py) takes out the term of y itself by a constant,
q_y: its emo is larger by q_y while the gradient of emo is the same, so that only the factor (...)*
is another. That is `with_own = false`. language_modeling/gpt2.py does it for adaptive vectors
alone.

Departs from the paper: nothing else; what is divided by is at least 1e-10, which its code adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.data.text import Text
from textgan.losses import mean_of_tokens, reduce
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator, LinearGenerator
from textgan.objectives.base import StatefulLoss
from textgan.objectives.mle import MLE

LEAST = 1e-10  # of what is divided by


def moving_cost(log_q: Tensor, tokens: Tensor, vectors: Tensor, with_own: bool = True) -> Tensor:
    """Compute 1 - sum_v q_v cos(e_y, e_v) of tokens y (B, T), from log q (B, T, V) and the vectors
    of words (V, E), which are constants.

    with_own: whether q_y is in the value; it is in the gradient in any case.
    """
    unit, q = F.normalize(vectors.detach(), dim=1), log_q.exp()
    cost = 1 - (q @ unit * unit[tokens]).sum(2)
    if with_own:
        return cost
    return cost + q.gather(2, tokens.unsqueeze(2)).squeeze(2).detach()


@dataclass(kw_only=True)
class EMO(MLE, name="emo"):
    """Likelihood, and how far the generator's words are from the real one, by their vectors."""

    paper: ClassVar[str] = "Ren et al. 2024, arXiv 2310.04691"

    emphasis: Annotated[
        Literal["mle", "emo"], Field(description="which term keeps its size; code: modes 1 and 2")
    ] = "mle"
    cost: Annotated[
        Literal["output", "embedding", "fixed"], Field(description="whose vectors words have")
    ] = "output"
    with_own: Annotated[
        bool, Field(description="whether the real word's q is in emo's value; code's patch: no")
    ] = True

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.cost != "embedding" and not isinstance(generator, LinearGenerator):
            raise ValueError(
                f"cost = {self.cost!r} needs a generator whose logits are a linear layer's, unlike "
                f"{type(generator).__name__}; objective.cost=embedding reads its embedding"
            )

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        vectors, kept = self._vectors(generator)
        log_q, mask = generator(real).log_softmax(2), real.mask
        mle = -log_q.gather(2, real.tokens.unsqueeze(2)).squeeze(2)
        emo = moving_cost(log_q, real.tokens, vectors, self.with_own)
        if self.emphasis == "mle":
            losses = (mle + (mle / emo.clamp(min=LEAST)).detach() * emo) / 2
        else:
            losses = (emo / mle.clamp(min=LEAST)).detach() * mle + emo
        loss = reduce(losses, mask, self.reduction)
        metrics = {
            "nll": mean_of_tokens(mle.detach(), mask),
            "emo": mean_of_tokens(emo.detach(), mask),
        }
        return loss, metrics, kept

    def _vectors(self, generator: AutoregressiveGenerator) -> tuple[Tensor, dict[str, Tensor]]:
        """The vectors (V, E) of words, and what is to be kept of them."""
        if self.cost == "embedding":
            return generator.embedding.weight, {}
        assert isinstance(generator, LinearGenerator)  # see setup
        vectors = generator.output.weight.detach()
        if self.cost == "output":
            return vectors, {}
        if "vectors" in self.state:
            return self.state["vectors"], {}
        return vectors, {"vectors": vectors.clone()}
