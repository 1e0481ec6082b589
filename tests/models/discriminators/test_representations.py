"""The discriminator that sees each text in many representations."""

from typing import Any

import pytest
import torch
from networks import judging
from worlds import FIXED, VARIABLE, WORLDS, enumerate_texts, one_hot, same, texts_of

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.representations import RepresentationsDiscriminator

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])


@worlds
def test_opinions_by_hand(space: TextSpace) -> None:
    judge, texts = judging(space), enumerate_texts(space)
    vectors = judge.embedding.weight.view(-1, 5, 2)
    opinions = judge.view_scores(texts)
    assert opinions.shape == (len(texts), 5)
    for row, (tokens, size) in enumerate(
        zip(texts.tokens.tolist(), texts.lengths.tolist(), strict=True)
    ):
        for view in range(5):
            pooled = []
            sentence = vectors[tokens[:size], view]
            for convolution in judge.convolutions:
                width = convolution.kernel_size[0]
                missing = sentence.new_zeros(max(0, width - size), 2)
                extended = torch.cat([sentence, missing])
                windows = [
                    (extended[start : start + width].t() * convolution.weight).sum((1, 2))
                    for start in range(len(extended) - width + 1)
                ]
                pooled.append((torch.stack(windows) + convolution.bias).amax(0).relu())
            features = judge.hidden(judge.highway(torch.cat(pooled)[None]))
            assert same(judge.features(texts[row : row + 1])[:, view], features)
            assert same(judge.output(features)[0, 0], opinions[row, view])
    assert same(judge(texts), opinions.mean(1))


@worlds
def test_a_representation_sees_only_its_own_part_of_the_embedding(space: TextSpace) -> None:
    judge, texts = judging(space), enumerate_texts(space)
    before = judge.view_scores(texts)
    for dimension in range(10):
        with torch.no_grad():
            judge.embedding.weight[:, dimension] += torch.tensor([0.3, 0.5, -0.4, 0.2])[
                : space.vocabulary
            ]
        after = judge.view_scores(texts)
        moved = (after != before).any(0).nonzero().flatten().tolist()
        assert moved == [dimension // 2]
        before = after


def test_representations_share_everything_but_their_embeddings() -> None:
    judge, texts = judging(FIXED), enumerate_texts(FIXED)
    with torch.no_grad():
        judge.embedding.weight[:, 6:8] = judge.embedding.weight[:, 0:2]
    opinions = judge.view_scores(texts)
    assert same(opinions[:, 3], opinions[:, 0])
    assert not same(opinions[:, 1], opinions[:, 0], 1e-3)


@worlds
def test_words_and_their_rows_have_the_same_opinions(space: TextSpace) -> None:
    judge, texts = judging(space), enumerate_texts(space)
    texts = texts[texts.lengths == space.length]  # to rows, padding is a symbol like the others
    assert same(judge.view_scores(one_hot(texts, space)), judge.view_scores(texts))


@pytest.mark.parametrize("width", [4, 7])
def test_padding_changes_no_opinion(width: int) -> None:
    judge, texts = judging(VARIABLE), enumerate_texts(VARIABLE)
    right = judge.view_scores(texts)
    assert same(judge.view_scores(texts.pad_to(width)), right)
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    assert same(judge.view_scores(scribbled), right)
    assert not same(judge.view_scores(one_hot(texts, VARIABLE)), right, 1e-3)


@worlds
def test_opinions_do_not_depend_on_the_pieces(space: TextSpace) -> None:
    judge, texts = judging(space), enumerate_texts(space)
    right = judge.view_scores(texts)
    for at_once in (1, 20):  # one text, four texts
        judge.views_at_once = at_once
        assert same(judge.view_scores(texts), right)


def test_each_class_has_a_score_in_every_representation() -> None:
    judge = judging(TextSpace(4, 3, classes=3))
    tokens = torch.tensor([[1, 2, 3], [0, 0, 2]])
    labels = torch.tensor([2, 0])
    text = Text(tokens, torch.tensor([3, 3]), condition=Condition(labels))
    scores = judge.output(judge.features(text))
    assert scores.shape == (2, 5, 3)
    assert same(judge.view_scores(text), torch.stack([scores[0, :, 2], scores[1, :, 0]]))
    assert same(judge.class_logits(text), scores.mean(1))


def test_the_papers_discriminator_is_as_large_as_the_codes() -> None:
    judge = RepresentationsDiscriminator(TextSpace(5000, 20))
    weights = 5000 * 64 + 300 * (2 + 3 + 4 + 5) + 1200
    weights += 2 * (1200 * 1200 + 1200)  # highway; the code's has no biases
    weights += 1200 * 100 + 100 + 1  # the code's linear layer has a second bias, of no effect
    assert sum(part.numel() for part in judge.parameters()) == weights
    assert judge.view_scores(Text.full(torch.randint(5000, (2, 20)))).shape == (2, 64)
    assert judge.convolutions[3].weight.abs().max() <= 2 * (2 / 5) ** 0.5
    assert judge.embedding.weight.abs().max() <= 2 * 5000**-0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": [2, 3]}, "sizes has 2 entries and counts 4"),
        ({"sizes": [2, 21], "counts": [4, 5]}, "filter of size 21 does not fit texts of 20 tokens"),
    ],
)
def test_filters_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RepresentationsDiscriminator(TextSpace(50, 20), **settings)


def test_filters_reach_into_short_texts() -> None:
    judge = judging(VARIABLE, sizes=[3], counts=[4])
    texts = texts_of(VARIABLE, [(1,), (2, 1), (3, 1)])
    assert len(judge.view_scores(texts).unique(dim=0)) == 3
