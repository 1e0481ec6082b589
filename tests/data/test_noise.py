"""What noise does to words, what it leaves alone, and how much of them it touches."""

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgan.data.noise import Noise, disturb, disturb_lines

KINDS: tuple[Noise, ...] = get_args(Noise)
VOCABULARY = ["sun", "moon", "star"]

kinds = st.sampled_from(KINDS)
sentences = st.lists(st.text("abcü漢", min_size=1, max_size=4), max_size=8)
rates = st.floats(0, 1)


def noisy(words: list[str], kind: Noise, rate: float, seed: int = 0) -> list[str]:
    return disturb(words, rate, kind, VOCABULARY, np.random.default_rng(seed))


@given(sentences, kinds, rates, st.integers(0, 99))
def test_the_same_seed_gives_the_same_words_and_words_stay_words(
    words: list[str], kind: Noise, rate: float, seed: int
) -> None:
    before = list(words)
    result = noisy(words, kind, rate, seed)
    assert words == before  # the sentence itself is left alone
    assert result == noisy(words, kind, rate, seed)
    assert bool(result) == bool(words)
    assert all(result)
    assert noisy(words, kind, 0, seed) == words


@given(sentences, rates, st.integers(0, 99))
def test_what_each_kind_keeps(words: list[str], rate: float, seed: int) -> None:
    dropped = iter(words)
    assert all(word in dropped for word in noisy(words, "drop", rate, seed))  # a subsequence
    assert Counter(noisy(words, "swap", rate, seed)) == Counter(words)
    replaced = noisy(words, "replace", rate, seed)
    assert len(replaced) == len(words)
    assert all(new == old or new in VOCABULARY for old, new in zip(words, replaced, strict=True))
    repeated = noisy(words, "repeat", rate, seed)
    copies = iter(repeated)
    assert all(word in copies for word in words)
    assert len(words) <= len(repeated) <= 2 * len(words)
    for old, new in zip(words, noisy(words, "typo", rate, seed), strict=True):
        assert new in spellings(old) | {old}


def spellings(word: str) -> set[str]:
    """All that a typing mistake can make of a word."""
    if len(word) < 2:
        return {word}
    dropped = {word[:i] + word[i + 1 :] for i in range(len(word))}
    exchanged = {word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :] for i in range(1, len(word))}
    return dropped | exchanged - {word}


@given(sentences.filter(bool), st.integers(0, 99))
def test_at_rate_one_every_word_is_touched(words: list[str], seed: int) -> None:
    assert len(noisy(words, "drop", 1, seed)) == 1
    assert noisy(words, "repeat", 1, seed) == [word for word in words for _ in range(2)]
    replaced = noisy([*words, "sun"], "replace", 1, seed)
    assert set(replaced) <= set(VOCABULARY)
    assert replaced[-1] != "sun"
    for old, new in zip(words, noisy(words, "typo", 1, seed), strict=True):
        assert new in spellings(old)


def test_swaps_are_of_neighbours_and_of_no_word_twice() -> None:
    words = list("abcdefg")
    places = np.array(
        [[result.index(word) for word in words] for result in some("swap", words, 0.5)]
    )
    assert np.abs(places - np.arange(7)).max() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_share_of_words_touched_is_the_rate(kind: Noise, size: int) -> None:
    """On average over 4,000 sentences; five standard deviations are about 0.02."""
    words = [f"w{i}" for i in range(size)]
    rate = 0.3
    result = some(kind, words, rate)
    if kind in ("drop", "repeat"):
        touched = np.mean([abs(len(made) - size) for made in result]) / size
        # a sentence whose words would all be dropped keeps one
        rate -= rate**size / size if kind == "drop" else 0
    else:
        touched = np.mean([np.mean(np.array(made) != np.array(words)) for made in result])
    assert touched == pytest.approx(rate, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_is_touched(kind: Noise) -> None:
    """Also the first and the last word: in 4,000 sentences each at least once alone."""
    words = ["one", "two", "three", "four"]
    result = some(kind, words, 0.2)
    first = [made for made in result if made[-1] == "four" and made[0] != "one"]
    last = [made for made in result if made[0] == "one" and made[-1] != "four"]
    if kind == "repeat":
        first = [made for made in result if made[1] == "one"]
        last = [made for made in result if made[-2] == "four"]
    assert min(len(first), len(last)) > 200


def some(kind: Noise, words: list[str], rate: float, n: int = 4000) -> list[list[str]]:
    random = np.random.default_rng(5)
    return [disturb(words, rate, kind, VOCABULARY, random) for _ in range(n)]


def test_all_other_words_are_equally_likely() -> None:
    many = Counter(word for made in some("replace", ["sun"] * 3, 1.0) for word in made)
    assert set(many) == {"moon", "star"}
    assert many["moon"] / many.total() == pytest.approx(0.5, abs=0.025)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        noisy(["a"], "drop", rate)


@pytest.mark.parametrize("vocabulary", [[], ["sun"], ["sun", "sun"]])
def test_replacing_takes_two_words(vocabulary: list[str]) -> None:
    with pytest.raises(ValueError, match="two different words"):
        disturb(["sun"], 0.5, "replace", vocabulary, np.random.default_rng(0))


def test_lines_are_disturbed_by_one_seed() -> None:
    lines = ["the  cat sees the dog", "", "a dog"] * 20
    for kind in KINDS:
        result = disturb_lines(lines, 0.3, kind, VOCABULARY, 3)
        assert result == disturb_lines(lines, 0.3, kind, VOCABULARY, 3)
        assert result != disturb_lines(lines, 0.3, kind, VOCABULARY, 4)
        assert [bool(line) for line in result] == [bool(line) for line in lines]
    assert disturb_lines(lines, 0, "drop", VOCABULARY, 3)[:3] == [
        "the cat sees the dog",
        *lines[1:3],
    ]


def test_characters_are_disturbed_where_they_are_the_tokens() -> None:
    lines = ["山重水复疑无路"]
    assert disturb_lines(lines, 1, "repeat", VOCABULARY, 0) == ["山重水复疑无路 山重水复疑无路"]
    twice = disturb_lines(lines, 1, "repeat", VOCABULARY, 0, tokens="char")
    assert twice == ["山山重重水水复复疑疑无无路路"]
    spaced = disturb_lines(["山 重"], 1, "repeat", VOCABULARY, 0, tokens="char")
    assert spaced == ["山 山 重 重"]
