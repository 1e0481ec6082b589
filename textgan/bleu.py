"""BLEU of many texts against many references, by counting n-grams once.

Sentence BLEU as the field computes it (Papineni et al. 2002; nltk's `sentence_bleu` with
`SmoothingFunction().method1`): clipped n-gram precisions, the clip being the largest count in any
one reference; their geometric mean with equal weights; a numerator of zero becomes 0.1; brevity
penalty by the reference length closest to the text's own, the shorter of two equally close ones. A
text without any known word scores 0. Texts are compared as token ids; the end token is no word.

Shapes: B texts, T positions, W windows of n tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.text import Text

SMOOTHING = 0.1  # method1's numerator in place of zero
AT_ONCE = 4096  # texts of which every pair of windows is in memory


class References:
    """What BLEU needs to know of a set of reference texts."""

    def __init__(self, text: Text, eos: int | None, order: int) -> None:
        self.eos, self.order = eos, order
        self.radix = 1 + int(text.tokens.max())  # of the codes: any larger token is unknown
        if order * max(1.0, float(torch.tensor(float(self.radix)).log2())) > 62:
            raise ValueError(
                f"bleu of order {order} needs codes of more than 63 bits for a vocabulary of "
                f"{self.radix}; choose a smaller order"
            )
        sizes = _words(text, eos)
        self.lengths = torch.unique(sizes)
        self.codes: list[Tensor] = []  # known n-grams of each order, sorted
        self.counts: list[Tensor] = []  # the most times that one reference has them
        for n in range(1, order + 1):
            codes, inside = self._windows(text.tokens, sizes, n)
            pairs = zip(codes.split(AT_ONCE), inside.split(AT_ONCE), strict=True)
            times = torch.cat([_times_before(*pair) + 1 for pair in pairs])
            known, place = torch.unique(codes[inside], return_inverse=True)
            most = torch.zeros_like(known).scatter_reduce(0, place, times[inside], "amax")
            self.codes.append(known)
            self.counts.append(most)

    def score(self, text: Text) -> Tensor:
        """Sentence BLEU of each text, (B,), in float64."""
        return torch.cat([self._score(part) for part in text.split(AT_ONCE)])

    def _score(self, text: Text) -> Tensor:
        sizes = _words(text, self.eos)
        tokens = text.tokens.clamp(max=self.radix)  # the code of what no reference knows
        logs = torch.zeros(len(text), dtype=torch.float64, device=tokens.device)
        nothing = torch.zeros(len(text), dtype=torch.bool, device=tokens.device)
        for n, (known, most) in enumerate(zip(self.codes, self.counts, strict=True), start=1):
            codes, inside = self._windows(tokens, sizes, n)
            if len(known) and codes.shape[1]:
                place = torch.searchsorted(known, codes).clamp(max=len(known) - 1)
                allowed = torch.where(known[place] == codes, most[place], 0)
                matches = ((_times_before(codes, inside) < allowed) & inside).sum(1)
            else:
                matches = torch.zeros_like(sizes)
            if n == 1:
                nothing = matches == 0
            # a text of fewer than n words has no window; it is divided by one, as nltk does
            windows = (sizes - n + 1).clamp(min=1)
            hits = torch.where(matches == 0, SMOOTHING, matches.double())
            logs += (hits / windows).log() / self.order
        gap = (self.lengths - sizes.unsqueeze(1)).abs()
        closest = self.lengths[gap.argmin(1)]  # lengths are sorted: the first is the shorter
        brevity = (1 - closest.double() / sizes.clamp(min=1)).clamp(max=0)
        return torch.where(nothing, 0.0, (logs + brevity).exp())

    def _windows(self, tokens: Tensor, sizes: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The code of every window of n tokens, (B, W), and which lie inside their text."""
        if tokens.shape[1] < n:
            empty = tokens[:, :0]
            return empty, empty.bool()
        codes = torch.zeros_like(tokens[:, n - 1 :])
        for offset in range(n):
            last = tokens.shape[1] - n + 1 + offset
            codes = codes * (self.radix + 1) + tokens[:, offset:last]
        positions = torch.arange(codes.shape[1], device=tokens.device)
        return codes, positions <= (sizes - n).unsqueeze(1)


def _words(text: Text, eos: int | None) -> Tensor:
    """How many words each text has, (B,): its tokens but for the one that ends it."""
    if eos is None:
        return text.sizes
    rows = torch.arange(len(text), device=text.tokens.device)
    ends = text.tokens[rows, (text.sizes - 1).clamp(min=0)] == eos
    return text.sizes - ends.long()


def _times_before(codes: Tensor, inside: Tensor) -> Tensor:
    """How often each window (B, W) stood earlier in its text."""
    equal = (codes.unsqueeze(2) == codes.unsqueeze(1)) & inside.unsqueeze(1)
    return equal.tril(-1).sum(2)
