"""The recurrent generators."""

import pytest
import torch
from networks import AUTOREGRESSIVE
from worlds import FIXED, WORLDS, enumerate_texts, same, small_generator

from textgan.core import registry
from textgan.data.text import TextSpace
from textgan.models.generators.recurrent import GRUGenerator, LSTMGenerator, RecurrentGenerator

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])

depths = pytest.mark.parametrize("layers", [1, 2])

networks = pytest.mark.parametrize("name", AUTOREGRESSIVE)


def test_the_recurrent_generators_are_registered() -> None:
    assert registry.find("generator", "lstm") is LSTMGenerator
    assert registry.find("generator", "gru") is GRUGenerator


@worlds
@networks
@depths
def test_the_state_is_batch_first(space: TextSpace, name: str, layers: int) -> None:
    generator = small_generator(space, name, layers=layers)
    symbol = torch.tensor([0, 1, 2, 2])
    _, state = generator.step(symbol, generator.start(4))
    assert all(len(part) == 4 for part in state.carried)
    chosen = torch.tensor([3, 0])  # forking a hypothesis is indexing
    logits, _ = generator.step(symbol[chosen], state[chosen])
    of_all, _ = generator.step(symbol, state)
    assert same(logits, of_all[chosen])


def test_parameters_start_as_the_paper_has_them() -> None:
    lstm = registry.build("generator", "lstm", {}, TextSpace(5000, 20))
    assert isinstance(lstm, LSTMGenerator)
    for name, parameter in lstm.named_parameters():
        if "bias_hh" in name:  # one bias vector a gate
            assert not parameter.any()
            assert not parameter.requires_grad
        elif parameter.numel() >= 128:
            assert abs(parameter.std().item() - 0.1) < 0.03
            assert abs(parameter.mean().item()) < 0.03
    trained = sum(part.numel() for part in lstm.parameters() if part.requires_grad)
    assert trained == 5000 * 32 + 4 * (32 * 32 + 32 * 32 + 32) + 32 * 5000 + 5000


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_dropout_is_on_only_when_asked_for(space: TextSpace, name: str) -> None:
    generator = small_generator(space, name, dropout=0.5)
    assert isinstance(generator, RecurrentGenerator)
    texts = enumerate_texts(space)
    assert torch.equal(generator(texts), generator(texts))
    generator.dropout.train()
    assert not torch.equal(generator(texts), generator(texts))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_dropout_may_spare_the_embeddings(name: str) -> None:
    generator = small_generator(FIXED, name, dropout=0.5, dropout_input=False)
    texts = enumerate_texts(FIXED)
    whole = generator.hidden(texts)
    generator.dropout.train()
    thinned = generator.hidden(texts)
    kept = thinned != 0  # scaled by 2 or dropped, the recurrence itself untouched
    assert same(thinned[kept], 2 * whole[kept])
    assert 0.4 < kept.double().mean() < 0.6
