"""What every generator that answers a source keeps: G1 to G8 of its contract, and more.

Each promise is a function of the generator's name, tried in float64 on two worlds that are written
down: sources and answers that end, and some that do not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from worlds import (
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    one_hot,
    probabilities,
    same,
    small_generator,
    texts_of,
)

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.data.text import Condition, Text, TextSpace
from textgan.losses import nll
from textgan.models.draw import draw_texts
from textgan.models.generators.base import AutoregressiveGenerator, State
from textgan.models.rollout import roll_out
from textgan.models.sampling import greedy

ENDING = TextSpace(4, 3, eos=1, source=TextSpace(6, 4, eos=5, bos=2, pad=3))
UNENDING = TextSpace(3, 3, source=TextSpace(4, 2))
SOURCES = {
    # of one token, of all there may be, and between
    ENDING: [(5,), (0, 4, 1, 5), (4, 5), (1, 0, 4, 1), (4, 1, 5)],
    UNENDING: [(0, 3), (3, 0), (1, 1), (2, 3)],
}


def sources(space: TextSpace) -> Text:
    """Sources of all lengths."""
    assert space.source is not None
    return texts_of(space.source, SOURCES[replace(space, classes=0)])


def answers(space: TextSpace, seed: int = 0) -> Text:
    """All texts of the space in a random order, in answer to one source after the other."""
    texts, asked = enumerate_texts(space), sources(space)
    random = torch.Generator().manual_seed(seed)
    texts = texts[torch.randperm(len(texts), generator=random)]
    which = torch.arange(len(texts)) % len(asked)
    labels = which % space.classes if space.classes else None
    return replace(texts, condition=Condition(labels, asked[which]))


def all_answers(space: TextSpace, which: int) -> Text:
    """Every text of the space in answer to one source."""
    texts = enumerate_texts(space)
    return replace(
        texts, condition=Condition(source=sources(space)[torch.full((len(texts),), which)])
    )


def each_of(texts: Text) -> Iterator[tuple[int, list[int], list[int]]]:
    """The number of a text, the words of its source, and the symbol before each of its tokens."""
    source = texts.condition.require_source()
    for i, (words, tokens) in enumerate(zip(source.tolist(), texts.tolist(), strict=True)):
        yield i, words, [ENDING.bos, *tokens[:-1]]


def stepped(generator: AutoregressiveGenerator, text: Text) -> Tensor:
    """Logits (B, T, V), reading one symbol after another."""
    state = generator.start(len(text), text.condition)
    symbol = torch.full_like(text.lengths, generator.space.bos)
    logits = []
    for following in text.tokens.unbind(1):
        each, state = generator.step(symbol, state)
        logits.append(each)
        symbol = following
    return torch.stack(logits, 1)


def g1_forward_equals_step(name: str) -> None:
    for space in (ENDING, UNENDING, replace(ENDING, classes=2)):
        generator, texts = small_generator(space, name), answers(space)
        mask = texts.mask
        assert same(generator(texts)[mask], stepped(generator, texts)[mask])
        rows = one_hot(texts, space)
        assert same(
            generator(replace(rows, condition=texts.condition))[mask], generator(texts)[mask]
        )
        generator.float()
        ours, theirs = generator(texts)[mask], stepped(generator, texts)[mask]
        assert same(ours.log_softmax(1), theirs.log_softmax(1), 2e-6)


def g2_padding_of_a_source_changes_nothing(name: str) -> None:
    for space in (ENDING, UNENDING):
        generator, texts = small_generator(space, name), answers(space)
        source = texts.condition.require_source()
        logits = generator(texts)
        widths = [source.tokens.shape[1], 9]
        for width in widths:
            # whatever is written there, end tokens too
            padded = source.pad_to(width)
            scribbled = torch.randint(space.source.vocabulary, padded.tokens.shape)  # type: ignore[union-attr]
            other = replace(padded, tokens=torch.where(padded.mask, padded.tokens, scribbled))
            again = replace(texts, condition=Condition(source=other))
            assert same(generator(again)[texts.mask], logits[texts.mask])
            a, b = (log_probs(generator, text).sum() for text in (texts, again))
            assert same(gradient(a, generator), gradient(b, generator))


def g3_a_text_does_not_depend_on_its_batch(name: str) -> None:
    for space in (ENDING, UNENDING):
        generator, texts = small_generator(space, name), answers(space)
        order, logits = torch.randperm(len(texts)), generator(texts)
        mask = texts.mask[order]
        assert same(generator(texts[order])[mask], logits[order][mask])
        alone = torch.cat([generator.score(texts[i : i + 1]) for i in range(len(texts))])
        assert same(alone, generator.score(texts))


def g4_attention_is_a_distribution_over_the_source(name: str) -> None:
    for space in (ENDING, UNENDING):
        generator, texts = small_generator(space, name), answers(space)
        source = texts.condition.require_source()
        weights = generator.weights(texts)  # type: ignore[operator]
        assert weights.shape == (*texts.tokens.shape, source.tokens.shape[1])
        weights = weights[texts.mask]
        real = source.mask.unsqueeze(1).expand(*texts.tokens.shape, -1)[texts.mask]
        assert same(weights.sum(1), torch.ones(len(weights), dtype=torch.float64))
        assert (weights[~real] == 0).all()
        assert (weights[real] > 0).all()
        single = real.sum(1) == 1
        assert (weights[single].amax(1) == 1).all()
        if space is ENDING:
            assert single.any()
        assert weights[~single].std() > 0.01


def g5_another_source_gives_other_logits(name: str) -> None:
    for space in (ENDING, UNENDING):
        generator = small_generator(space, name)
        ask = sources(space)
        text = enumerate_texts(space)[-1:]
        logits = [
            generator(replace(text, condition=Condition(source=ask[i : i + 1])))
            for i in range(len(ask))
        ]
        for i in range(len(ask)):
            for j in range(i):
                assert not same(logits[i], logits[j], 1e-4)


def g6_forking_then_stepping_is_stepping_then_forking(name: str) -> None:
    for space in (ENDING, UNENDING, replace(ENDING, classes=2)):
        generator, asked = small_generator(space, name), sources(space)
        labels = torch.arange(len(asked)) % 2 if space.classes else None
        state = generator.start(len(asked), Condition(labels, asked))
        symbol = torch.arange(len(asked)) % space.vocabulary
        for forks in (
            torch.tensor([3, 0, 0, 2]),
            # so many that those of one source are brought together, of some none
            torch.tensor([3, 0, 1, 1, 3] * 9),
        ):
            forked, after = generator.step(symbol[forks], state[forks])
            whole, one = generator.step(symbol, state)
            assert same(forked, whole[forks])
            forked, _ = generator.step(symbol[forks], after)
            whole, _ = generator.step(symbol, one)
            assert same(forked, whole[forks])
            # as rollouts join
            joined, _ = generator.step(torch.cat([symbol[forks], symbol]), after.join(one))
            assert same(joined, torch.cat([whole[forks], whole]))
            _has_copied_nothing(state, after.join(one))


def _has_copied_nothing(before: State, after: State) -> None:
    assert after.shared
    assert all(a is b for a, b in zip(before.shared, after.shared, strict=True))


def g7_the_law_given_a_source_is_a_law(name: str) -> None:
    for space in (ENDING, UNENDING):
        generator = small_generator(space, name)
        laws = [probabilities(generator, all_answers(space, which)) for which in (1, 2)]
        for which, law in zip((1, 2), laws, strict=True):
            assert same(law.sum(), torch.tensor(1.0, dtype=torch.float64))
            condition = Condition(source=sources(space)[torch.full((5000,), which)])
            sample = draw_texts(generator, 5000, condition=condition)
            assert agree(counts_of(sample, space), law)
        # and as rollouts draw: completions of one token, many of each source
        texts = replace(
            texts_of(space, [(2, 2, 2)] * 2),
            condition=Condition(source=sources(space)[torch.tensor([1, 2])]),
        )
        grown = roll_out(generator, texts, 3000)
        every = enumerate_texts(space)
        for which, law in enumerate(laws):
            these = grown.text[(grown.kept == 1) & (grown.origin == which)]
            given = law * (every.tokens[:, 0] == 2)
            assert agree(counts_of(these, space), given / given.sum())
        assert (laws[0] - laws[1]).abs().sum() > 0.1


def gradients_reach_all_weights(name: str) -> None:
    for space in (ENDING, UNENDING, replace(ENDING, classes=2)):
        generator, texts = small_generator(space, name), answers(space)
        nll(generator.log_prob(texts), texts.mask, "mean_token").backward()
        for key, weight in generator.named_parameters():
            assert not weight.requires_grad or weight.grad.any(), key  # type: ignore[union-attr]


def gradients_are_those_of_finite_differences(name: str) -> None:
    generator, texts = small_generator(ENDING, name), answers(ENDING)
    weights = [weight for weight in generator.parameters() if weight.requires_grad]

    def value() -> Tensor:
        return log_probs(generator, texts).cos().sum()

    slopes = torch.autograd.grad(value(), weights)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            way = torch.randn_like(weight)
            ends = []
            for step in (1e-5, -2e-5):
                weight += step * way
                ends.append(value())
            weight += 1e-5 * way
            expected = (slope * way).sum()
            assert abs((ends[0] - ends[1]) / 2e-5 - expected) < 1e-7 * (1 + abs(expected))


def a_source_may_be_relaxed(name: str) -> None:
    generator, texts = small_generator(UNENDING, name), answers(UNENDING)
    source = texts.condition.require_source()
    rows = one_hot(source, UNENDING.source)  # type: ignore[arg-type]
    relaxed = replace(texts, condition=Condition(source=rows))
    assert same(generator(relaxed), generator(texts))


def dropout_is_of_training_alone(name: str) -> None:
    generator, texts = small_generator(ENDING, name, dropout=0.5), answers(ENDING)
    assert torch.equal(generator(texts), generator(texts))
    generator.train()
    assert not torch.equal(generator(texts), generator(texts))


def lower_precision_is_near(name: str) -> None:
    generator, texts = small_generator(ENDING, name).float(), answers(ENDING)
    exact = generator.log_prob(texts)[texts.mask]
    with torch.autocast("cpu", torch.bfloat16):  # as a GPU does it
        rough = generator.log_prob(texts)[texts.mask]
        rough.sum().backward()
        sample = draw_texts(generator, 5, condition=texts.condition[:5])
    assert not torch.equal(exact, rough)
    assert torch.allclose(exact, rough, atol=0.2)
    assert len(sample) == 5


def an_accelerators_way_gives_the_same(name: str) -> None:
    """Where nothing may be asked of the data, all texts take all steps."""
    results = []
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            generator, texts = small_generator(ENDING, name), answers(ENDING)
            logits = generator(texts)[texts.mask]
            slopes = gradient(log_probs(generator, texts).sum(), generator)
            forks = torch.arange(70) % 3
            state = generator.start(len(texts), texts.condition)[forks]
            results.append((logits, slopes, generator.step(forks, state)[0]))
            for module in ("by_source", "recurrence", "attention"):
                name_there = f"textgan.models.generators.{module}.is_asynchronous"
                patch.setattr(name_there, lambda tensor: True)
    assert all(same(ours, theirs) for ours, theirs in zip(*results, strict=True))


def texts_without_a_source_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="answers a source, and these texts have none"):
        registry.build("generator", name, {}, replace(ENDING, source=None))
    with pytest.raises(UserError, match="have a vocabulary each"):
        registry.build("generator", name, {"shared_embedding": True}, ENDING)
    generator = small_generator(ENDING, name)
    with pytest.raises(ValueError, match="need one"):
        generator.sample(2)


def one_table_may_serve_source_and_text(name: str) -> None:
    space = replace(UNENDING, source=TextSpace(3, 2), shares_vocabulary=True)
    shared = small_generator(space, name, shared_embedding=True)
    apart = small_generator(space, name)
    table = apart.embedding.weight.numel()
    sizes = [sum(part.numel() for part in one.parameters()) for one in (shared, apart)]
    assert sizes[1] - sizes[0] == table
    weights = shared.state_dict()
    apart.load_state_dict(weights | {"source_embedding.weight": weights["embedding.weight"]})
    texts = enumerate_texts(space)
    asked = texts_of(TextSpace(3, 2), [(0, 2)] * len(texts))
    texts = replace(texts, condition=Condition(source=asked))
    assert same(shared(texts), apart(texts))


PROMISES: list[Callable[[str], None]] = [
    g1_forward_equals_step,
    g2_padding_of_a_source_changes_nothing,
    g3_a_text_does_not_depend_on_its_batch,
    g4_attention_is_a_distribution_over_the_source,
    g5_another_source_gives_other_logits,
    g6_forking_then_stepping_is_stepping_then_forking,
    g7_the_law_given_a_source_is_a_law,
    gradients_reach_all_weights,
    gradients_are_those_of_finite_differences,
    a_source_may_be_relaxed,
    dropout_is_of_training_alone,
    lower_precision_is_near,
    an_accelerators_way_gives_the_same,
    texts_without_a_source_are_refused,
    one_table_may_serve_source_and_text,
]
promises = pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)


def share_reversed(name: str, words: int, steps: int, **settings: object) -> float:
    """The share of new sources of so many of 8 symbols that a generator writes from their end,
    after a training on others (G8)."""
    asked = TextSpace(9, words + 1, eos=0)
    space = replace(asked, source=asked)

    def draw(n: int) -> Text:
        tokens = torch.randint(1, 9, (n, words))
        texts = [torch.nn.functional.pad(some, (0, 1)) for some in (tokens, tokens.flip(1))]
        return replace(Text.full(texts[1]), condition=Condition(source=Text.full(texts[0])))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = registry.build("generator", name, settings, space)
        optimiser = torch.optim.Adam(generator.parameters(), 0.01)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * min(1, step / 25) * (1 - step / steps)
            text = draw(64)
            optimiser.zero_grad()
            nll(generator.log_prob(text), text.mask, "mean_token").backward()
            torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
            optimiser.step()
        new = draw(1000)
        generator.eval()
        written = draw_texts(generator, 1000, greedy, condition=new.condition)
    return float((written.tokens == new.tokens).all(1).double().mean())
