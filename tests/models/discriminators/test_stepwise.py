"""The discriminator that scores every token."""

from dataclasses import replace

import pytest
import torch
from networks import stepwise
from worlds import SOURCES, VARIABLE, WORLDS, enumerate_texts, same, some_sources

from textgan.data.text import Condition, Text, TextSpace, exchange_sources

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])

cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


@worlds
@cells
def test_a_texts_score_is_the_mean_of_its_tokens_scores(space: TextSpace, cell: str) -> None:
    judge, texts = stepwise(space, cell=cell), enumerate_texts(space)
    steps = judge.steps(texts)
    assert steps.shape == texts.tokens.shape
    assert same(judge(texts), steps.sum(1) / texts.lengths)
    assert not steps[~texts.mask].any()
    assert steps[texts.mask].all()


@worlds
@cells
def test_a_token_is_scored_from_those_up_to_it(space: TextSpace, cell: str) -> None:
    judge, texts = stepwise(space, cell=cell), enumerate_texts(space)
    steps = judge.steps(texts)
    for t in range(space.length):
        reach = texts[texts.lengths > t]
        prefixes, which = reach.tokens[:, : t + 1].unique(dim=0, return_inverse=True)
        result = steps[texts.lengths > t, t]
        assert len(prefixes) > 1
        for prefix in range(len(prefixes)):
            of_prefix = result[which == prefix]
            assert same(of_prefix, of_prefix[:1].expand_as(of_prefix))
        assert len(result.unique()) >= len(prefixes)  # and every token up to it matters


@cells
def test_padding_changes_no_step(cell: str) -> None:
    judge, texts = stepwise(VARIABLE, cell=cell), enumerate_texts(VARIABLE)
    steps = judge.steps(texts)
    longer = judge.steps(texts.pad_to(6))
    assert same(longer[:, :3], steps)
    assert not longer[:, 3:].any()
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    assert same(judge.steps(scribbled), steps)


def test_steps_of_texts_with_classes_are_those_of_their_own() -> None:
    space = TextSpace(4, 3, eos=1, classes=3)
    judge, texts = stepwise(space), enumerate_texts(space)
    with pytest.raises(ValueError, match="texts of 3 classes need labels"):
        judge.steps(texts)
    labels = torch.arange(len(texts)) % 3
    labelled = Text(texts.tokens, texts.lengths, condition=Condition(labels))
    steps = judge.steps(labelled)
    assert same(judge(labelled), steps.sum(1) / texts.lengths)
    assert same(judge.class_logits(labelled)[torch.arange(len(texts)), labels], judge(labelled))


# --- sources ---

ANSWERS = replace(VARIABLE, source=SOURCES)


def answers() -> Text:
    """Every text of the space in answer to one source or another."""
    texts, asked = enumerate_texts(ANSWERS), some_sources()
    rows = torch.arange(len(texts)) % len(asked)
    return replace(texts, condition=Condition(source=asked[rows]))


@cells
def test_every_token_is_scored_for_its_source(cell: str) -> None:
    judge, texts = stepwise(ANSWERS, cell=cell), answers()
    steps = judge.steps(texts)
    others = judge.steps(exchange_sources(texts))
    apart = (steps - others).abs()[texts.mask]
    assert (apart > 1e-9).double().mean() > 0.8  # a few have an equal source next to them
    with pytest.raises(ValueError, match="need one"):
        judge.steps(enumerate_texts(ANSWERS))


@cells
@pytest.mark.parametrize("width", [5, 7])
def test_padding_of_a_source_changes_no_step(cell: str, width: int) -> None:
    judge, texts = stepwise(ANSWERS, cell=cell), answers()
    assert texts.source is not None
    wide = texts.source.pad_to(width)
    wide.tokens[~wide.mask] = 3
    padded = replace(texts, condition=Condition(source=wide))
    assert same(judge.steps(padded), judge.steps(texts))
    alone = torch.cat([judge.steps(one) for one in texts.split(1)])
    assert same(alone, judge.steps(texts))


def test_sides_that_share_a_vocabulary_share_their_vectors() -> None:
    shared = TextSpace(5, 3, eos=1, source=SOURCES, shares_vocabulary=True)
    one, two = (stepwise(space) for space in (shared, replace(shared, shares_vocabulary=False)))
    weights = one.state_dict()
    assert two.state_dict().keys() - weights.keys() == {"source_embedding.weight"}
    two.load_state_dict(weights | {"source_embedding.weight": weights["embedding.weight"]})
    texts = replace(enumerate_texts(shared)[:7], condition=Condition(source=some_sources()))
    assert same(one(texts), two(texts))
