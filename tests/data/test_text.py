import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from answers import ANSWERS, IDS, both, sources
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    one_hot,
    small_generator,
)

from textgan.data.text import (
    UNCONDITIONAL,
    Condition,
    Text,
    TextSpace,
    concatenate,
    exchange_sources,
    text_keys,
)

SOURCE = TextSpace(6, 4, eos=1, turn=5)


def labelled() -> Text:
    """Three sentences with everything that a Text can hold."""
    tokens = torch.tensor([[2, 1, 0], [3, 2, 1], [1, 0, 0]])
    source = Text.full(torch.tensor([[5, 6], [7, 8], [9, 9]]))
    rows = torch.arange(36.0).view(3, 3, 4)
    return Text(
        tokens,
        torch.tensor([2, 3, 1]),
        rows,
        Condition(torch.tensor([0, 1, 2]), source),
        prompt_length=1,
    )


def test_packed_text_is_unpacked() -> None:
    tokens, lengths = torch.tensor([5, 6, 7, 8]), torch.tensor([1, 0, 3])
    text = Text.packed(tokens, lengths, 9)
    assert text.tokens.tolist() == [[5, 9, 9], [9, 9, 9], [6, 7, 8]]
    assert text.lengths is lengths and text.tolist() == [[5], [], [6, 7, 8]]
    assert torch.equal(Text.packed(tokens, lengths, 9, 5).tokens, text.pad_to(5, 9).tokens)
    assert Text.packed(tokens[:0], lengths[:0], 9).tokens.shape == (0, 1)


def test_full_text_is_real_everywhere() -> None:
    text = Text.full(torch.tensor([[0, 1], [2, 0], [1, 1]]))
    assert text.lengths.tolist() == [2, 2, 2]
    assert text.mask.all()
    assert len(text) == 3


@pytest.mark.parametrize(
    ("written", "tokens", "size"),
    [
        ([2, 3, 2], [2, 3, 2], 3),  # cut off
        ([2, 3, 1], [2, 3, 1], 3),  # ends exactly at the last place
        ([2, 1, 3], [2, 1, 0], 2),
        ([1, 1, 2], [1, 0, 0], 1),
        ([1, 2, 1], [1, 0, 0], 1),  # only the first end counts
    ],
)
def test_a_sentence_stops_at_its_first_end(
    written: list[int], tokens: list[int], size: int
) -> None:
    text = Text.ended(torch.tensor([written]), VARIABLE)
    assert text.tokens.tolist() == [tokens]
    assert text.lengths.tolist() == [size]
    assert text.mask.tolist() == [[position < size for position in range(3)]]


def test_without_an_end_token_nothing_ends() -> None:
    tokens = torch.tensor([[1, 0, 2], [0, 0, 0]])
    text = Text.ended(tokens, TextSpace(3, 3))
    assert torch.equal(text.tokens, tokens)
    assert text.lengths.tolist() == [3, 3]


def test_the_worlds_have_as_many_texts_as_they_should() -> None:
    fixed, variable = enumerate_texts(FIXED), enumerate_texts(VARIABLE)
    assert len(fixed) == len(torch.unique(fixed.tokens, dim=0)) == 27
    assert len(variable) == len(torch.unique(variable.tokens, dim=0)) == 15
    assert variable.lengths.bincount().tolist() == [0, 1, 2, 12]
    again = Text.ended(variable.tokens, VARIABLE)
    assert torch.equal(again.tokens, variable.tokens)
    assert torch.equal(again.lengths, variable.lengths)


def test_symbols_are_rows_where_there_are_rows() -> None:
    text = enumerate_texts(FIXED)
    assert text.inputs is text.tokens
    relaxed = one_hot(text, FIXED)
    assert relaxed.inputs is relaxed.soft_tokens


