"""Both sides of the benchmark do the same work."""

import pytest
import torch
from bench import networks, sides
from torch import Tensor, nn

from textgan.bench.parts import Sides
from textgan.bench.setting import BenchSetting
from textgan.data.corpus import Corpus
from textgan.data.text import Text
from textgan.data.tokenizers import WordTokenizer
from textgan.models.draw import draw_texts


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_same_gradients(ours: nn.Module, textbook: nn.Module) -> None:
    expected = gradients(textbook)
    assert expected and any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    torch.testing.assert_close(gradients(ours), expected, rtol=1e-4, atol=1e-6)


def test_both_sides_find_the_same_bleu() -> None:
    ours, textbook = sides(4)
    texts, references = torch.randint(6, (2, 30, 7))
    result = ours.bleu(texts, references)
    assert result.shape == (4,) and result[0] > result[3] > 0
    torch.testing.assert_close(result, textbook.bleu(texts, references), rtol=0, atol=1e-12)


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
    result = ours.complete(fake, 2).tokens
    pairs = list(textbook.completions(fake.tokens, 2))
    assert [kept for kept, _ in pairs] == [1, 2, 3, 1, 2, 3]
    expected = torch.cat([finished for _, finished in pairs])
    assert result.shape == expected.shape == (2 * 3 * 3, 4)
    for tokens in (result, expected):  # each prefix of each sentence n times, or more by chance
        for sentence in fake.tokens:
            for kept in (1, 2, 3):
                assert (tokens[:, :kept] == sentence[:kept]).all(1).sum() >= 2 * (4 - kept)


@pytest.mark.torch_random
def test_both_sides_score_alike() -> None:
    ours, textbook = sides(4)
    tokens = torch.randint(6, (30, 4))
    result = ours.score(Text.full(tokens))
    assert result.std() > 0.05
    torch.testing.assert_close(result, textbook.score(tokens), rtol=1e-5, atol=1e-6)


def test_both_sides_find_the_same_figures() -> None:
    ours, textbook = sides(4)
    oracle, _ = networks(6, 4)
    with torch.no_grad():
        oracle.output.weight.mul_(-1)
    real, valid, test = (Text.full(torch.randint(6, (n, 4))) for n in (20, 30, 10))
    tokenizer = WordTokenizer.numbers(6, 4)
    corpus = Corpus("", ours.generator.space, real, valid, test, tokenizer, {})
    result, drawn = ours.evaluate(oracle, corpus, 50)
    assert len(drawn) == 50
    expected = textbook.figures(drawn.tokens, oracle, valid.tokens, test.tokens)
    assert len({round(value, 3) for value in expected.values()}) == 6  # none stands for another
    assert {name: estimate.value for name, estimate in result.items()} == pytest.approx(
        expected, rel=1e-5
    )
    assert textbook.evaluate(oracle, valid.tokens, test.tokens, 50).keys() == expected.keys()


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
