"""How far apart two sets of texts are in the n-grams that stand in them.

The measure of the WGAN-GP character model (Gulrajani et al. 2017, arXiv 1704.00028). A sample that
is small beside the number of possible n-grams is far from anything, its own source included, so a
value means little without that of as many real texts: the floor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ngram_jsd(a: Tensor, b: Tensor, n: int) -> float:
    """Jensen-Shannon divergence in bits, from 0 (the same) to 1 (nothing in common), between the
    n-grams in texts (A, T) and (B, T), padding included."""
    return ngram_jsds(a, b, n)[-1]


def ngram_jsds(a: Tensor, b: Tensor, largest: int) -> list[float]:
    """`ngram_jsd` for n = 1 .. largest.

    Raises ValueError unless 1 <= largest <= T and both sets have texts of the same T tokens.
    """
    length = a.shape[1]
    if b.shape[1] != length or not 1 <= largest <= length or not (len(a) and len(b)):
        raise ValueError(
            f"no {largest}-grams to compare in texts {tuple(a.shape)} and {tuple(b.shape)}"
        )
    tokens = torch.unique(torch.cat([a, b]), return_inverse=True)[1]
    symbols = int(tokens.max()) + 1
    codes, found = tokens, [_divergence(tokens, len(a))]
    for n in range(2, largest + 1):
        # an n-gram is the (n - 1)-gram before it and a symbol; numbered anew, codes stay small
        longer = codes[:, :-1] * symbols + tokens[:, n - 1 :]
        codes = torch.unique(longer, return_inverse=True)[1]
        found.append(_divergence(codes, len(a)))
    return found


def _divergence(codes: Tensor, first: int) -> float:
    """Between the codes (N, W) of the first texts and those of the others."""
    kinds = int(codes.max()) + 1
    p, q = (
        torch.bincount(part.flatten(), minlength=kinds).double() / part.numel()
        for part in (codes[:first], codes[first:])
    )
    middle = (p + q) / 2
    nats = torch.xlogy(p, p / middle).sum() + torch.xlogy(q, q / middle).sum()
    return float(nats) / 2 / float(torch.tensor(2.0, dtype=torch.float64).log())
