"""Beam search: the likeliest texts of a generator for each condition, of a few that are kept.

At each position the continuations of all hypotheses of a condition compete, by log P, for `width`
places. A hypothesis that has ended keeps its place, as in the decoders of the dl4mt family, so that
width 1 is greedy decoding. In the end hypotheses y of n tokens are ranked by

    score(y) = log P(y | x) / n^alpha

alpha = 0 is log P itself; alpha = 1 is the mean over tokens, the usual `length_penalty` of Hugging
Face and the log P / (len + 1) of Li et al.'s code: n counts the end token, their len does not. A
condition is done when no open hypothesis can still become one of the best: log P only falls, so no
end of y scores above log P(y) / N^alpha, where N is the greatest length (for alpha <= 0 the least).

Diverse beam search (Li, Monroe and Jurafsky 2016, arXiv 1611.08562): the k-th best child of a
hypothesis, k = 0, 1, ..., competes with log P - rate * k. Of the first tokens, all children of one,
the order stays.

MMI-bidi (Li et al. 2016, arXiv 1510.03055), a rerank of these n best by a model of the source x
given the text: (1 - share) * score(y) + share * mean_t log P(x_t | x_<t, y), share = 0.5.

Departs from the code (jiweil/Neural-Dialogue-Generation, Decode/decode_model.lua):
- Its beam stays full: what ends leaves its place to others, and counts as one of the n best.
- Its diversity penalty stays in the score; here it decides only which hypotheses go on.
- Its unknown word has log P = -100 where it is not allowed; here it is never written.
- It drops texts without an end where another has ended; here they are ranked, for generators do
  write them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.sampling import BLOCK

Progress = Callable[[Sequence[Any], str], Iterable[Any]]  # a bar over pieces of the work

AT_ONCE = 512  # hypotheses in flight


@dataclass(frozen=True)
class Hypotheses:
    """The n best texts of each of B conditions.

    text: B * n texts, those of condition b at b * n .. b * n + n - 1, the best first. log_prob,
    score: (B, n), of each its log P and what it is ranked by; minus infinity where a condition has
    fewer texts, whose place is taken by copies of the best.
    """

    text: Text
    log_prob: Tensor
    score: Tensor

    def best(self, n: int = 1) -> Hypotheses:
        """The first n of each condition."""
        places = torch.arange(self.score.numel(), device=self.score.device)
        kept = places.view_as(self.score)[:, :n].flatten()
        return Hypotheses(self.text[kept], self.log_prob[:, :n], self.score[:, :n])

    def rerank(self, backward: Tensor, share: float = 0.5) -> Hypotheses:
        """Order the texts of each condition anew, by (1 - share) * score + share * backward.

        backward: (B, n), how well each text predicts its source, for MMI-bidi the mean of log P
        over the source's tokens.
        """
        mixed = (1 - share) * self.score + share * backward
        mixed = mixed.masked_fill(self.score == -math.inf, -math.inf)
        score, order = mixed.sort(dim=1, descending=True, stable=True)
        starts = torch.arange(len(score), device=score.device).unsqueeze(1) * score.shape[1]
        return Hypotheses(
            self.text[(starts + order).flatten()], self.log_prob.gather(1, order), score
        )


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """Beam search; width 1 is greedy decoding.

    width: hypotheses kept for each condition. length_penalty: alpha of the score (see the module).
    diversity: the rate that children of one hypothesis are penalised by; 0: a plain beam.
    min_length, max_length: of a text, in tokens, the end token counted; a text that is still open
    at max_length is cut off there; 0: as the generator's space has it. allow_unknown: whether the
    unknown word may be written. Raises ValueError for settings out of range.
    """

    width: int = 5
    length_penalty: float = 1.0
    diversity: float = 0.0
    min_length: int = 0
    max_length: int = 0
    allow_unknown: bool = False

    def __post_init__(self) -> None:
        for name, least in {"width": 1, "diversity": 0, "min_length": 0, "max_length": 0}.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} = {getattr(self, name)}: give a number from {least}")
        if not math.isfinite(self.length_penalty):
            raise ValueError(f"length_penalty = {self.length_penalty}: give a finite number")

    @torch.no_grad()
    def __call__(
        self,
        generator: AutoregressiveGenerator,
        condition: Condition = UNCONDITIONAL,
        n: int = 1,
        progress: Progress = lambda pieces, what: pieces,
    ) -> Hypotheses:
        """Search for the n best texts, at most `width`, of each of B conditions; without any
        condition B is 1.

        Conditions are searched a few at once, those of sources of one length together, so that
        memory does not grow with B. progress: a bar over such pieces, each the rows (P,) of its
        conditions. Raises ValueError where labels or sources are missing, or n exceeds the width.
        """
        if not 1 <= n <= self.width:
            raise ValueError(f"n = {n}: a beam of width {self.width} has 1 to {self.width} best")
        device = generator.embedding.weight.device
        if condition.source is not None:
            order = condition.source.lengths.argsort(descending=True, stable=True)
        else:
            order = torch.arange(len(condition) or 1)
        order = order.to(device)
        pieces = order.split(max(1, AT_ONCE // self.width))
        searched = [
            self._search(generator, _part(condition, rows), len(rows), n)
            for rows in progress(pieces, "beam search")
        ]
        back, parts = order.argsort(), zip(*searched, strict=True)
        tokens, lengths, log_prob, score = (torch.cat(part)[back] for part in parts)
        text = Text(tokens.flatten(0, 1), lengths.flatten(), None, condition.repeat(n))
        return Hypotheses(text, log_prob, score)

    def _search(
        self, generator: AutoregressiveGenerator, condition: Condition, size: int, n: int
    ) -> tuple[Tensor, ...]:
        """Tokens (P, n, T), lengths, log P and scores (P, n) of the best of `size` conditions."""
        space, width = generator.space, self.width
        longest = min(self.max_length or space.length, space.length)
        children = min(width, space.vocabulary)
        weight = generator.embedding.weight
        asks = not is_asynchronous(weight)
        places = torch.arange(size * width, device=weight.device)
        first = places.view(size, width)[:, :1]
        rank_of_child = torch.arange(children, device=weight.device)
        # hypotheses by their places: (P, W)
        tokens = places.new_full((size, width, longest), space.pad)
        lengths = torch.zeros_like(tokens[:, :, 0])
        ended = torch.zeros_like(lengths, dtype=torch.bool)
        log_prob = weight.new_full((size, width), -math.inf)
        log_prob[:, 0] = 0.0
        # those in flight, R rows: the place of each, its last token, its state
        in_flight = first.flatten()
        symbol = torch.full_like(in_flight, space.bos)
        state = generator.start(size, condition)
        barred = self._barred(space).to(weight.device)
        before_end = barred if space.eos is None else F.pad(barred, (0, 1), value=space.eos)
        for position in range(longest):
            hidden, state = generator.read(symbol, state)
            never = before_end if position + 1 < self.min_length else barred
            gains, words = _best_words(generator, hidden, never, children)
            gain = log_prob.new_full((size * width, children), -math.inf)
            word = places.new_full((size * width, children), space.pad)
            gain[in_flight], word[in_flight] = gains.to(gain), words
            gain = gain.view(size, width, children).masked_fill(ended.unsqueeze(2), -math.inf)
            total = log_prob.unsqueeze(2) + gain
            total[:, :, 0] = torch.where(ended, log_prob, total[:, :, 0])
            rank = total - self.diversity * rank_of_child
            rank[:, :, 0].masked_fill_(ended, math.inf)  # what has ended keeps its place
            chosen = rank.flatten(1).topk(width).indices
            parent = chosen // children
            log_prob = total.flatten(1).gather(1, chosen)
            symbol = word.view(size, -1).gather(1, chosen)
            stays = ended.gather(1, parent)
            tokens = tokens.gather(1, parent.unsqueeze(2).expand_as(tokens))
            tokens[:, :, position] = symbol.masked_fill(stays, space.pad)
            lengths = lengths.gather(1, parent) + ~stays
            if space.eos is not None:
                ended = stays | ((symbol == space.eos) & (log_prob > -math.inf))
            self._close(log_prob, lengths, ended, n, position + 1, longest)
            row_of = torch.zeros_like(places)
            row_of[in_flight] = torch.arange(len(in_flight), device=places.device)
            in_flight = places
            if asks:
                in_flight = places[(~ended & (log_prob > -math.inf)).flatten()]
                if len(in_flight) == 0:
                    break
            state = state[row_of[(first + parent).flatten()[in_flight]]]
            symbol = symbol.flatten()[in_flight]
        score, order = self._score(log_prob, lengths).sort(dim=1, descending=True, stable=True)
        score, order = score[:, :n], order[:, :n]
        order = torch.where(score > -math.inf, order, order[:, :1])
        tokens = tokens.gather(1, order.unsqueeze(2).expand(-1, -1, longest))
        lengths = lengths.gather(1, order).clamp(min=1)
        return tokens, lengths, log_prob.gather(1, order).where(score > -math.inf, score), score

    def _score(self, log_prob: Tensor, lengths: Tensor) -> Tensor:
        return log_prob / lengths.clamp(min=1).to(log_prob) ** self.length_penalty

    def _barred(self, space: TextSpace) -> Tensor:
        """The ids that no text has."""
        barred = set(space.unwritten)
        if space.unknown is not None and not self.allow_unknown:
            barred.add(space.unknown)
        return torch.tensor(sorted(barred), dtype=torch.long)

    def _close(
        self, log_prob: Tensor, lengths: Tensor, ended: Tensor, n: int, now: int, longest: int
    ) -> None:
        """Give up, in place, the open hypotheses of conditions that have n better ones already."""
        scores = self._score(log_prob, lengths).masked_fill(~ended, -math.inf)
        least = scores.topk(n).values[:, -1:]
        end = longest if self.length_penalty > 0 else min(now + 1, longest)
        best_end = self._score(log_prob, torch.full_like(lengths, end))
        hopeless = best_end.masked_fill(ended, -math.inf).amax(1, keepdim=True) <= least
        log_prob.masked_fill_(hopeless & ~ended, -math.inf)


def _best_words(
    generator: AutoregressiveGenerator, hidden: Tensor, barred: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """Log P (R, n) of the n likeliest next tokens after hidden vectors (R, H), the likeliest first,
    and their ids; of what is barred minus infinity."""
    rows = len(hidden) if is_asynchronous(hidden) else BLOCK // generator.space.vocabulary
    best = [
        generator.logits(piece).log_softmax(1).index_fill_(1, barred, -math.inf).topk(n)
        for piece in hidden.split(max(1, rows))
    ]
    values, words = zip(*best, strict=True)
    return torch.cat(values), torch.cat(words)


def _part(condition: Condition, rows: Tensor) -> Condition:
    """The conditions at `rows`, their sources no wider than the longest of them."""
    part = condition[rows]
    return part if part.source is None else replace(part, source=part.source.trimmed())