def test_indexing_takes_everything_that_belongs_to_a_sentence() -> None:
    text = labelled()
    for index in (torch.tensor([2, 0]), slice(1, 3)):
        part = text[index]
        assert torch.equal(part.tokens, text.tokens[index])
        assert torch.equal(part.lengths, text.lengths[index])
        assert part.soft_tokens is not None and text.soft_tokens is not None
        assert torch.equal(part.soft_tokens, text.soft_tokens[index])
        assert part.source is not None and text.source is not None
        assert torch.equal(part.source.tokens, text.source.tokens[index])
        assert part.labels is not None and text.labels is not None
        assert torch.equal(part.labels, text.labels[index])
        assert part.prompt_length == 1


def test_repeating_keeps_copies_of_a_sentence_together() -> None:
    text = labelled().repeat(3)
    assert text.lengths.tolist() == [2, 2, 2, 3, 3, 3, 1, 1, 1]
    assert text.labels is not None
    assert text.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert text.source is not None
    assert text.source.tokens[:, 0].tolist() == [5, 5, 5, 7, 7, 7, 9, 9, 9]


def test_splitting_then_concatenating_gives_the_batch_back() -> None:
    text = labelled()
    pieces = text.split(2)
    assert [len(piece) for piece in pieces] == [2, 1]
    whole = concatenate(pieces)
    assert torch.equal(whole.tokens, text.tokens)
    assert torch.equal(whole.lengths, text.lengths)
    assert whole.soft_tokens is not None and text.soft_tokens is not None
    assert torch.equal(whole.soft_tokens, text.soft_tokens)
    assert whole.source is not None and text.source is not None
    assert torch.equal(whole.source.tokens, text.source.tokens)
    assert torch.equal(whole.source.lengths, text.source.lengths)
    assert whole.labels is not None and text.labels is not None
    assert torch.equal(whole.labels, text.labels)
    assert whole.prompt_length == text.prompt_length


def test_concatenating_plain_text_adds_nothing() -> None:
    plain = enumerate_texts(VARIABLE)
    twice = concatenate([plain, plain])
    assert torch.equal(twice.tokens, torch.cat([plain.tokens, plain.tokens]))
    assert (twice.soft_tokens, twice.source, twice.labels) == (None, None, None)


def test_concatenating_refuses_rows_that_only_some_have() -> None:
    text = enumerate_texts(FIXED)
    with pytest.raises(ValueError, match="only some have soft tokens"):
        concatenate([one_hot(text, FIXED), text])


def test_padding_adds_positions_that_are_not_real() -> None:
    text = enumerate_texts(VARIABLE)
    longer = text.pad_to(5)
    assert longer.tokens.shape == (15, 5)
    assert torch.equal(longer.tokens[:, :3], text.tokens)
    assert not longer.tokens[:, 3:].any()
    assert torch.equal(longer.lengths, text.lengths)
    assert not longer.mask[:, 3:].any()
    assert torch.equal(text.pad_to(3).tokens, text.tokens)


def test_padding_is_refused_where_it_would_lose_or_invent() -> None:
    with pytest.raises(ValueError, match="fewer tokens"):
        enumerate_texts(VARIABLE).pad_to(2)
    with pytest.raises(ValueError, match="relaxed"):
        one_hot(enumerate_texts(FIXED), FIXED).pad_to(4)


def test_moving_to_a_device_leaves_nothing_behind() -> None:
    moved = labelled().to(torch.device("meta"))
    assert moved.soft_tokens is not None and moved.source is not None and moved.labels is not None
    parts = [moved.tokens, moved.lengths, moved.soft_tokens, moved.labels]
    parts += [moved.source.tokens, moved.source.lengths]
    assert {part.device.type for part in parts} == {"meta"}
    assert moved.prompt_length == 1


