"""Products in bfloat16: what must not notice, and who is refused."""

import contextlib
from pathlib import Path

import pytest
import torch
from toys import TOY, Cli, refused

import textgan
from textgan.core import precision as precisions
from textgan.core.errors import UserError
from textgan.core.optim import joint_norm
from textgan.core.precision import precision, supported, without_denormals
from textgan.data.text import Text, TextSpace
from textgan.losses import nll
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.output_layer import BlockSampler, log_prob_of
from textgan.objectives.seqgan import SeqGAN

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_bf16 = pytest.mark.skipif(
    not precisions.processor_has_bf16(), reason="the processor has no bf16"
)
SPACE = TextSpace(200, 12, eos=1)
TOY_MLE = {key: told for key, told in TOY.items() if key[:4] not in ("disc", "obje")} | {
    "schedule.rounds": 0
}


def pair() -> tuple[LSTMGenerator, CNNDiscriminator, Text]:
    generator = LSTMGenerator(SPACE, init=0.5)
    with torch.no_grad():
        return generator, CNNDiscriminator(SPACE).eval(), generator.sample(600)


@needs_bf16
def test_the_order_of_rewards_is_unaffected() -> None:
    _, judge, texts = pair()
    with torch.no_grad():
        exact = judge(texts)
        with precision("bf16", CPU):
            rough = judge(texts)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.02 * (exact.max() - exact.min())
    ranks = torch.stack([exact.argsort().argsort(), rough.argsort().argsort()]).double()
    assert torch.corrcoef(ranks)[0, 1] > 0.999
    assert (rough.sigmoid() - exact.sigmoid()).abs().mean() < 0.003


@needs_bf16
@pytest.mark.parametrize("few", [True, False])
def test_gradients_are_float32_and_point_the_same_way(few: bool) -> None:
    generator, judge, texts = pair()
    texts = texts[:10] if few else texts
    for network, loss in (
        (
            judge,
            lambda: SeqGAN().discriminator_loss(judge, texts, texts[torch.arange(9, -1, -1)])[0],
        ),
        (generator, lambda: nll(generator.log_prob(texts), texts.mask)),
    ):
        result = []
        for name in ("float32", "bf16"):
            network.zero_grad()
            with precision(name, CPU):  # type: ignore[arg-type]
                loss().backward()
            gradients = [w.grad for w in network.parameters() if w.requires_grad]
            assert all(g is not None and g.dtype == torch.float32 for g in gradients)
            result.append(torch.cat([g.flatten() for g in gradients if g is not None]))
        assert torch.nn.functional.cosine_similarity(*result, dim=0) > 0.995


@needs_bf16
def test_weights_that_were_read_without_gradients_still_get_them() -> None:
    """Autocast's cache would hand out the copy that was made under no_grad."""
    generator, judge, texts = pair()
    with precision("bf16", CPU):
        objective = SeqGAN(rollouts=2)
        loss, _ = objective.generator_loss(generator, judge, texts[:4], texts[:4], 0.0)
    loss.backward()
    assert all(
        w.grad is not None and w.grad.abs().sum() > 0
        for w in generator.parameters()
        if w.requires_grad
    )


@needs_bf16
def test_the_layer_to_the_vocabulary_stays_exact() -> None:
    generator, _, texts = pair()
    layer = generator.output.weight, generator.bias
    hidden = torch.randn(50, 32, requires_grad=True)
    tokens, of = texts.tokens[:50, 0], [hidden, generator.output.weight]
    right = log_prob_of(hidden, *layer, tokens)
    expected = torch.autograd.grad(right.sum(), of)
    with precision("bf16", CPU):
        assert not torch.equal(
            hidden @ layer[0].t(), (hidden.double() @ layer[0].t().double()).float()
        )
        result = log_prob_of(hidden, *layer, tokens)
        gradients = torch.autograd.grad(result.sum(), of)
        torch.manual_seed(3)
        drawn = BlockSampler(*layer)(hidden)
    assert torch.equal(result, right)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))
    torch.manual_seed(3)
    assert torch.equal(BlockSampler(*layer)(hidden), drawn)


