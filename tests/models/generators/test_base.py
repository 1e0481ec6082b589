from dataclasses import replace

import pytest
import torch
from answers import ANSWERS, IDS, all_answers, answering, sources
from networks import AUTOREGRESSIVE
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    Uniform,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    one_hot,
    probabilities,
    same,
    small_discriminator,
    small_generator,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.losses import nll, policy_gradient
from textgan.models.draw import draw_texts
from textgan.models.generators.base import AutoregressiveGenerator, State
from textgan.models.sampling import greedy, gumbel, softmax

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
depths = pytest.mark.parametrize("layers", [1, 2])
networks = pytest.mark.parametrize("name", AUTOREGRESSIVE)


def stepped(generator: AutoregressiveGenerator, symbols: Tensor) -> Tensor:
    """Logits (B, T, V), reading one symbol after another."""
    state = generator.start(len(symbols))
    symbol = torch.full((len(symbols),), generator.space.bos)
    if symbols.is_floating_point():
        symbol = torch.nn.functional.one_hot(symbol, symbols.shape[2]).double()
    logits = []
    for position in range(symbols.shape[1]):
        each, state = generator.step(symbol, state)
        logits.append(each)
        symbol = symbols[:, position]
    return torch.stack(logits, 1)


@worlds
@networks
@depths
def test_teacher_forcing_agrees_with_stepping(space: TextSpace, name: str, layers: int) -> None:
    generator, texts = small_generator(space, name, layers=layers), enumerate_texts(space)
    logits = generator(texts)
    assert logits.shape == (*texts.tokens.shape, space.vocabulary)
    # what is at padding means nothing
    assert same(logits[texts.mask], stepped(generator, texts.tokens)[texts.mask])
    mixed = torch.rand(4, space.length, space.vocabulary, dtype=torch.float64).softmax(2)
    relaxed = Text(mixed.argmax(2), torch.full((4,), space.length), mixed)
    assert same(generator(relaxed), stepped(generator, mixed))


@worlds
@networks
@depths
def test_a_token_sees_only_those_before_it(space: TextSpace, name: str, layers: int) -> None:
    generator = small_generator(space, name, layers=layers)
    tokens = torch.full((1, space.length), 2)
    before = generator(Text.full(tokens))
    for position in range(space.length):
        other = tokens.clone()
        other[0, position] = 1
        after = generator(Text.full(other))
        assert same(after[:, : position + 1], before[:, : position + 1])
        if position + 1 < space.length:
            assert not same(after[:, position + 1 :], before[:, position + 1 :])


@worlds
@networks
@depths
def test_rows_that_are_not_relaxed_score_like_tokens(
    space: TextSpace, name: str, layers: int
) -> None:
    generator, texts = small_generator(space, name, layers=layers), enumerate_texts(space)
    rows, tokens = generator(one_hot(texts, space)), generator(texts)
    assert same(rows[texts.mask], tokens[texts.mask])
    relaxed = generator.log_prob(one_hot(texts, space))
    assert same(relaxed[texts.mask], generator.log_prob(texts)[texts.mask])


@worlds
@networks
@depths
def test_log_probabilities_are_those_of_a_distribution(
    space: TextSpace, name: str, layers: int
) -> None:
    generator, texts = small_generator(space, name, layers=layers), enumerate_texts(space)
    chances = generator.score(texts).exp()
    assert abs(chances.sum().item() - 1) < 1e-12
    assert same(chances, probabilities(generator, texts))
    assert chances.max() > 1.3 * chances.mean()  # not merely the uniform one


def test_a_uniform_generator_has_the_log_probabilities_it_should() -> None:
    fixed, variable = Uniform(FIXED), Uniform(VARIABLE)
    three = torch.tensor(3.0, dtype=torch.float64).log()
    assert same(fixed.score(enumerate_texts(FIXED)), -3 * three.expand(27))
    texts = enumerate_texts(VARIABLE)
    assert same(variable.score(texts), -three * texts.lengths)


