"""MRT: minimum risk training for translation (Shen et al., ACL 2016).

arXiv 1512.02433. x is the source, y* the reference, S(x) the candidates: k samples of G, each text
once, and the reference.

Discriminator:  none
Weight:         Q(y | x) = G(y | x)^alpha / sum_{y' in S(x)} G(y' | x)^alpha
Generator:      L_G = mean over sources of sum_{y in S(x)} Q(y | x) (1 - BLEU(y, y*))

L_G is differentiated as it is, through Q: no reward, no baseline, no score function. With alpha = 0
all candidates weigh the same, and nothing is learnt; with a large one only the likeliest counts.
Its gradient is that of the expected risk only for alpha = 1 with every text as a candidate: at
alpha = 0.005 it is another direction, in a small world with all texts as candidates (cosine 0.32).
BLEU is that of sentences, one added to what is counted (`add_one`). Yang et al. 2018 (`br_csgan`)
and Wu et al. 2018 (`adversarial_nmt`) compare with this method. `progress` anneals nothing.

alpha = 0.005 and k = 100 are the defaults of EdinburghNLP/nematus (README.md, 0180ce8), which names
the paper; there the reference is no candidate unless asked for.

A batch of B sources is B (k + 1) texts, all with gradients: schedule.batch_size and
objective.samples bound the memory.

Departs from the paper:
- the smoothing of BLEU and the optimiser are those of the methods that it is compared with here
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text, concatenate
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class MRT(Objective, name="mrt"):
    """The expected loss of BLEU over samples and the reference, differentiated as it is."""

    paper: ClassVar[str] = "Shen et al. 2016, arXiv 1512.02433"
    generator: ClassVar[str] = "attention"
    discriminator: ClassVar[str | None] = None
    needs_source: ClassVar[bool] = True

    samples: Annotated[
        int, Field(ge=1, description="k, texts drawn for each source; nematus: 100")
    ] = 20
    alpha: Annotated[float, Field(ge=0, description="sharpness of the weights; nematus: 0.005")] = (
        0.005
    )
    with_reference: Annotated[
        bool, Field(description="whether the reference is a candidate, too")
    ] = True

    @property
    def group(self) -> int:
        return self.samples

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        texts = fake
        if self.with_reference:
            width = max(text.tokens.shape[1] for text in (real, fake))
            pad = generator.space.pad
            texts = concatenate([fake.pad_to(width, pad), real[:: self.samples].pad_to(width, pad)])
        # of each source, (B, candidates): its samples in a row, then its reference
        sources = len(real) // self.samples
        rows = torch.arange(len(texts), device=fake.lengths.device)
        samples, rest = rows[: len(fake)].view(sources, -1), rows[len(fake) :].view(sources, -1)
        rows = torch.cat([samples, rest], 1)
        origin = torch.empty_like(texts.lengths)
        origin[rows] = torch.arange(sources, device=rows.device).unsqueeze(1).expand_as(rows)

        references = PairedReferences(real[:: self.samples], generator.space)
        log_prob = (generator.log_prob(texts) * texts.mask).sum(1)
        bleu = references.score(texts, origin)[:, -1].to(log_prob)
        risk, known = 1 - bleu[rows], _first(texts, origin)[rows]
        weights = (self.alpha * log_prob[rows]).masked_fill(~known, -torch.inf).softmax(1)
        of_samples = bleu[: len(fake)]
        return (weights * risk).sum(1).mean(), {
            "reward": of_samples.mean(),
            "reward_deviation": of_samples.std(unbiased=False),
            "candidates": known.sum(1).to(bleu).mean(),
        }


def _first(texts: Text, origin: Tensor) -> Tensor:
    """Whether each text (N,) is the first of its source with these tokens."""
    columns = origin.unsqueeze(1), texts.lengths.unsqueeze(1), texts.tokens * texts.mask
    _, kind = torch.unique(torch.cat(columns, 1), dim=0, return_inverse=True)
    places = torch.arange(len(kind), device=kind.device)
    first = places.new_full((len(kind),), len(kind)).scatter_reduce(0, kind, places, "amin")
    return first[kind] == places
