"""A file in three parts, and lines as a network reads them."""

import pytest
import torch

from textgan.core.errors import UserError
from textgan.data.tokenizers import EOS, MASK_WORD, UNKNOWN, WordTokenizer, build_tokenizer

LINES = ["the cat sees the dog", "the dog sees a cat", "the house"]


def test_words() -> None:
    tokenizer = WordTokenizer.train(LINES, length=5)
    assert tokenizer.words == ("the", "cat", "dog", "sees", MASK_WORD)  # the frequent ones
    assert tokenizer.mask_id == 7
    assert (tokenizer.space.vocabulary, tokenizer.space.length, tokenizer.space.eos) == (8, 5, EOS)
    text = tokenizer(["the cat", "", "a cat sees the dog", "the <mask> <unk> dog", "  the  "])
    assert text.tokens.tolist() == [
        [3, 4, EOS, 0, 0],
        [EOS, 0, 0, 0, 0],
        [UNKNOWN, 4, 6, 3, 5],  # its end is not seen
        [3, 7, UNKNOWN, 5, EOS],
        [3, EOS, 0, 0, 0],
    ]
    assert text.lengths.tolist() == [3, 1, 5, 5, 2]
    assert torch.equal(tokenizer.pad([[3, 4]]).tokens, torch.tensor([[3, 4, EOS]]))
    assert tokenizer.decode(text.tolist()) == [
        "the cat", "", "<unk> cat sees the dog", "the <mask> <unk> dog", "the",
    ]  # fmt: skip
    empty = tokenizer([])
    assert len(empty) == 0 and empty.tokens.dim() == 2


def test_characters() -> None:
    tokenizer = WordTokenizer.train(["春江花月", "花月夜"], tokens="char", min_count=1)
    assert tokenizer(["花江"]).tokens.shape == (1, 3)
    assert tokenizer.decode(tokenizer(["花江"]).tolist()) == ["花江"]
    spaced = WordTokenizer.train(["春 江 花 月", "花 月 夜"], tokens="char", min_count=1)
    assert torch.equal(spaced(["花 江"]).tokens, tokenizer(["花江"]).tokens)


def test_extra_words_are_known_once() -> None:
    tokenizer = WordTokenizer.train(LINES, extra=(MASK_WORD, "means", "the", "means"))
    assert tokenizer.words == ("cat", "dog", "sees", MASK_WORD, "means", "the")
    assert WordTokenizer.train(LINES, extra=()).mask_id is None
    assert WordTokenizer.train(LINES, vocabulary=2).words == ("the", "cat", MASK_WORD)


def test_a_vocabulary_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"vocabulary is 0 words seen 9 times.*min_count = 1"):
        WordTokenizer.train(LINES, min_count=9)


def test_a_length_in_which_nothing_fits_is_refused() -> None:
    with pytest.raises(UserError, match="length = 1: give at least 2 tokens"):
        WordTokenizer.train(LINES, length=1)


def test_a_name_says_how_it_reads() -> None:
    told = [({}, LINES), ({"length": 9}, LINES), ({"min_count": 1}, LINES), ({}, [*LINES, "a a"])]
    found = {build_tokenizer("transformer", lines, **more).name for more, lines in told}  # type: ignore[arg-type]
    assert len(found) == 4
    assert build_tokenizer("cnn", LINES).name == build_tokenizer("rnn", LINES[::-1]).name
