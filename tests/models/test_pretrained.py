"""Networks that were trained elsewhere have the states that transformers gives them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import KINDS, PLACES, tiny
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.core.optim import build_optimiser, dropout, update
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import PretrainedTokenizer, WordTokenizer, build_tokenizer
from textgan.models.pretrained import PretrainedNetwork, build_network
from textgan.perturb.fgm import FGM
from textgan.perturb.shifts import EmbeddingOutput, find_embedding, words_of

LINES = ["a man rides the wave", "", "the man", " ".join(["on the board"] * 9), "a zebra"]
kinds = pytest.mark.parametrize("kind", KINDS)


def opened(
    folder: Path, kind: str = "bert", classes: int = 0, **settings: Any
) -> tuple[PretrainedTokenizer, PretrainedNetwork]:
    folder_name = f"hf:{tiny(folder, kind, **settings)}"
    tokenizer = build_tokenizer(folder_name, [])
    network = build_network(folder_name, {}, tokenizer, classes).eval()
    assert isinstance(tokenizer, PretrainedTokenizer) and isinstance(network, PretrainedNetwork)
    return tokenizer, network


def model_ids(kind: str, line: str) -> list[int]:
    """The numbers of a line in a model's own vocabulary, framed and cut."""
    vocabulary = KINDS[kind][1]
    words = [word if word in vocabulary else "[UNK]" for word in line.split()][: PLACES - 2]
    return [vocabulary.index(word) for word in ["[CLS]", *words, "[SEP]"]]


def by_hand(folder: Path, kind: str, line: str) -> Tensor:
    """The last states of one line, read alone, as transformers gives them when it is asked
    plainly."""
    import transformers

    model = getattr(transformers, f"{KINDS[kind][0]}Model").from_pretrained(folder).eval()
    with torch.no_grad():
        return torch.as_tensor(model(torch.tensor([model_ids(kind, line)])).last_hidden_state[0])


