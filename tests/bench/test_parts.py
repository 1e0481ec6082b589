"""Both sides of the benchmark do the same work."""

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from textgan.bench.parts import Optimised, Sides
from textgan.bench.setting import BenchSetting
from textgan.bench.textbook import Textbook
from textgan.core.precision import factor_type
from textgan.data.corpus import Corpus
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import WordTokenizer
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.rollout import rollout_values


def networks(vocabulary: int, length: int) -> tuple[LSTMGenerator, CNNDiscriminator]:
    """A generator far from uniform and a discriminator without dropout that cares for words."""
    torch.manual_seed(0)
    space = TextSpace(vocabulary, length)
    generator = LSTMGenerator(space, embedding=4, hidden=4, init=1.0)
    discriminator = CNNDiscriminator(space, sizes=[1, 2], counts=[4, 4], dropout=0)
    with torch.no_grad():
        discriminator.output.weight.mul_(10)
    return generator, discriminator


def sides(batch: int) -> tuple[Optimised, Textbook]:
    """Both sides with equal weights, in a world of 6 words and 4 tokens."""
    generator, discriminator = networks(6, 4)
    textbook = Textbook(copy.deepcopy(generator), copy.deepcopy(discriminator), batch)
    return Optimised(generator, discriminator, batch), textbook


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_same_gradients(ours: nn.Module, textbook: nn.Module) -> None:
    expected = gradients(textbook)
    assert expected and any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    torch.testing.assert_close(gradients(ours), expected, rtol=1e-4, atol=1e-6)


def test_both_sides_find_the_same_bleu() -> None:
    ours, textbook = sides(4)
    texts, references = torch.randint(6, (2, 30, 7))
    found = ours.bleu(texts, references)
    assert found.shape == (4,) and found[0] > found[3] > 0
    torch.testing.assert_close(found, textbook.bleu(texts, references), rtol=0, atol=1e-12)


def test_textbook_sampling_has_exact_probabilities() -> None:
    generator, discriminator = networks(3, 3)
    torch.manual_seed(1)
    n = 20_000
    drawn = Textbook(generator, discriminator, 2000).sample(n)
    assert drawn.shape == (n, 3)
    every = torch.tensor(list(itertools.product(range(3), repeat=3)))
    expected = generator.score(Text.full(every)).exp() * n
    assert float(expected.sum()) == pytest.approx(n, rel=1e-4)
    seen = torch.bincount(drawn @ torch.tensor([9, 3, 1]), minlength=27)
    assert float(expected.min()) > 5  # where chi-square holds
    distance = float(((seen - expected).square() / expected).sum())
    assert distance < 26 + 4 * (2 * 26) ** 0.5  # mean and deviation of chi-square, 26 degrees


def test_textbook_completion_keeps_the_prefix() -> None:
    _, textbook = sides(4)
    prefix = torch.tensor([[1, 2, 3], [5, 4, 0]])
    finished = textbook.complete(prefix)
    assert finished.shape == (2, 4) and torch.equal(finished[:, :3], prefix)


@pytest.mark.torch_random
def test_textbook_values_agree_with_rollout_values() -> None:
    ours, textbook = sides(4)
    torch.manual_seed(2)
    sentences, copies, n = 4, 150, 8
    fake = draw_texts(ours.generator, sentences)
    many = fake.repeat(copies)  # independent estimates of the same values

    def reward(text: Text, origin: Tensor) -> Tensor:
        score: Tensor = ours.discriminator(text)
        return score.sigmoid()

    estimates = [
        found.unflatten(0, (sentences, copies)).double()
        for found in (
            rollout_values(ours.generator, many, reward, n),
            textbook.values(many.tokens, n),
        )
    ]
    a, b = (estimate.mean(1) for estimate in estimates)
    error = sum(estimate.var(1) / copies for estimate in estimates)
    assert isinstance(error, Tensor)
    assert float(a.std()) > 0.05  # there is something to agree on
    assert float(error[:, :-1].max()) > 0
    allowed = 4 * error.sqrt() + 1e-6  # 12 values; no error where all completions score the same
    assert ((a - b).abs() <= allowed)[:, :-1].all()
    torch.testing.assert_close(a[:, -1], b[:, -1], rtol=1e-5, atol=1e-6)  # nothing to complete


def test_both_sides_take_the_same_mle_and_discriminator_steps() -> None:
    ours, textbook = sides(6)
    torch.manual_seed(3)
    real, fake = torch.randint(6, (2, 3, 4))
    ours.mle_epoch(Text.full(real))
    textbook.mle_epoch(real)
    assert_same_gradients(ours.generator, textbook.generator)
    ours.discriminator_epoch(Text.full(real), Text.full(fake))
    textbook.discriminator_epoch(real, fake)
    assert_same_gradients(ours.discriminator, textbook.discriminator)