def test_relaxed_text_is_one_hot_with_padding_as_a_symbol() -> None:
    text = enumerate_texts(VARIABLE)
    like = torch.zeros(1, 1, 4, dtype=torch.float64)
    relaxed = text.relaxed(like)
    assert relaxed.soft_tokens is not None
    assert relaxed.soft_tokens.dtype == torch.float64
    assert torch.equal(relaxed.soft_tokens.argmax(2), text.tokens)
    assert torch.equal(relaxed.soft_tokens.sum(2), torch.ones(15, 3, dtype=torch.float64))
    assert (relaxed.lengths == 3).all()  # a relaxed text has no length
    assert relaxed.relaxed(like) is relaxed
    wider = text.relaxed(torch.zeros(1, 6)).soft_tokens
    assert wider is not None and wider.shape == (15, 3, 6)


def test_narrowed_is_as_wide_as_its_longest_sentence() -> None:
    text = Text(torch.tensor([[3, 1, 0, 0], [4, 5, 1, 0]]), torch.tensor([2, 3]))
    narrow = text.trimmed()
    assert narrow.tokens.tolist() == [[3, 1, 0], [4, 5, 1]]
    assert torch.equal(narrow.lengths, text.lengths)
    rows = text.relaxed(torch.zeros(6))
    assert rows.trimmed() is rows


def test_a_text_answers_to_its_names_of_version_0_1() -> None:
    text: Any = Text(torch.tensor([[3, 4, 1, 0]]), torch.tensor([3]), prompt_length=1)
    assert text.sizes is text.lengths and text.symbols is text.inputs and text.rows is None
    assert text.given == 1 and text.padded(6).tokens.shape == (1, 6)
    assert torch.equal(text.narrowed().tokens, text.trimmed().tokens)
    with pytest.raises(AttributeError, match="a Text has no 'length'"):
        _ = text.length


def test_a_condition_is_indexed_repeated_joined_and_moved_as_a_whole() -> None:
    condition = both()
    for other in (
        condition.repeat(2)[torch.tensor([0, 3])],
        Condition.join([condition[:1], condition[1:]]),
        condition[torch.tensor([1, 0])][torch.tensor([1, 0])],
        condition.to(torch.device("cpu")),
    ):
        assert other.labels is not None and other.source is not None
        assert other.labels.tolist() == [1, 0]
        assert torch.equal(other.source.tokens, sources().tokens)
        assert torch.equal(other.source.lengths, sources().lengths)


def test_conditions_of_which_only_some_have_a_source_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="only some have"):
        Condition.join([both(), Condition(torch.tensor([1]))])


