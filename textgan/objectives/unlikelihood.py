"""Unlikelihood: real words likely, repeated ones unlikely (Welleck et al., ICLR 2020).

arXiv 1908.04319. Updates are of two kinds, the share `sequence` of them, evenly spread, of the
second.

Generator:      of real texts
                L_G = (1 / tokens) sum_{b,t} [-log G(y_bt) - alpha sum_{c in C_bt} log(1 - G(c))],
                C_bt = the words before t in the same text, each once, but for y_bt
                of own texts x
                L_G = -(1 / tokens) sum_{b,t} 1[x_bt is in an n-gram that x_b had before]
                log(1 - G(x_bt))
Discriminator:  none

Own texts go on, greedily or drawn, from the first `prompt` of a real one; n-grams are those of the
continuation. All n words of a repeated n-gram count, as in the code. Without one, and without
alpha, an update has no gradient. `progress` anneals nothing.

The data's own distribution p is no fixed point: words that people do repeat are punished, too. On
texts of a random oracle repetition is no fault, so that there the method only moves away from p.

With sequence = 0 it may train from the start (schedule.mle_epochs=0), as in the paper. There
updates on own texts come last: 1,500 updates, half of them on own texts, after maximum likelihood
(and with alpha = 0) or after unlikelihood of words.

Settings of the released code (facebookresearch/unlikelihood_training 9444655, README.md): alpha 1,
n 4, greedy, 50 words of a prompt and 100 of its own.

Dropout is on where a loss is of real texts alone; own texts are written, and their loss computed,
without, as in the code.

Departs from the paper's code:
- which updates are of own texts is not a coin's choice, but every so many-th
- C is of the text alone. The code reads one long text a batch, of which it takes padding for a
  candidate, too, at every place (custom/candidate_penalty_ce_loss.py:52-59)
- the last n-gram of a text counts, which the code's loop does not reach
  (custom/sequence_penalty_loss.py:105)
- the mean over own texts is one over all their tokens, those of the prompt included
- 1 - G is at least 1e-20 for both, where it is 1e-5 for words
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.data.text import Text
from textgan.losses import mean_of_tokens, reduce
from textgan.models.contract import dropout_off
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import greedy
from textgan.objectives.base import StatefulLoss
from textgan.objectives.mle import MLE

LEAST = 1e-20  # of 1 - G


def unlikelihood(log_prob: Tensor) -> Tensor:
    """Compute -log(1 - p) of log-probabilities, in their shape."""
    return -(-torch.expm1(log_prob)).clamp(min=LEAST).log()


def words_before(text: Text) -> Tensor:
    """Which of the text's words are candidates at each place, (B, T, T): true at (b, t, s) where
    word s is before t, is not word t, and is the first of its kind; false at padding."""
    same = text.tokens.unsqueeze(2) == text.tokens.unsqueeze(1)
    first = ~same.tril(-1).any(2)
    return (first.unsqueeze(1) & ~same & text.mask.unsqueeze(2)).tril(-1)


def repeats(text: Text, n: int, start: int = 0) -> Tensor:
    """Which tokens (B, T) are in an n-gram that their text had before, of those from `start` on."""
    repeated = torch.zeros_like(text.mask)
    width = text.tokens.shape[1]
    if width - start < n:
        return repeated
    grams = text.tokens[:, start:].unfold(1, n, 1)
    same = (grams.unsqueeze(2) == grams.unsqueeze(1)).all(3).tril(-1).any(2)
    last = torch.arange(start + n, width + 1, device=text.lengths.device)
    same &= last <= text.lengths.unsqueeze(1)  # n-grams without padding; what is before has none
    for offset in range(n):
        repeated[:, start + offset : width - n + 1 + offset] |= same
    return repeated


@dataclass(kw_only=True)
class Unlikelihood(MLE, name="unlikelihood"):
    """Maximum likelihood of real words, and of what repeats minimum."""

    paper: ClassVar[str] = "Welleck et al. 2020, arXiv 1908.04319"

    alpha: Annotated[
        float, Field(ge=0, description="weight of the words before, in real texts; code: 1")
    ] = 1.0
    sequence: Annotated[
        float, Field(ge=0, le=1, description="share of updates on own texts; code: 0 or 0.5")
    ] = 0.5
    ngram: Annotated[
        int, Field(ge=1, description="n, words in a row that own texts may not repeat; code: 4")
    ] = 4
    prompt: Annotated[
        float, Field(ge=0, lt=1, description="share of a real text to go on from; code: 1/3")
    ] = 1 / 3
    greedy: Annotated[
        bool, Field(description="whether own texts are the likeliest words, else drawn; code: yes")
    ] = True

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        """Return the real texts, or continuations of them where this update is of own texts."""
        if not self.of_own_texts():
            return real
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        prefix = real.tokens[:, : self.prompt_length(generator)]
        with torch.no_grad(), dropout_off(generator):
            return generator.sample(
                len(real),
                choose=greedy if self.greedy else None,
                prefix=prefix if prefix.shape[1] else None,
                condition=real.condition,
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
        kept = {"updates": self._updates() + 1}
        if self.of_own_texts():
            with dropout_off(generator):
                log_prob = generator.log_prob(fake)
            again = repeats(fake, self.ngram, fake.prompt_length)
            loss = reduce(unlikelihood(log_prob) * again, fake.mask, self.reduction)
            return loss, {"repeated": mean_of_tokens(again.to(log_prob), fake.mask)}, kept
        log_prob = generator(real).log_softmax(2)
        nll = -log_prob.gather(2, real.tokens.unsqueeze(2)).squeeze(2)
        size = real.tokens.shape[1]
        before = log_prob.gather(2, real.tokens.unsqueeze(1).expand(-1, size, -1))
        candidates = words_before(real)
        unlikely = torch.where(candidates, unlikelihood(before), 0.0).sum(2)
        loss = reduce(nll + self.alpha * unlikely, real.mask, self.reduction)
        metrics = {
            "nll": mean_of_tokens(nll.detach(), real.mask),
            "unlikelihood": mean_of_tokens(unlikely.detach(), real.mask),
        }
        return loss, metrics, kept

    def of_own_texts(self) -> bool:
        """Return whether the next update is of own texts: the last of every 1 / `sequence`."""
        done = int(self._updates())
        return int((done + 1) * self.sequence) > int(done * self.sequence)

    def prompt_length(self, generator: Generator) -> int:
        """Return how many words of a real text own ones begin with."""
        return int(self.prompt * generator.space.length + 1e-9)

    def _updates(self) -> Tensor:
        return self.state.get("updates", torch.zeros((), dtype=torch.long))
