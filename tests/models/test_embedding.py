"""The embedding of tokens and of relaxed rows."""

import pytest
import torch
from networks import AUTOREGRESSIVE
from worlds import VARIABLE, enumerate_texts, one_hot, same, small_generator

from textgan.models.embedding import TokenEmbedding

networks = pytest.mark.parametrize("name", AUTOREGRESSIVE)


@networks
def test_a_text_is_embedded_by_one_call(name: str) -> None:
    # perturbations of the embedding hook into it: T calls would be T perturbations
    generator = small_generator(VARIABLE, name)
    calls: list[tuple[int, ...]] = []
    generator.embedding.register_forward_hook(lambda *hook: calls.append(tuple(hook[2].shape)))
    generator(enumerate_texts(VARIABLE))
    generator(one_hot(enumerate_texts(VARIABLE), VARIABLE))
    assert calls == [(15, 3, generator.embedding.embedding_dim)] * 2


def test_an_embedding_mixes_its_table() -> None:
    embedding = TokenEmbedding(4, 2).double()
    tokens = torch.tensor([[3, 0], [1, 2]])
    assert same(embedding(tokens), embedding.weight[tokens])
    rows = torch.tensor([[0.25, 0.75, 0, 0]], dtype=torch.float64)
    assert same(embedding(rows)[0], 0.25 * embedding.weight[0] + 0.75 * embedding.weight[1])