def test_no_condition_is_one_too() -> None:
    assert not UNCONDITIONAL and both() and Condition(torch.tensor([1]))
    assert list(map(len, (UNCONDITIONAL, both(), Condition(torch.tensor([1]))))) == [0, 2, 1]
    for same_as in (UNCONDITIONAL[:3], UNCONDITIONAL.repeat(4), UNCONDITIONAL.draw(5)):
        assert same_as == UNCONDITIONAL
    assert Condition.join([UNCONDITIONAL, UNCONDITIONAL]) == UNCONDITIONAL
    before = torch.get_rng_state()
    UNCONDITIONAL.draw(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_conditions_are_drawn_together() -> None:
    drawn = both().draw(4000)
    assert drawn.labels is not None and drawn.source is not None
    assert torch.equal(drawn.labels == 1, drawn.source.lengths == 1)
    assert 0.45 < float(drawn.labels.double().mean()) < 0.55


def test_labels_alone_are_short_for_a_condition() -> None:
    generator, labels = small_generator(replace(VARIABLE, classes=2)), torch.arange(6) % 2
    torch.manual_seed(1)
    long = generator.sample(6, condition=Condition(labels))
    torch.manual_seed(1)
    short = generator.sample(6, labels=labels)
    assert torch.equal(long.tokens, short.tokens)
    assert short.labels is labels


def test_texts_and_what_they_answer_become_tensors_and_come_back() -> None:
    text = replace(enumerate_texts(ANSWERS)[:2], condition=both())
    tensors = text.to_tensors()
    assert set(tensors) == {"tokens", "sizes", "labels", "source.tokens", "source.sizes"}
    back = Text.from_tensors(tensors)
    assert back.source is not None and back.labels is not None
    for ours, theirs in ((text, back), (sources(), back.source)):
        assert torch.equal(ours.tokens, theirs.tokens) and torch.equal(ours.lengths, theirs.lengths)
    assert back.labels.tolist() == [1, 0]
    plain = Text.from_tensors(enumerate_texts(VARIABLE).to_tensors())
    assert plain.condition == UNCONDITIONAL


def test_a_space_survives_json() -> None:
    for space in (ANSWERS, VARIABLE, *IDS):
        assert TextSpace.from_dict(json.loads(json.dumps(asdict(space)))) == space


@pytest.mark.parametrize("name", ["eos", "bos", "pad", "unknown", "turn"])
def test_an_id_beyond_the_vocabulary_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 4"):
        TextSpace(**{"vocabulary": 4, "length": 3, name: 4})


def test_the_id_between_turns_is_never_written() -> None:
    space = TextSpace(6, 3, eos=1, unknown=2, turn=5, source=SOURCE, shares_vocabulary=True)
    assert space.unwritten == (0, 5)
    assert space.special == (0, 1, 2, 5)
    assert TextSpace.from_dict(json.loads(json.dumps(asdict(space)))) == space


def test_vocabularies_that_are_shared_are_of_one_size() -> None:
    with pytest.raises(ValueError, match="shares_vocabulary: 7 words here and 6"):
        TextSpace(7, 3, source=SOURCE, shares_vocabulary=True)
    with pytest.raises(ValueError, match="shares_vocabulary: 7 words here and no source"):
        TextSpace(7, 3, shares_vocabulary=True)


def test_equal_sources_have_one_number() -> None:
    condition = Condition(source=sources()[torch.tensor([1, 0, 0, 1])])
    assert condition.sources is not None
    result = condition.sources.tolist()
    assert result[0] == result[3] != result[1] == result[2]
    assert UNCONDITIONAL.sources is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Text("abc", "d"), "tokens = a str: give a tensor (B, T)"),
        (lambda: Text(torch.zeros(3), torch.ones(3)), "tokens = a Tensor of shape (3,): give"),
        (lambda: Text(torch.zeros(2, 3), [9, 9]), "lengths = a list of 2: give a tensor (2,)"),
        (lambda: Text(torch.zeros(2, 3), torch.ones(3)), "lengths = a Tensor of shape (3,): give"),
        (lambda: Condition("a"), "labels = a str: give a tensor (B,), or None"),
        (lambda: Condition(None, "a"), "source = a str: give a Text, or None"),
        (lambda: TextSpace(3, "x"), "length = 'x': give a whole number from 1"),
        (lambda: TextSpace(-1, 3), "vocabulary = -1: give a whole number from 1"),
        (lambda: TextSpace(3, 3, classes=True), "classes = True: give a whole number from 0"),
    ],
)
def test_what_is_no_text_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_exchanged_sources_are_those_of_the_texts_after() -> None:
    texts = Text.full(torch.arange(6).view(3, 2))
    given = replace(texts, condition=Condition(torch.tensor([0, 1, 2]), texts))
    result = exchange_sources(given)
    assert result.source is not None and result.source.tolist() == [[2, 3], [4, 5], [0, 1]]
    assert result.tolist() == given.tolist() and result.labels is given.labels
    with pytest.raises(ValueError, match="need one"):
        exchange_sources(texts)


def test_keys_are_of_texts_and_not_of_their_padding() -> None:
    texts = enumerate_texts(TextSpace(5, 4, eos=1))
    keys = text_keys(texts)
    assert len(keys.unique()) == len(texts)
    scribbled = texts.pad_to(7)
    scribbled.tokens[~scribbled.mask] = 3
    assert torch.equal(text_keys(scribbled), keys)
    swapped = Text.full(torch.tensor([[2, 3], [3, 2], [2, 3]]))
    first, second, third = text_keys(swapped).tolist()
    assert first == third != second