@networks
def test_scores_do_not_depend_on_the_pieces(name: str) -> None:
    generator, texts = small_generator(VARIABLE, name), enumerate_texts(VARIABLE)
    whole = generator.score(texts)
    assert not whole.requires_grad
    generator.scored_at_once = 4 * 12  # four texts of 3 * 4 logits
    assert same(generator.score(texts), whole)
    generator.scored_at_once = 1
    assert same(generator.score(texts), whole)


@networks
def test_padding_has_probability_zero_and_is_never_written(name: str) -> None:
    generator, texts = small_generator(VARIABLE, name), enumerate_texts(VARIABLE)
    assert not generator(texts).softmax(2)[:, :, generator.space.pad].any()
    generator.output.bias.data[generator.space.pad] = 100.0  # however much it would like to
    assert not generator(texts).softmax(2)[:, :, generator.space.pad].any()
    sample = draw_texts(generator, 3000)
    assert (sample.tokens[sample.mask] != generator.space.bos).all()
    assert (sample.tokens[~sample.mask] == generator.space.pad).all()
    with torch.no_grad():
        relaxed = generator.sample(5, choose=softmax)
    assert relaxed.soft_tokens is not None
    assert not relaxed.soft_tokens[:, 0, generator.space.pad].any()
    # relaxed text is padded as far as it has ended: nothing else puts weight on padding
    going_on = 1 - relaxed.soft_tokens[:, 0, 1]
    assert same(relaxed.soft_tokens[:, 1, generator.space.pad], 1 - going_on)


