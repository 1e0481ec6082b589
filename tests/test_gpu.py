"""What only a GPU can show; run with `pytest -m gpu` where there is one."""

from pathlib import Path

import pytest
import torch
from toys import TOY

import textgan
from textgan.checkpoint import checkpoints, load_tensors
from textgan.discriminators.cnn import CNNDiscriminator
from textgan.discriminators.rnn import RNNDiscriminator
from textgan.generators.base import draw_texts
from textgan.generators.recurrent import LSTMGenerator
from textgan.rollout import rollout_values
from textgan.text import Text, TextSpace

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
