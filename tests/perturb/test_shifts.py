"""Which embedding is perturbed."""

import pytest
from torch import nn

from textgan.core.errors import UserError
from textgan.perturb.shifts import find_embedding


def test_the_embedding_that_is_meant() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word_embeddings = nn.Embedding(4, 2)
            self.position_embeddings = nn.Embedding(4, 2)

    network = Two()
    with pytest.raises(UserError, match=r"several embeddings that words go through in Two.*one of: "
                       "word_embeddings, position_embeddings"):  # fmt: skip
        find_embedding(network)
    assert find_embedding(network, "word") is network.word_embeddings
    with pytest.raises(UserError, match="no embedding called 'segment' in Two; give embedding as "
                       "one of: word_embeddings, position_embeddings"):  # fmt: skip
        find_embedding(network, "segment")
    with pytest.raises(UserError, match="several embeddings called 'embeddings'"):
        find_embedding(network, "embeddings")
    with pytest.raises(UserError, match="one of: none"):
        find_embedding(nn.Linear(2, 2))
    exact = nn.ModuleDict({"embedding": nn.Embedding(2, 2), "embedding_2": nn.Embedding(2, 2)})
    assert find_embedding(exact, "embedding") is exact["embedding"]
