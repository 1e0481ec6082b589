"""The textbook implementation, by itself."""

import itertools

import pytest
import torch
from bench import networks, sides
from torch import Tensor, nn

from textgan.bench.pairs import PAIR_PARTS
from textgan.bench.parts import PARTS, Sides
from textgan.bench.setting import BenchSetting
from textgan.bench.textbook import Textbook
from textgan.core.precision import factor_type
from textgan.data.text import Text
from textgan.models.draw import draw_texts
from textgan.models.rollout import rollout_values


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
        result.unflatten(0, (sentences, copies)).double()
        for result in (
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
    listen(made.ours.discriminator, "ours")
    listen(made.textbook.discriminator.output, "textbook")
    for work in made.work(8, 1, [part for part in PARTS if part not in PAIR_PARTS]):
        seen.clear()
        work.ours()
        work.textbook()
        if work.name != "bleu":
            low = work.name != "evaluation"  # as in a run
            assert set(seen) == {("ours", low), ("textbook", False)}, work.name
