"""The benchmark: what it reports, and that both of its sides do the same work."""

import copy
import io
import itertools
import json
from contextlib import redirect_stdout

import pytest
import torch
from torch import Tensor, nn

from textgan import bench, cli
from textgan.bench import Ours, Part, Report, Setting, Textbook, run_bench
from textgan.discriminators.cnn import CNNDiscriminator
from textgan.generators.base import draw_texts
from textgan.generators.recurrent import LSTMGenerator
from textgan.rollout import rollout_values
from textgan.text import Text, TextSpace

TINY = Setting(
    vocabulary=12, length=5, embedding=4, hidden=4, batch=4, rollouts=2, sentences=10,
    sizes=(1, 3), counts=(3, 3),
)  # fmt: skip


def networks(vocabulary: int, length: int) -> tuple[LSTMGenerator, CNNDiscriminator]:
    """A generator far from uniform and a discriminator without dropout that cares for words."""
    torch.manual_seed(0)
    space = TextSpace(vocabulary, length)
    generator = LSTMGenerator(space, embedding=4, hidden=4, init=1.0)
    discriminator = CNNDiscriminator(space, sizes=[1, 2], counts=[4, 4], dropout=0)
    with torch.no_grad():
        discriminator.output.weight.mul_(10)
    return generator, discriminator


def sides(batch: int) -> tuple[Ours, Textbook]:
    """Both sides with equal weights, in a world of 6 words and 4 tokens."""
    generator, discriminator = networks(6, 4)
    textbook = Textbook(copy.deepcopy(generator), copy.deepcopy(discriminator), batch)
    return Ours(generator, discriminator, batch), textbook


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_same_gradients(ours: nn.Module, textbook: nn.Module) -> None:
    expected = gradients(textbook)
    assert expected and any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    torch.testing.assert_close(gradients(ours), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("repeats", "scale"), [(1, 0.1), (3, 1.0)])
def test_report_has_every_part_and_consistent_figures(repeats: int, scale: float) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    report = run_bench(repeats, scale, TINY)
    assert torch.equal(torch.get_rng_state(), before)  # nobody's numbers depend on a benchmark
    found = json.loads(json.dumps(report.to_dict()))
    assert {"machine", "setting", "scale", "repeats", "parts"} == set(found)
    assert (found["repeats"], found["scale"]) == (repeats, scale)
    assert found["setting"] == json.loads(json.dumps(vars(TINY)))
    n, m = (4, 1) if scale < 1 else (10, 2)  # a batch and a rollout at least
    amounts = {part["name"]: part["amount"] for part in found["parts"]}
    assert amounts == {
        "MLE epoch": n,
        "sampling": n,
        "generator step": m * 4 * 4,
        "discriminator epoch": 2 * n,
        "BLEU-2 to BLEU-5": n,
    }
    done = 4 if n > 4 else None
    assert [part["textbook_amount"] for part in found["parts"]] == [None] * 4 + [done]
    assert ("the textbook did 4 of 10 texts, one by one" in str(report)) == (n == 10)
    for part in found["parts"]:
        assert part["seconds"] > 0 and part["textbook_seconds"] > 0
        assert part["ratio"] == part["textbook_seconds"] / part["seconds"]
        assert part["per_second"] == part["amount"] / part["seconds"]
        assert part["name"] in str(report)
    assert found["machine"]["gflops"] > 0 and found["machine"]["threads"] >= 1
    assert found["machine"]["processor"] and found["machine"]["processor"] in str(report)
    assert ("only for a quick look" in str(report)) == (scale < 1)


def test_medians_and_order_of_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats alternate which side goes first, and the reported figure is the median."""
    clock = iter([1.0, 10.0, 30.0, 2.0, 6.0, 20.0])  # ours 1, 2, 6; textbook 10, 30, 20
    done: list[str] = []
    work = bench.Work("w", "x", 6, lambda: done.append("ours"), lambda: done.append("textbook"))
    monkeypatch.setattr(bench, "make_work", lambda *_: [work])
    monkeypatch.setattr(bench, "_machine", lambda _: {})

    def seconds(do, device):  # type: ignore[no-untyped-def]
        do()
        return next(clock)

    monkeypatch.setattr(bench, "_seconds", seconds)
    (part,) = run_bench(3, 1.0, TINY).parts
    assert done[2:] == ["ours", "textbook", "textbook", "ours", "ours", "textbook"]
    assert (part.seconds, part.textbook_seconds, part.ratio, part.per_second) == (2, 20, 10, 3)


def test_what_the_textbook_does_in_part_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 10.0])
    work = bench.Work("w", "x", 600, lambda: None, lambda: None, 4)
    monkeypatch.setattr(bench, "make_work", lambda *_: [work])
    monkeypatch.setattr(bench, "_seconds", lambda *_: next(clock))
    monkeypatch.setattr(bench, "_machine", lambda _: {})
    (part,) = run_bench(1, 1.0, TINY).parts
    assert (part.seconds, part.textbook_seconds, part.ratio) == (1, 1500, 1500)
    assert (part.amount, part.textbook_amount, part.per_second) == (600, 4, 600)


def test_both_sides_find_the_same_bleu() -> None:
    ours, textbook = sides(4)
    texts, references = torch.randint(6, (2, 30, 7))
    found = ours.bleu(texts, references)
    assert found.shape == (4,) and found[0] > found[3] > 0
    torch.testing.assert_close(found, textbook.bleu(texts, references), rtol=0, atol=1e-12)


def test_command_prints_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    def report(repeats: int, scale: float) -> Report:
        asked.append((repeats, scale))
        facts = {"processor": "P", "cores": 1, "threads": 1, "gpu": None, "torch": "2", "load": 0.5}
        machine = facts | {"gflops": 1.0, "device": "cpu"}
        return Report([Part("sampling", "sentences", 6, 2.0, 20.0)], machine, TINY, scale, repeats)

    monkeypatch.setattr(bench, "run_bench", report)
    printed = []
    for arguments in (["bench", "--scale", "0.5"], ["bench", "--json", "--repeats", "2"]):
        with redirect_stdout(io.StringIO()) as out:
            cli.app(arguments, standalone_mode=False)
        printed.append(out.getvalue())
    assert asked == [(1, 0.5), (2, 1.0)]
    row = printed[0].splitlines()[-1].split()
    assert row == ["sampling", "6", "sentences", "2", "20", "10.0", "3"]
    (part,) = json.loads(printed[1])["parts"]
    assert (part["ratio"], part["per_second"]) == (10, 3)


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
    deviations = (a - b)[:, :-1].abs() / error[:, :-1].sqrt()
    assert float(deviations.max()) < 4  # 12 values
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
