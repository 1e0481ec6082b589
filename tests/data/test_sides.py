"""One side of a corpus: its words, its lengths, its tokenizer."""

from collections import Counter

import torch

from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.sides import USUAL_LENGTH, Side, spacing_facts
from textgan.data.tokenizers import EOS, FIRST, UNKNOWN

LINES = ["a b", "b <turn> c", "<unk> a", "c c c"]


def side(lines: list[str]) -> Side:
    return Side.of(lines, PreTokenizer(turn="<turn>"), "", True)


def test_words_are_counted_and_what_is_between_utterances_is_not() -> None:
    rows = torch.tensor([0, 1, 2])
    assert side(LINES).counts(rows) == Counter({"a": 2, "b": 2, "c": 1, "<unk>": 1})


def test_a_vocabulary_makes_a_tokenizer_as_wide_as_its_rows() -> None:
    one = side(LINES)
    tokenizer = one.tokenizer_of(["a", "b"], torch.tensor([0, 2]))
    assert tokenizer.words == ("<turn>", "a", "b")
    assert (tokenizer.space.length, tokenizer.space.turn) == (3, FIRST)
    encoded = one.encode(tokenizer)
    assert encoded.tolist()[1] == [FIRST + 2, FIRST, UNKNOWN]
    assert encoded[torch.tensor([0, 2])].to_text(tokenizer.space).tolist() == [
        [FIRST + 1, FIRST + 2, EOS],
        [UNKNOWN, FIRST + 1, EOS],
    ]
    facts = one.facts(tokenizer, one.counts(torch.arange(4)))
    assert facts["unknown_in_train"] == round(5 / 9, 4)
    assert facts["vocabulary"] == len(tokenizer) == 6


def test_the_longest_text_of_the_rows_decides_unless_a_length_is_given() -> None:
    one = side(["a", "a a", *["a a a"] * 400, "a " * (USUAL_LENGTH + 1)])
    every = torch.arange(403)
    assert one.longest(7, every) == 7
    assert one.longest(0, torch.tensor([0, 1])) == 2
    assert one.longest(0, every) == 3  # 99 % of them
    assert one.longest(0, torch.tensor([402])) == USUAL_LENGTH + 1


def test_a_guess_about_spaces_is_recorded_where_not_all_lines_agree() -> None:
    assert spacing_facts(["a b", "c d"], "char", "auto") == {}
    assert spacing_facts(["a b", "cd e"], "char", "yes") == {}
    assert "spacing" in spacing_facts(["a b", "cd e"], "char", "auto")
    assert spacing_facts(["a b", "cd e"], "word", "auto") == {}
