"""The embedding of tokens, the layer that perturbations shift, and first weights."""

from __future__ import annotations

from torch import Tensor, nn

from textgan.core.matmul import linear


class TokenEmbedding(nn.Embedding):
    """Vectors for symbols: token ids are looked up, relaxed rows mix the table."""

    def forward(self, symbols: Tensor) -> Tensor:
        """Embed ids (...), or rows (..., V), as vectors (..., E)."""
        if symbols.is_floating_point():
            return linear(symbols, self.weight.t())
        return super().forward(symbols)


def truncated_normal_(weight: Tensor, deviation: float) -> None:
    """Draw a weight in place, normal around 0, cut off at two deviations."""
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