@networks
def test_rows_of_hard_text_end_as_words_do(name: str) -> None:
    generator = small_generator(VARIABLE, name)

    def one(logits: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(logits.argmax(1), 4).double()

    with torch.no_grad():
        for seed in range(4):  # other weights, other ends
            generator.output.bias.data = torch.randn(4, dtype=torch.float64) * seed
            hard = generator.sample(3, choose=greedy)
            for reads_words in (False, True):
                rows = generator.sample(3, choose=one, reads_words=reads_words).soft_tokens
                assert rows is not None
                assert torch.equal(rows.argmax(2), hard.tokens)
                assert rows.amax(2).min() == 1


@networks
def test_gumbel_rows_have_the_generators_frequencies(name: str) -> None:
    generator, texts = small_generator(FIXED, name), enumerate_texts(FIXED)
    with torch.no_grad():
        text = generator.sample(30_000, choose=gumbel(0.7), reads_words=True)
    assert agree(counts_of(Text.full(text.tokens), FIXED), probabilities(generator, texts))


@worlds
@networks
def test_samples_have_the_frequencies_that_scores_say(space: TextSpace, name: str) -> None:
    generator, texts = small_generator(space, name, layers=2), enumerate_texts(space)
    sample = draw_texts(generator, 30_000)
    assert agree(counts_of(sample, space), probabilities(generator, texts))
    again = Text.ended(sample.tokens, space)
    assert torch.equal(again.lengths, sample.lengths)
    assert sample.tokens.shape == (30_000, space.length)
    other = small_generator(space, name, layers=2, seed=1)
    assert not agree(counts_of(sample, space), probabilities(other, texts))


@worlds
@networks
@pytest.mark.parametrize("given", [1, 2])
def test_a_prefix_is_kept_marked_and_continued(space: TextSpace, name: str, given: int) -> None:
    generator, texts = small_generator(space, name), enumerate_texts(space)
    prefix = torch.tensor([[2, 2]])[:, :given]
    with torch.no_grad():
        sample = generator.sample(20_000, prefix=prefix.expand(20_000, -1))
    assert sample.prompt_length == given
    assert (sample.tokens[:, :given] == prefix).all()
    chances = probabilities(generator, texts) * (texts.tokens[:, :given] == prefix).all(1)
    assert agree(counts_of(sample, space), chances / chances.sum())


def test_a_prefix_of_all_tokens_is_the_text() -> None:
    prefix = enumerate_texts(FIXED).tokens
    sample = small_generator(FIXED).sample(27, prefix=prefix)
    assert torch.equal(sample.tokens, prefix)
    assert sample.prompt_length == 3


def test_a_prefix_that_has_ended_is_not_continued() -> None:
    prefix = torch.tensor([[2, 1], [1, 2], [3, 3]])
    sample = small_generator(VARIABLE).sample(3, prefix=prefix)
    assert sample.tokens[:2].tolist() == [[2, 1, 0], [1, 0, 0]]
    assert sample.lengths.tolist() == [2, 1, 3]


@worlds
@networks
def test_a_relaxed_text_may_continue_a_prefix(space: TextSpace, name: str) -> None:
    generator = small_generator(space, name)
    last = space.vocabulary - 1
    prefix = torch.tensor([[2, last], [last, 2]])
    sample = generator.sample(2, choose=softmax, prefix=prefix)
    assert sample.soft_tokens is not None
    assert sample.prompt_length == 2
    assert sample.soft_tokens.shape == (2, space.length, space.vocabulary)
    assert torch.equal(sample.soft_tokens[:, :2].argmax(2), prefix)
    whole = Text.full(torch.cat([prefix, prefix[:, :1]], 1))
    assert same(sample.soft_tokens[:, 2], generator(whole).softmax(2)[:, 2])


@networks
def test_without_a_prefix_nothing_is_given(name: str) -> None:
    assert small_generator(FIXED, name).sample(2).prompt_length == 0


@worlds
@networks
def test_greedy_texts_are_made_of_the_likeliest_tokens(space: TextSpace, name: str) -> None:
    generator = small_generator(space, name)
    sample = generator.sample(2, choose=greedy)
    likeliest = generator(sample).argmax(2)
    assert torch.equal(sample.tokens[sample.mask], likeliest[sample.mask])
    assert torch.equal(sample.tokens[0], sample.tokens[1])


@worlds
@networks
def test_relaxed_texts_are_differentiable_and_have_no_length(space: TextSpace, name: str) -> None:
    generator = small_generator(space, name)
    sample = generator.sample(4, choose=softmax)
    assert sample.soft_tokens is not None
    assert sample.soft_tokens.shape == (4, space.length, space.vocabulary)
    assert same(sample.soft_tokens.sum(2), torch.ones(4, space.length, dtype=torch.float64))
    assert torch.equal(sample.tokens, sample.soft_tokens.argmax(2))
    assert sample.lengths.tolist() == [space.length] * 4
    sample.soft_tokens.square().sum().backward()
    for parameter in generator.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        assert parameter.grad is None or parameter.grad.any()


@networks
def test_the_gradient_of_a_relaxed_text_is_right(name: str) -> None:
    generator = small_generator(FIXED, name)
    weight = generator.output.weight

    def judged() -> Tensor:
        rows = generator.sample(1, choose=softmax).soft_tokens
        assert rows is not None
        return (rows.sin() * torch.arange(9.0).view(3, 3)).sum()

    (slope,) = torch.autograd.grad(judged(), weight)
    step = 1e-6
    with torch.no_grad():
        weight[1, 0] += step
        high = judged()
        weight[1, 0] -= 2 * step
        low = judged()
    assert abs(((high - low) / (2 * step) - slope[1, 0]).item()) < 1e-8


@networks
def test_nothing_is_recorded_without_gradients(name: str) -> None:
    generator = small_generator(VARIABLE, name)
    with torch.no_grad():
        sample = generator.sample(3, choose=softmax)
        assert not generator.score(enumerate_texts(VARIABLE)).requires_grad
    assert sample.soft_tokens is not None
    assert not sample.soft_tokens.requires_grad
    drawn = draw_texts(generator, 3, softmax)
    assert drawn.soft_tokens is not None
    assert not drawn.soft_tokens.requires_grad
    assert torch.is_grad_enabled()


@networks
@pytest.mark.parametrize("width", [4, 9])
def test_padding_changes_no_likelihood_and_no_gradient(name: str, width: int) -> None:
    generator, texts = small_generator(VARIABLE, name, layers=2), enumerate_texts(VARIABLE)
    longer = texts.pad_to(width)
    assert same(
        generator.log_prob(longer)[:, :3][texts.mask], generator.log_prob(texts)[texts.mask]
    )
    assert same(generator.score(longer), generator.score(texts))
    weights = torch.rand(15, width, dtype=torch.float64)
    for reduction in ("sum", "mean_sentence", "mean_token"):
        plain = [
            nll(generator.log_prob(texts), texts.mask, reduction),
            policy_gradient(generator.log_prob(texts), weights[:, :3], texts.mask, reduction),
        ]
        padded = [
            nll(generator.log_prob(longer), longer.mask, reduction),
            policy_gradient(generator.log_prob(longer), weights, longer.mask, reduction),
        ]
        for a, b in zip(plain, padded, strict=True):
            assert same(a, b)
            assert same(gradient(a, generator), gradient(b, generator))


@networks
def test_what_stands_at_padding_does_not_matter(name: str) -> None:
    generator, texts = small_generator(VARIABLE, name), enumerate_texts(VARIABLE)
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    a, b = log_probs(generator, texts), log_probs(generator, scribbled)
    assert same(a, b)
    assert same(gradient(a.sum(), generator), gradient(b.sum(), generator))


@worlds
@networks
def test_maximum_likelihood_finds_the_distribution_of_the_data(space: TextSpace, name: str) -> None:
    # where the generator already is the data, the gradient of the expected nll is zero
    generator, texts = small_generator(space, name), enumerate_texts(space)
    chances = probabilities(generator, texts)
    at_itself = gradient(-(chances * log_probs(generator, texts)).sum(), generator)
    assert at_itself.abs().max() < 1e-12
    elsewhere = gradient(-(chances.flip(0) * log_probs(generator, texts)).sum(), generator)
    assert elsewhere.norm() > 1e-2


@networks
def test_a_generator_does_not_know_an_id_by_its_number(name: str) -> None:
    """A language with its ids exchanged, weights and all, has the same law."""
    space = IDS[2]
    order = torch.tensor([2, 3, 0, 0, 1])  # new id to old one; begin and padding are one there
    generator, other = small_generator(VARIABLE, name), small_generator(space, name)
    weights = generator.state_dict()
    judge = small_discriminator(VARIABLE)

    def leak(text: Text) -> Tensor:
        return judge.features(replace(text, tokens=order[text.tokens]))

    if name == "leak":
        other.leak = leak  # type: ignore[assignment]
        generator.leak = judge.features  # type: ignore[assignment]
    for key in ("embedding.weight", "output.weight", "output.bias"):
        weights[key] = weights[key][order]
    other.load_state_dict(weights)
    # an id that is never written costs nothing, so that there is one more changes no chance
    texts = enumerate_texts(space)
    known = replace(texts, tokens=torch.where(texts.mask, order[texts.tokens], 0))
    assert same(log_probs(other, texts), log_probs(generator, known))


@pytest.mark.parametrize("which", [0, 1])
def test_the_law_given_a_source_is_a_law(which: int) -> None:
    generator, texts = answering(), all_answers(which)
    chances = probabilities(generator, texts)
    assert same(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    condition = Condition(source=sources()[torch.full((5000,), which)])
    sample = draw_texts(generator, 5000, condition=condition)
    assert agree(counts_of(sample, ANSWERS), chances)
    assert sample.source is not None and len(sample.source) == 5000
    assert not agree(counts_of(sample, ANSWERS), probabilities(generator, all_answers(1 - which)))


def test_forking_then_stepping_is_stepping_then_forking() -> None:
    generator = answering()
    state = generator.start(2, Condition(source=sources()))
    symbol, forks = torch.tensor([0, 1]), torch.tensor([1, 0, 1, 1])
    _, state = generator.step(symbol, state)
    forked, after = generator.step(symbol[forks], state[forks])
    whole, _ = generator.step(symbol, state)
    assert same(forked, whole[forks])
    joined = after.join(state[torch.tensor([0])])
    assert joined.origin is not None
    assert joined.origin.tolist() == [1, 0, 1, 1, 0]
    assert [len(part) for part in joined.carried] == [5]
    assert all(a is b for a, b in zip(joined.shared, state.shared, strict=True))


def test_a_state_in_which_nothing_is_shared_has_no_origin() -> None:
    state = State((torch.zeros(3, 2),))
    assert state.origin is None
    assert state[torch.tensor([0, 0])].join(state).origin is None