def test_both_sides_take_the_same_generator_step_where_rollouts_do_not_matter() -> None:
    ours, textbook = sides(5)
    with torch.no_grad():
        for side in (ours, textbook):
            side.discriminator.output.weight.zero_()  # every text is worth the same
            side.discriminator.output.bias.fill_(0.7)
    fake = draw_texts(ours.generator, 5)
    ours.generator_update(fake, 2)
    textbook.generator_update(fake.tokens, 2)
    assert_same_gradients(ours.generator, textbook.generator)


def test_both_sides_take_the_same_policy_update() -> None:
    ours, textbook = sides(5)
    fake = draw_texts(ours.generator, 5)
    values = torch.rand(5, 4)
    ours.policy_update(fake, values)
    textbook.policy_update(fake.tokens, values)
    assert_same_gradients(ours.generator, textbook.generator)


def test_both_sides_complete_every_prefix_as_often() -> None:
    ours, textbook = sides(3)
    fake = draw_texts(ours.generator, 3)
    found = ours.complete(fake, 2).tokens
    pairs = list(textbook.completions(fake.tokens, 2))
    assert [kept for kept, _ in pairs] == [1, 2, 3, 1, 2, 3]
    expected = torch.cat([finished for _, finished in pairs])
    assert found.shape == expected.shape == (2 * 3 * 3, 4)
    for tokens in (found, expected):  # each prefix of each sentence n times, or more by chance
        for sentence in fake.tokens:
            for kept in (1, 2, 3):
                assert (tokens[:, :kept] == sentence[:kept]).all(1).sum() >= 2 * (4 - kept)


@pytest.mark.torch_random
def test_both_sides_score_alike() -> None:
    ours, textbook = sides(4)
    tokens = torch.randint(6, (30, 4))
    found = ours.score(Text.full(tokens))
    assert found.std() > 0.05
    torch.testing.assert_close(found, textbook.score(tokens), rtol=1e-5, atol=1e-6)


def test_both_sides_find_the_same_figures() -> None:
    ours, textbook = sides(4)
    oracle, _ = networks(6, 4)
    with torch.no_grad():
        oracle.output.weight.mul_(-1)
    real, valid, test = (Text.full(torch.randint(6, (n, 4))) for n in (20, 30, 10))
    tokenizer = WordTokenizer.numbers(6, 4)
    corpus = Corpus("", ours.generator.space, real, valid, test, tokenizer, {})
    found, drawn = ours.evaluate(oracle, corpus, 50)
    assert len(drawn) == 50
    expected = textbook.figures(drawn.tokens, oracle, valid.tokens, test.tokens)
    assert len({round(value, 3) for value in expected.values()}) == 6  # none stands for another
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(
        expected, rel=1e-5
    )
    assert textbook.evaluate(oracle, valid.tokens, test.tokens, 50).keys() == expected.keys()


def test_the_textbook_is_float32_whatever_our_side_is() -> None:
    tiny = BenchSetting(12, 5, 4, 4, batch=4, rollouts=2, sentences=8, sizes=(1, 3), counts=(3, 3))
    seen: list[tuple[str, bool]] = []

    def listen(network: nn.Module, name: str) -> None:
        network.register_forward_pre_hook(
            lambda *_: seen.append((name, factor_type(torch.zeros(1)) == torch.bfloat16))
        )

    made = Sides.make(tiny, torch.device("cpu"), "bf16")
    for name, side in (("ours", made.ours), ("textbook", made.textbook)):
        listen(side.generator.rnn, name)
        listen(side.discriminator, name)
    for work in made.work(8, 1):
        seen.clear()
        work.ours()
        work.textbook()
        if work.name != "bleu":
            low = work.name != "evaluation"  # as in a run
            assert set(seen) == {("ours", low), ("textbook", False)}, work.name


def test_what_the_last_update_left_is_freed() -> None:
    made = Sides.make(
        BenchSetting(12, 5, 4, 4, 4, 2, 8, (1, 3), (3, 3)), torch.device("cpu"), "float32"
    )
    works = made.work(8, 1, ["policy_update", "discriminator_epoch"])
    for work in works:
        work.ours()
    networks = (made.ours.generator, made.ours.discriminator)
    assert all(gradients(network) for network in networks)
    works[0].rest()
    assert not any(gradients(network) for network in networks)
