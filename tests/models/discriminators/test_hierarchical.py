"""The hierarchical discriminator, utterance by utterance."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from worlds import SOURCES, VARIABLE, judged, same, some_sources, texts_of

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.hierarchical import HierarchicalDiscriminator, split_utterances

SPACE = replace(VARIABLE, source=SOURCES)


def make(space: TextSpace = SPACE) -> tuple[HierarchicalDiscriminator, Text]:
    judge, texts = judged(space, "hierarchical")
    assert isinstance(judge, HierarchicalDiscriminator)
    return judge, texts


def last(network: nn.LSTM, vectors: Tensor) -> Tensor:
    """The last state (H,) of a network that read vectors (T, E)."""
    states: Tensor = network(vectors)[0]
    return states[-1]


def by_hand(
    judge: HierarchicalDiscriminator, utterances: list[list[int]], answer: list[int]
) -> Tensor:
    tables = [*[judge.source_words] * len(utterances), judge.embedding]
    read = [
        last(judge.words, table.weight[words])
        for table, words in zip(tables, [*utterances, answer], strict=True)
    ]
    return last(judge.utterances, torch.stack(read))


def test_utterances_end_at_turns() -> None:
    utterances, counts = split_utterances(some_sources(), SOURCES)
    assert counts.tolist() == [2, 2, 1, 1, 1, 3, 2]
    assert utterances.tolist() == [
        [3, 2], [4, 1], [4, 2], [3, 1], [3, 1], [1], [4, 4, 3, 1], [2], [2], [4, 1], [3, 2], [4, 2],
    ]  # fmt: skip
    whole, counts = split_utterances(some_sources(), replace(SOURCES, turn=None))
    assert whole.tolist() == some_sources().tolist()
    assert counts.tolist() == [1] * 7
    # the number of a turn at padding is no turn
    scribbled = Text(torch.tensor([[3, 1, 2, 2]]), torch.tensor([2]))
    assert split_utterances(scribbled, SOURCES)[0].tolist() == [[3, 1]]


def test_features_are_the_last_state_over_the_last_states() -> None:
    judge, texts = make()
    features, source = judge.features(texts), texts.source
    assert source is not None
    for row, (words, answer) in enumerate(zip(source.tolist(), texts.tolist(), strict=True)):
        utterances: list[list[int]] = [[]]
        for at, word in enumerate(words):
            utterances[-1].append(word)
            if word == SOURCES.turn and at + 1 < len(words):
                utterances.append([])
        assert same(features[row], by_hand(judge, utterances, answer))


def test_the_order_of_utterances_matters() -> None:
    judge, texts = make()
    two = texts_of(SOURCES, [(3, 2, 4, 2), (4, 2, 3, 2)])
    answers = texts[3:4].repeat(2)
    first, second = judge(replace(answers, condition=Condition(source=two)))
    assert (first - second).abs() > 1e-6


def test_padding_inside_an_utterance_changes_nothing() -> None:
    """A short utterance beside a long one of another source, and alone."""
    judge, texts = make()
    sources = texts_of(SOURCES, [(3, 2, 4, 1), (4, 4, 3, 1)])
    both = judge(replace(texts[2:4], condition=Condition(source=sources)))
    for row in (0, 1):
        alone = replace(
            texts[2 + row : 3 + row], condition=Condition(source=sources[row : row + 1])
        )
        assert same(judge(alone), both[row : row + 1])


def test_the_context_is_read_once_for_all_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, texts = make()
    encode, seen = judge.encode_source, []
    monkeypatch.setattr(judge, "encode_source", lambda text: seen.append(len(text)) or encode(text))
    words: list[int] = []
    judge.words.register_forward_hook(lambda _, read, __: words.append(read[0].shape[0]))
    judge.prefix_scores(texts)
    assert seen == [7]
    assert words[0] == len(texts)


def test_sizes_are_those_of_its_settings() -> None:
    judge = HierarchicalDiscriminator(TextSpace(20, 5, eos=1, source=SOURCES))
    assert judge.words.input_size == 64
    assert (
        judge.words.hidden_size == judge.utterances.hidden_size == judge.output.in_features == 128
    )
    released = HierarchicalDiscriminator(
        TextSpace(20, 5, eos=1, source=SOURCES), embedding=512, hidden=512
    )
    lstm = 4 * (512 * 512 * 2 + 2 * 512)
    assert sum(part.numel() for part in released.words.parameters()) == lstm
