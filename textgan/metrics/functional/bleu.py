"""BLEU of many texts against many references, by counting n-grams once.

Sentence BLEU as the field computes it (Papineni et al. 2002; nltk's `sentence_bleu` with
`SmoothingFunction().method1`): clipped n-gram precisions, the clip being the largest count in any
one reference; their geometric mean with equal weights; a numerator of zero becomes 0.1; brevity
penalty by the reference length closest to the text's own, the shorter of two equally close ones. A
text without any known word scores 0.

A text may be one of the references. What the others hold of an n-gram at most is then the second
largest count where the text itself holds the largest, so that leaving one out costs no more than
leaving none out, and Self-BLEU (Zhu et al. 2018, arXiv 1802.01886) of N sentences is counted in the
time of BLEU.

Shapes: B texts, N references, K kinds of n-grams of one order, P pairs of a sentence and a kind of
n-gram that occurs in it. Time and memory are those of sorting all n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from textgan.data.sentences import Sentences
from textgan.metrics.functional.ngrams import Grams, grams

SMOOTHING = 0.1  # method1's numerator in place of zero
Smoothing = Literal["method1", "none", "dropped", "add_one"]  # of few matches; see `bleu`


class References:
    """A set of reference texts, counted once for BLEU-1 .. BLEU-order."""

    def __init__(self, sentences: Sentences, order: int) -> None:
        if len(sentences) == 0:
            raise ValueError("there are no references to compare with")
        self.order, self.count = order, len(sentences)
        self.lengths = Lengths(sentences.sizes)
        self.codes: list[Tensor] = []  # of the known n-grams of each order, sorted
        self.most = [
            Most.of(Counts.of(part, len(sentences)).ranked())
            for part in grams(sentences, order, self._learnt)
        ]

    def score(
        self, sentences: Sentences, own: Tensor | None = None, smoothing: Smoothing = "method1"
    ) -> Tensor:
        """BLEU of each text, (B, order) in float64: column n - 1 holds BLEU-n.

        own: (B,) which of the references each text is, to be compared with the others alone; None
        where the texts are none of them. smoothing: see `bleu`.
        """
        if own is not None and self.count < 2:
            raise ValueError("there are no other references to compare with")
        matches = [
            most.matches(Counts.of(part, len(sentences)), own)
            for part, most in zip(grams(sentences, self.order, self._found), self.most, strict=True)
        ]
        closest = self.lengths.closest(sentences.sizes, own is not None)
        return bleu(torch.stack(matches, 1), sentences.sizes, closest, smoothing)

    def _learnt(self, n: int, codes: Tensor) -> tuple[Tensor, int]:
        """Numbers for the n-grams of the references, and one to spare for all others."""
        known, kind = torch.unique(codes, return_inverse=True)
        # what is larger than all known codes is looked up at the end, which is none of them
        self.codes.append(torch.cat([known, known.new_tensor([torch.iinfo(known.dtype).max])]))
        return kind, len(known) + 1

    def _found(self, n: int, codes: Tensor) -> tuple[Tensor, int]:
        """The numbers that the n-grams of other texts have here."""
        known = self.codes[n - 1]
        place = torch.searchsorted(known, codes)
        return torch.where(known[place] == codes, place, len(known) - 1), len(known)


class LeaveOneOut:
    """Sentences of which each is compared with all the others, counted once for any subset."""

    def __init__(self, sentences: Sentences, order: int) -> None:
        self.sizes = sentences.sizes
        self.shared = [
            Shared.of(Counts.of(part, len(sentences)).ranked()) for part in grams(sentences, order)
        ]

    def score(self, index: Tensor | None = None) -> Tensor:
        """BLEU of each sentence at these indices, all different, among those alone: (B, order)."""
        index = torch.arange(len(self.sizes), device=self.sizes.device) if index is None else index
        if len(index) < 2:
            raise ValueError("there are no other sentences to compare with")
        sizes = self.sizes[index]
        kept = torch.zeros_like(self.sizes, dtype=torch.bool)
        kept[index] = True
        matches = torch.stack([shared.matches(kept) for shared in self.shared], 1)[index]
        return bleu(matches, sizes, Lengths(sizes).closest(sizes, True))


@dataclass(frozen=True)
class Counts:
    """The number of times that each sentence has each of its n-grams, for one order.

    row, kind, times: (P,) int64, in the order of kind.
    rows, kinds: how many sentences and kinds there may be.
    """

    row: Tensor
    kind: Tensor
    times: Tensor
    rows: int
    kinds: int

    @staticmethod
    def of(part: Grams, rows: int) -> Counts:
        """Count n-grams in that many sentences."""
        pairs, times = torch.unique(part.kind * rows + part.row, return_counts=True)
        kind = pairs // rows
        return Counts(pairs - kind * rows, kind, times, rows, part.kinds)

    def ranked(self) -> Counts:
        """Return the counts sorted by n-gram, the largest first within each."""
        top = int(self.times.max()) + 1 if len(self.times) else 1
        order = (self.kind * top - self.times).argsort()
        row, kind, times = (part[order] for part in (self.row, self.kind, self.times))
        return Counts(row, kind, times, self.rows, self.kinds)


@dataclass(frozen=True)
class Shared:
    """The ranked counts of those n-grams of one order that two sentences or more have.

    row, kind, times: (P,) as in `Counts`. whole: (B,) how many of these n-grams each sentence has.
    """

    row: Tensor
    kind: Tensor
    times: Tensor
    whole: Tensor

    @staticmethod
    def of(counts: Counts) -> Shared:
        """Leave out what no other sentence has, and so never matches."""
        shared = counts.kind.bincount(minlength=counts.kinds)[counts.kind] > 1
        row, kind, times = (part[shared] for part in (counts.row, counts.kind, counts.times))
        return Shared(row, kind, times, times.new_zeros(counts.rows).index_add(0, row, times))

    def matches(self, kept: Tensor) -> Tensor:
        """Count the n-grams of each sentence that another one has, among those that are kept (B,)
        bool: (B,), of the others no number that means anything.

        Only the first of each n-gram, which has it most often, has more than the next one has.
        """
        inside = kept[self.row].nonzero().squeeze(1)
        row, kind, times = (part[inside] for part in (self.row, self.kind, self.times))
        begins = kind.new_ones(len(kind) + 1, dtype=torch.bool)
        begins[1:-1] = kind[1:] != kind[:-1]
        follows = torch.nn.functional.pad(times, (0, 1))[1:].masked_fill(begins[1:], 0)
        first = begins[:-1].nonzero().squeeze(1)
        return self.whole.index_add(0, row[first], (times - follows)[first], alpha=-1)


@dataclass(frozen=True)
class Most:
    """The most times that one reference has each n-gram of one order.

    times: (K,), 0 for what is unknown. holder: (K,) a reference that has it so often. others: (K,)
    the most times that any but the holder has it.
    """

    times: Tensor
    holder: Tensor
    others: Tensor

    @staticmethod
    def of(counts: Counts) -> Most:
        """Find the largest of ranked counts."""
        kind, rows = torch.unique_consecutive(counts.kind, return_counts=True)
        first = rows.cumsum(0) - rows  # where each kind's largest count is, the next one after
        several = rows > 1
        times, holder, others = counts.kind.new_zeros(3, counts.kinds)
        times[kind], holder[kind] = counts.times[first], counts.row[first]
        others[kind[several]] = counts.times[first[several] + 1]
        return Most(times, holder, others)

    def matches(self, counts: Counts, own: Tensor | None) -> Tensor:
        """Count the n-grams of each text that a reference, but not its own, has: (B,)."""
        allowed = self.times[counts.kind]
        if own is not None:
            held = self.holder[counts.kind] == own[counts.row]
            allowed = torch.where(held, self.others[counts.kind], allowed)
        clipped = torch.minimum(counts.times, allowed)
        return clipped.new_zeros(counts.rows).index_add(0, counts.row, clipped)


class Lengths:
    """The lengths of reference texts."""

    def __init__(self, sizes: Tensor) -> None:
        self.known, self.times = torch.unique(sizes, return_counts=True)

    def closest(self, sizes: Tensor, among: bool) -> Tensor:
        """Return the length of the reference closest to each size (B,), the shorter of two:
        float64.

        among: whether each text is one of the references, which then does not count.
        """
        far = self.known.new_full((2,), torch.inf, dtype=torch.float64)
        lengths = torch.cat([-far[:1], self.known.double(), far])
        place = torch.searchsorted(self.known, sizes)
        shorter = lengths[place]
        if among:  # the others are longer where no other is as long
            place = place + (self.times[place] == 1)
        longer = lengths[place + 1]
        return torch.where(sizes - shorter <= longer - sizes, shorter, longer)


def bleu(
    matches: Tensor, sizes: Tensor, closest: Tensor, smoothing: Smoothing = "method1"
) -> Tensor:
    """Compute BLEU-1 .. BLEU-order of texts, (B, order), from their clipped matches of each order.

    matches: (B, order). sizes, closest: (B,), how many words each text and its reference have.
    smoothing: what an order without a match does: its numerator becomes 0.1 (method1); BLEU is 0
    (none: nltk without a smoothing function up to 3.1 and from 3.3 on); or it is left out, the
    weights of the others staying as they are (dropped: nltk 3.2.1, translate/bleu_score.py:177, so
    that no match may be worth more than a few). add_one: one n-gram more, a match, of every order
    but the first (Lin and Och 2004; ZhenYangIACAS/NMT_GAN, share_function.py `score`).
    """
    n = torch.arange(1, matches.shape[1] + 1, device=sizes.device)
    windows = (sizes.unsqueeze(1) - n + 1).clamp(min=0)
    if smoothing == "add_one":
        matches, windows = matches + (n > 1), windows + (n > 1)
    # a text of fewer than n words has no n-gram; it is divided by one, as nltk does
    windows = windows.clamp(min=1)
    numerators = {"method1": torch.full_like(windows, SMOOTHING, dtype=torch.float64)}
    numerators |= {"dropped": windows.double()}
    none = torch.zeros_like(numerators["method1"])
    hits = torch.where(matches == 0, numerators.get(smoothing, none), matches.double())
    logs = (hits / windows).log().cumsum(1) / n
    brevity = (1 - closest / sizes.clamp(min=1)).clamp(max=0).unsqueeze(1)
    return torch.where(matches[:, :1] == 0, 0.0, (logs + brevity).exp())