@kinds
@pytest.mark.parametrize("head", [False, True])
def test_states_are_those_of_transformers(kind: str, head: bool, tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny", kind, head=head)
    text = tokenizer(LINES)
    with torch.no_grad():
        states, features = network.states(text), network.features(text)
        places = torch.arange(text.tokens.shape[1]).expand_as(text.tokens)
        placed = network.states(text, places)
        mixed = network.states(Text(text.tokens.flip(1), text.lengths)[3:4], places[3:4].flip(1))
    for row, (line, size) in enumerate(zip(LINES, text.lengths.tolist(), strict=True)):
        expected = by_hand(tmp_path / "tiny", kind, line)
        assert len(expected) == size
        assert torch.allclose(states[row, :size], expected, atol=1e-6)
        assert torch.allclose(placed[row, :size], expected, atol=1e-6)
        assert torch.allclose(features[row], expected.mean(0), atol=1e-6)
    if kind != "mpnet":  # it also looks at distances
        assert torch.allclose(mixed, states[3:4].flip(1), atol=1e-6)
    assert network(text).shape == (5,)


@kinds
def test_ids_are_the_tokenizer_s_own(kind: str, tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny", kind)
    vocabulary = KINDS[kind][1]
    begin, pad, end, unknown = map(vocabulary.index, ("[CLS]", "[PAD]", "[SEP]", "[UNK]"))
    assert tokenizer.space == TextSpace(
        len(vocabulary), PLACES, end, bos=begin, pad=pad, unknown=unknown
    )
    assert tokenizer.mask_id == vocabulary.index("[MASK]")
    assert tokenizer.encode(["the [MASK] zebra"])[0] == [
        vocabulary.index(word) for word in ("the", "[MASK]", "[UNK]")
    ]
    text = tokenizer(LINES)
    for row, line in enumerate(LINES):
        ids = list(model_ids(kind, line))
        assert text.tokens[row].tolist() == ids + [pad] * (PLACES - len(ids))
        assert int(text.lengths[row]) == len(ids)
    with torch.no_grad():
        scores = network(text)
        wide = Text(nn.functional.pad(text.tokens, (0, 3)), text.lengths)
        assert torch.equal(network(wide), scores)
        scribbled = Text(torch.where(text.mask, text.tokens, 3), text.lengths)
        assert torch.allclose(network(scribbled), scores, atol=1e-6)
        network.embedding.weight[KINDS[kind][1].index("[PAD]")] = 1e3
        assert torch.equal(network(text), scores)


@kinds
def test_what_is_perturbed_is_every_word_and_no_padding(kind: str, tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny", kind)
    network.double()
    text = tokenizer(LINES)
    module = find_embedding(network)
    assert module is network.embedding
    place = EmbeddingOutput(module, words_of(network, module))
    with place.shifted(None) as here:
        (slope,) = here.gradients(network(text).sum())
    assert torch.equal(here.masks[0][..., 0], text.mask)
    assert torch.equal(slope.any(2), text.mask)
    before = network(text).sum()
    with place.shifted([1e-6 * place.direction(slope)]):
        rise = network(text).sum() - before
    assert torch.allclose(rise, 1e-6 * slope.flatten(1).norm(dim=1).sum(), rtol=1e-3)
    # under the name that transformers gives it, too
    assert find_embedding(network, "word_embeddings") is module


def test_rows_are_read_like_their_tokens(tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny", "roberta")
    text = tokenizer(LINES[3:4])
    relaxed = text.relaxed(torch.zeros(1, tokenizer.space.vocabulary))
    assert torch.allclose(network(relaxed), network(text), atol=1e-6)


def test_a_sentence_keeps_its_frame_where_it_is_cut(tmp_path: Path) -> None:
    folder_name = f"hf:{tiny(tmp_path / 'tiny')}"
    tokenizer = build_tokenizer(folder_name, [], length=5)
    assert tokenizer(LINES[:1]).tokens.tolist() == [[2, 5, 6, 7, 3]]
    assert tokenizer.space.length == 5
    assert build_tokenizer(folder_name, [], length=99).space.length == PLACES
    assert tokenizer.name != build_tokenizer(folder_name, []).name
    other = build_tokenizer(f"hf:{tiny(tmp_path / 'b/tiny', seed=1)}", [], length=5)
    assert tokenizer.name == other.name  # other weights, the same tokens
    assert tokenizer(["half a \ud800 pair"]).lengths.tolist() == [5]


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_all_weights_learn(kind: str, tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny", kind, classes=3)
    text = tokenizer([*LINES, "[PAD] [MASK] on red board"])
    assert network.class_logits(text).shape == (6, 3)
    before = {name: weight.clone() for name, weight in network.named_parameters()}

    def loss() -> tuple[Tensor, dict[str, Any]]:
        return nn.functional.cross_entropy(network.class_logits(text), text.lengths % 3), {}

    update(network, build_optimiser(network, 0.01), loss, FGM(epsilon=0.1), 0.0)
    for name, weight in network.named_parameters():
        assert ("pooler" in name) == torch.equal(weight, before[name]), name


def test_attention_drops_what_it_should(tmp_path: Path) -> None:
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5}
    tokenizer, network = opened(tmp_path / "tiny", **rates)
    text = tokenizer(LINES)
    with torch.no_grad():
        states = network.states(text)
        with dropout(network):
            assert not torch.allclose(network.states(text), states, atol=1e-3)
        assert torch.equal(network.states(text), states)
        network.train()
        assert not torch.allclose(network.states(text), states, atol=1e-3)


def test_second_derivatives_and_modes(tmp_path: Path) -> None:
    tokenizer, network = opened(tmp_path / "tiny")
    network.double()
    text = tokenizer(LINES[3:4])
    text = text.relaxed(torch.zeros(1, tokenizer.space.vocabulary, dtype=torch.float64))
    assert text.soft_tokens is not None
    rows = text.soft_tokens.requires_grad_()
    scores = network(text)
    (slope,) = torch.autograd.grad(scores.sum(), rows, create_graph=True)
    slope.square().sum().backward()
    assert rows.grad is not None and rows.grad.any() and rows.grad.isfinite().all()
    with torch.no_grad():
        assert torch.allclose(network(text), scores, rtol=1e-12)


def refusal(told: Callable[[], object]) -> str:
    with pytest.raises(UserError) as refused:
        told()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = WordTokenizer.train(["a man rides a man rides"])
    assert "there is no folder nowhere" in refusal(lambda: build_tokenizer("hf:nowhere", []))
    folder_name = f"hf:{tiny(tmp_path / 'tiny')}"
    tokenizer = build_tokenizer(folder_name, [])
    assert "does not read the tokens" in refusal(lambda: build_network(folder_name, {}, words))
    assert "does not read the tokens" in refusal(lambda: build_network("cnn", {}, tokenizer))
    assert "known: cnn, " in refusal(lambda: build_network("a.py:B", {}, words))
    assert "did you mean 'cnn'" in refusal(lambda: build_network("cn", {}, words))
    unknown = refusal(lambda: build_network("rnn", {"hiden": 3}, words))
    assert "network.hiden is not a setting; did you mean 'hidden'?" in unknown
    odd = refusal(lambda: build_network("transformer", {"heads": 5}, words))
    assert "not divisible by heads = 5" in odd
    high = refusal(lambda: build_network(folder_name, {"dropout": 1.5}, tokenizer))
    assert "network.dropout = 1.5" in high
    assert "length = 2: give at least 3" in refusal(
        lambda: build_tokenizer(folder_name, [], length=2)
    )
    frameless = f"hf:{tiny(tmp_path / 'frameless', frame=False)}"
    assert "does not end a sentence" in refusal(lambda: build_tokenizer(frameless, []))
    config = tmp_path / "tiny/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 3}))
    assert "there are no weights for" in refusal(lambda: build_network(folder_name, {}, tokenizer))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    assert "pip install 'textgan[hf]'" in refusal(lambda: build_tokenizer(folder_name, []))