@needs_bf16
def test_norms_of_gradients_stay_exact() -> None:
    vector = torch.randn(300_000)
    with precision("bf16", CPU):
        result = joint_norm([vector, vector])
    assert result.item() == pytest.approx(2**0.5 * vector.double().norm().item(), rel=1e-5)


@needs_bf16
def test_a_run_learns_as_much(tmp_path: Path) -> None:
    told = TOY | {"schedule.mle_epochs": 4, "evaluation.final_samples": 400}
    result = {
        name: textgan.train("seqgan", out=tmp_path / name, quiet=True, precision=name, **told)
        for name in ("float32", "bf16")
    }
    last = list(result["float32"].rows)[-1]
    for key in ("nll_oracle", "nll_test"):
        a, b = (result[name].rows[last][key] for name in ("float32", "bf16"))
        assert a.low is not None and a.high is not None
        assert a.low < b.value < a.high
    assert result["float32"].rows[last] != result["bf16"].rows[last]  # it was another precision
    textgan.resume(tmp_path / "bf16", quiet=True)


def test_what_is_outside_is_as_before() -> None:
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    with contextlib.suppress(KeyError), precision("tf32", CPU):
        assert [flag.allow_tf32 for flag in flags] == [True, True]
        with precision("float32", CPU):
            assert [flag.allow_tf32 for flag in flags] == [False, False]
        raise KeyError
    assert [flag.allow_tf32 for flag in flags] == before
    with precision("bf16", CPU):
        assert precisions.factor_type(torch.zeros(1)) == torch.bfloat16
        assert precisions.factor_type(torch.zeros(1, dtype=torch.float64)) == torch.float64
        with precision("float32", CPU):
            assert precisions.factor_type(torch.zeros(1)) == torch.float32
    assert precisions.factor_type(torch.zeros(1)) == torch.float32
    assert torch.get_float32_matmul_precision() == "highest"
    with torch.autocast("cpu", torch.bfloat16):  # as on a GPU
        assert precisions.factor_type(torch.zeros(1)) == torch.bfloat16


def test_denormals_are_zero_inside_and_only_there() -> None:
    tiny = torch.full((1,), 1e-30)
    if not torch.set_flush_denormal(False):
        pytest.skip("the processor cannot")
    with contextlib.suppress(KeyError), without_denormals():
        assert (tiny * 1e-10).item() == 0
        raise KeyError
    assert 0 < (tiny * 1e-10).item() < 1e-38


def test_a_run_trains_without_denormals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(torch, "set_flush_denormal", seen.append)
    textgan.train("mle", out=tmp_path / "run", quiet=True, **TOY_MLE)
    textgan.resume(tmp_path / "run", quiet=True)
    assert seen == [True, False] * 2


def test_a_device_that_cannot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("float32", "tf32", "bf16"):
        monkeypatch.setattr(precisions, "processor_has_bf16", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
        supported(name, GPU)  # type: ignore[arg-type]
    supported("bf16", CPU)
    with pytest.raises(UserError, match=r"precision = 'tf32' is for GPUs.*use float32 or bf16"):
        supported("tf32", CPU)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(UserError, match="too old for it; use float32"):
        supported("tf32", GPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(precisions, "processor_has_bf16", lambda: False)
    for device in (CPU, GPU):
        with pytest.raises(UserError, match=f"bf16': {device} has no arithmetic for it"):
            supported("bf16", device)


def test_the_command_refuses_in_one_line(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = refused(cli, "train", "seqgan", "precision=tf32", "device=cpu", "--out", out)
    assert "use float32 or bf16" in line
    line = refused(cli, "train", "seqgan", "precision=fp16", "--out", out)
    assert "precision" in line and "fp16" in line and "bf16" in line
    assert not out.exists()
