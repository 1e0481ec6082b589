"""What only a GPU can show; run with `pytest -m gpu` where there is one."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toys import TOY
from worlds import agree

import textgan
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.optim import NotFinite, build_optimiser, clipped_step
from textgan.core.precision import Precision, precision, supported
from textgan.core.tensors import load_tensors
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.discriminators.rnn import RNNDiscriminator
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.rollout import roll_out, rollout_values
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
SPACE = TextSpace(30, 8, eos=1)


def test_scores_are_those_of_the_processor() -> None:
    for network in (LSTMGenerator(SPACE), CNNDiscriminator(SPACE), RNNDiscriminator(SPACE)):
        text = draw_texts(LSTMGenerator(SPACE), 50)
        with torch.no_grad():
            here, there = network.eval()(text), network.cuda()(text.to(torch.device("cuda")))
        assert torch.allclose(here, there.cpu(), atol=1e-4)


def test_rollouts_stay_on_the_device() -> None:
    generator = LSTMGenerator(SPACE).cuda()
    fake = draw_texts(generator, 6)

    def reward(text: Text, origin: torch.Tensor) -> torch.Tensor:
        assert text.tokens.is_cuda
        return origin.float()

    values = rollout_values(generator, fake, reward, 3)
    expected = torch.arange(6.0, device="cuda")[:, None] * fake.mask
    assert torch.allclose(values, expected)


def test_losses_go_back_through_a_recurrent_discriminator_that_only_reads() -> None:
    """cuDNN refuses the backward pass of a recurrent network in eval mode."""
    judge = RNNDiscriminator(SPACE).cuda()
    judge.dropout.eval()
    rows = torch.rand(4, 8, 30, device="cuda", requires_grad=True)
    text = Text(rows.argmax(2), torch.full((4,), 8, device="cuda"), rows)
    judge(text).sum().backward()
    assert rows.grad is not None
    assert rows.grad.abs().sum() > 0


@pytest.mark.parametrize("ema", [0.0, 0.8])
def test_a_run_trains_and_is_sampled_on_the_processor(ema: float, tmp_path: Path) -> None:
    settings = TOY | {"device": "cuda", "objective.rollout_ema": ema}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    tensors, _ = load_tensors(checkpoints(tmp_path / "run")[-1])
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    run = textgan.open_run(tmp_path / "run", device="cpu")
    assert len(draw_texts(run.load_generator(), 5)) == 5


@pytest.mark.parametrize("told", registry.names("perturbation"))
@pytest.mark.parametrize("placement", ["output", "matrix"])
def test_embeddings_are_perturbed_there(told: str, placement: str, tmp_path: Path) -> None:
    perturb = f"{told}(placement={placement})"
    settings = TOY | {"device": "cuda", "discriminator.perturb": perturb, "mle.perturb": perturb}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    tensors, _ = load_tensors(checkpoints(tmp_path / "run")[-1])
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


@pytest.fixture
def never_waits() -> Iterator[None]:
    """Whatever makes the host wait for the device is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("eos", [None, 1])
def test_loops_over_time_never_wait(eos: int | None, request: pytest.FixtureRequest) -> None:
    generator = LSTMGenerator(TextSpace(30, 8, eos=eos)).cuda()
    text = generator.sample(5)  # the first time makes handles and plans
    generator.log_prob(text).sum().backward()
    request.getfixturevalue("never_waits")
    with torch.no_grad():
        text = generator.sample(5)
    generator.log_prob(text).sum().backward()


def test_updates_never_wait(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = make_config("seqgan", TOY | {"device": "cuda"})
    state = TrainingState(create_run(settings, tmp_path / "run"))
    steps = [Step(do, "adversarial", 0, 0) for do in ("fakes", "mle", "discriminator", "generator")]
    for step in steps * 2:  # the first times make orders, moments, handles and plans
        state.add(train_step(state, step))
    request.getfixturevalue("never_waits")
    for step in steps[1:]:
        state.add(train_step(state, step))


def test_the_device_skips_a_step_that_is_not_finite() -> None:
    generator = LSTMGenerator(SPACE).cuda()
    text, optimiser = draw_texts(generator, 5), build_optimiser(generator, 0.1)
    weights = []
    for factor in (1.0, float("inf")):
        loss = generator.log_prob(text).sum() * factor
        optimiser.zero_grad()
        loss.backward()
        metrics = clipped_step(generator, optimiser, loss, 5.0, wait=False)
        assert bool(metrics["gradient_norm"].isfinite()) == (factor == 1.0)
        weights.append([weight.detach().clone() for weight in generator.parameters()])
    assert all(map(torch.equal, *weights))
    with pytest.raises(NotFinite):
        clipped_step(generator, optimiser, loss, 5.0)


def test_rollouts_wait_as_often_however_long_they_are() -> None:
    waits = []
    for length in (4, 12):
        generator = LSTMGenerator(TextSpace(30, length, eos=1)).cuda()
        fake = generator.sample(6)
        roll_out(generator, fake, 2)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            seen.clear()  # torch warns that the mode is a prototype
            try:
                roll_out(generator, fake, 2)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits.append(len(seen))
    assert waits[0] == waits[1] <= 2


def test_what_is_drawn_has_the_right_probabilities() -> None:
    generator = LSTMGenerator(TextSpace(5, 2), init=1.0).cuda()
    with torch.no_grad():
        drawn = generator.sample(50_000).tokens.cpu()
        every = torch.cartesian_prod(torch.arange(5), torch.arange(5))
        chances = generator.score(Text.full(every.cuda())).exp().cpu().double()
    counts = torch.bincount(drawn @ torch.tensor([5, 1]), minlength=25)
    assert agree(counts, chances / chances.sum())


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_lower_precisions_train_and_keep_the_order_of_rewards(
    name: Precision, tmp_path: Path
) -> None:
    device = torch.device("cuda")
    try:
        supported(name, device)
    except UserError as error:
        pytest.skip(str(error))
    generator, judge = LSTMGenerator(SPACE).cuda(), CNNDiscriminator(SPACE).cuda().eval()
    with torch.no_grad():
        texts = generator.sample(500)
        exact = judge(texts)
        with precision(name, device):
            rough = judge(texts)
    ranks = torch.stack([exact.argsort().argsort(), rough.argsort().argsort()]).double()
    assert torch.corrcoef(ranks)[0, 1] > 0.99
    settings = TOY | {"device": "cuda", "precision": name}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
