"""Words that are hidden and predicted."""

import pytest
import torch
from contrast import WORDS, Bag, assert_gradients, batch, space_of, tokenizer, transformer
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.seeds import fork_rng
from textgan.data.text import Text
from textgan.data.tokenizers import EOS, UNKNOWN
from textgan.data.tokenizers import FIRST as WORD
from textgan.encoders.contrast.masked_words import MaskedWords, hide


def test_hidden_words_are_as_told() -> None:
    known = tokenizer()
    assert known.mask_id is not None
    vocabulary, mask_id = known.space.vocabulary, known.mask_id
    tokens = torch.randint(WORD, WORD + len(WORDS), (400, 30))
    tokens[:, 3], tokens[:, 4], tokens[:, 27], tokens[:, 28:] = UNKNOWN, mask_id, EOS, 0
    text = Text(tokens, torch.full((400,), 28))
    hidden, chosen = hide(text, known.space, mask_id, 0.15)
    assert not chosen[:, [3, 4, 27, 28, 29]].any()
    assert torch.equal(hidden.tokens[~chosen], tokens[~chosen])
    words = chosen.new_ones(30)
    words[[3, 4, 27, 28, 29]] = False
    assert float(chosen[:, words].double().mean()) == pytest.approx(0.15, abs=0.015)
    now, was = hidden.tokens[chosen], tokens[chosen]
    assert float((now == mask_id).double().mean()) == pytest.approx(0.8, abs=0.04)
    # a random word may be the same one
    stay = 0.1 + 0.1 / (vocabulary - WORD - 1)
    assert float((now == was).double().mean()) == pytest.approx(stay, abs=0.03)
    assert int(now.min()) >= WORD
    assert torch.equal(tokens[:, 4], hidden.tokens[:, 4])


def test_every_word_but_mask_may_be_drawn() -> None:
    text = Text(torch.full((2000, 5), WORD), torch.full((2000,), 5))
    hidden, _ = hide(text, space_of(WORD + 4), WORD + 1, 0.999)
    drawn = hidden.tokens[hidden.tokens != WORD + 1].unique().tolist()
    assert drawn == [WORD, WORD + 2, WORD + 3]


def test_some_word_is_always_hidden_where_there_is_one() -> None:
    text = Text(torch.tensor([[4, EOS, 0], [5, 6, EOS]]), torch.tensor([2, 3]))
    for _ in range(20):
        _, chosen = hide(text, space_of(9), 8, 1e-9)
        assert int(chosen.sum()) == 1
        assert not chosen[[0, 0, 1], [1, 2, 2]].any()
    none = Text(torch.tensor([[UNKNOWN, EOS]]), torch.tensor([2]))
    assert not hide(none, space_of(9), 8, 0.5)[1].any()


def test_masked_words_are_told_from_what_was_there() -> None:
    method = MaskedWords(transformer(), tokenizer()).double()
    text, known = method.read(batch()), tokenizer()
    assert known.mask_id is not None
    with fork_rng(4, torch.device("cpu")):
        hidden, chosen = hide(text, known.space, known.mask_id, 0.15)
    states = method.words.states(hidden)
    logits = states @ method.words.embedding.weight.T
    expected = F.cross_entropy(logits[chosen], text.tokens[chosen])
    with fork_rng(4, torch.device("cpu")):
        value, _ = method.accumulate(batch())
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)
    assert method.accumulate(batch(lines=["nothing known"]))[0] == 0


def test_only_the_transformer_from_scratch_learns_masked_words() -> None:
    with pytest.raises(UserError, match="network=transformer"):
        MaskedWords(Bag(), tokenizer())
    with pytest.raises(UserError, match="network=transformer"):
        MaskedWords(transformer(), tokenizer(words=WORDS))
