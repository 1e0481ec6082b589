"""Where a device runs ahead of its host, loops over time steps ask it nothing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from toys import TOY
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    agree,
    counts_of,
    enumerate_texts,
    probabilities,
    same,
    small_generator,
)

from textgan.core import device
from textgan.core.optim import Loss, NotFinite, build_optimiser, plain, update
from textgan.data.text import Text, TextSpace
from textgan.losses import nll
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.rollout import roll_out, rollout_values
from textgan.models.sampling import greedy, softmax
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

aten = torch.ops.aten
# of these the host waits for the result, or for its size
ASKS = {
    aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default,
    aten.nonzero.default, aten.masked_select.default, aten.repeat_interleave.Tensor,
    aten._unique2.default,
}  # fmt: skip


class Asked(TorchDispatchMode):
    """Counts the operators that a device would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        by_mask = operator in (aten.index.Tensor, aten.index_put_.default) and any(
            index is not None and index.dtype == torch.bool for index in arguments[1]
        )
        self.times += operator in ASKS or by_mask
        return operator(*arguments, **(named or {}))


class Fetched(TorchFunctionMode):
    """Counts the copies between host and device, which no operator shows on a processor."""

    COPIES = frozenset({torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy})

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_function__(
        self, function: Any, types: Any, told: Any = (), named: Any = None
    ) -> Any:
        named = named or {}
        moves = (
            function is torch.Tensor.to
            and not named.get("non_blocking")
            and any(isinstance(one, torch.device) for one in (*told, *named.values()))
        )
        self.times += function in self.COPIES or moves
        return function(*told, **named)


def asked(do: Callable[[], object]) -> int:
    with Asked() as counted, Fetched() as copied:
        do()
    return counted.times + copied.times


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the processor were a device that runs ahead."""
    monkeypatch.setattr(device, "SYNCHRONOUS", frozenset())


worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])


@worlds
@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("name", ["lstm", "gru", "relational_memory"])
def test_sampling_and_likelihood_ask_nothing(space: TextSpace, name: str) -> None:
    generator = small_generator(space, name)
    for choose in (None, greedy, softmax):
        assert asked(lambda choose=choose: generator.sample(5, choose=choose)) == 0
    text = generator.sample(5)
    assert asked(lambda: generator.log_prob(text)) == 0


@worlds
@pytest.mark.usefixtures("ahead")
def test_rollouts_ask_once_however_long_they_are(space: TextSpace) -> None:
    for length in (3, 9):
        longer = TextSpace(space.vocabulary, length, space.eos)
        generator = small_generator(longer)
        fake = generator.sample(6)
        # which completions belong to prefixes of finished texts
        times = asked(lambda generator=generator, fake=fake: roll_out(generator, fake, 2))
        assert times == (space.eos is not None)


def test_a_processor_is_asked() -> None:
    generator = small_generator(VARIABLE)
    assert asked(lambda: generator.sample(5)) > 0


@worlds
@pytest.mark.usefixtures("ahead")
def test_what_is_drawn_has_the_same_probabilities(space: TextSpace) -> None:
    generator = small_generator(space)
    assert isinstance(generator, AutoregressiveGenerator)
    with torch.no_grad():
        drawn = generator.sample(20_000)
    chances = probabilities(generator, enumerate_texts(space))
    assert agree(counts_of(drawn, space), chances)


@worlds
def test_values_are_the_same_where_completions_are_certain(
    space: TextSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = small_generator(space)
    with torch.no_grad():
        generator.output.weight.mul_(1e4)  # every word is certain
        fake = generator.sample(7)

    def reward(text: Text, origin: torch.Tensor) -> torch.Tensor:
        return text.tokens.double() @ torch.arange(1.0, text.tokens.shape[1] + 1).double() + origin

    here = rollout_values(generator, fake, reward, 3)
    monkeypatch.setattr(device, "SYNCHRONOUS", frozenset())
    assert same(rollout_values(generator, fake, reward, 3), here)


@worlds
def test_the_same_prefixes_are_completed(space: TextSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = small_generator(space)
    with torch.no_grad():
        fake = generator.sample(9)
    result = []
    for ahead in (False, True):
        monkeypatch.setattr(device, "SYNCHRONOUS", frozenset() if ahead else {"cpu"})
        grown = roll_out(generator, fake, 2)
        result.append(sorted(zip(grown.origin.tolist(), grown.kept.tolist(), strict=True)))
        assert len(grown.text) == 2 * int((fake.lengths - 1).sum())
    assert result[0] == result[1]


@pytest.mark.usefixtures("ahead")
def test_nothing_is_written_after_the_end() -> None:
    text = small_generator(VARIABLE).sample(200)
    assert len(text.lengths.unique()) > 1
    assert not text.tokens[~text.mask].any()
    assert small_generator(FIXED).sample(3).lengths.tolist() == [FIXED.length] * 3


def test_metrics_are_added_up_to_the_same_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(make_config("seqgan", TOY), tmp_path / "run")
    values = torch.randn(50) * 10.0 ** torch.randint(-6, 6, (50,))
    means = []
    for ahead in (False, True):
        monkeypatch.setattr(device, "SYNCHRONOUS", frozenset() if ahead else {"cpu"})
        state = TrainingState(run)
        for number, value in enumerate(values):
            state.add({"loss": value, "count": torch.tensor([number])})
            if number == 20:  # killed and resumed
                saved, state = state.save(), TrainingState(run)
                state.restore(saved)
        means.append(state.means())
    assert means[0] == means[1]
    assert means[0]["count"] == 24.5
    assert means[0]["loss"] == sum(values.tolist()) / 50


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("method", ["seqgan", "scratchgan", "maligan", "rankgan"])
@pytest.mark.parametrize("data", ["oracle", "lines"])
def test_updates_ask_nothing_but_which_rollouts_count(
    method: str, data: str, tmp_path: Path
) -> None:
    allowed = {"mle": 0, "discriminator": 0, "generator": 0}
    settings = {k: v for k, v in TOY.items() if method == "seqgan" or k.split(".")[0] in COMMON}
    if data == "lines":
        lines = [" ".join("abcdefg"[: 2 + number % 5]) for number in range(90)]
        (tmp_path / "lines.txt").write_text("\n".join(lines))
        settings = {k: v for k, v in settings.items() if not k.startswith("oracle")}
        settings["data.file"] = str(tmp_path / "lines.txt")
        allowed["generator"] = 1 if method in ("seqgan", "rankgan") else 0
    state = TrainingState(create_run(make_config(method, settings), tmp_path / "run"))
    for do in ("fakes", "mle", "discriminator", "generator"):  # the first makes orders and moments
        take(state, do)
    for do, times in allowed.items():
        assert asked(lambda do=do: take(state, do)) == times, do
    assert asked(state.means) == 1


COMMON = {"seed", "oracle", "schedule", "evaluation", "generator"}


def take(state: TrainingState, do: Any) -> None:
    state.add(train_step(state, Step(do, "mle" if do == "mle" else "adversarial", 0, 0)))


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_a_step_that_the_device_decides_on_is_the_same(clip: float) -> None:
    text = Text.full(torch.tensor([[1, 2, 3], [0, 2, 1]]))
    weights = []
    for wait in (True, False):
        torch.manual_seed(0)
        generator = LSTMGenerator(TextSpace(5, 3))
        optimiser = build_optimiser(generator, 0.1)
        for factor in (1.0, math.inf, 1.0) if not wait else (1.0, 1.0):

            def loss(factor: float = factor, generator: LSTMGenerator = generator) -> Loss:
                return nll(generator.log_prob(text), text.mask) * factor, {}

            metrics = update(generator, optimiser, loss, plain, clip, wait=wait)
            assert bool(metrics["gradient_norm"].isfinite()) == (factor == 1.0)
        weights.append([weight.detach().clone() for weight in generator.parameters()])
        assert {int(state["step"]) for state in optimiser.state.values()} == {2}
    for here, there in zip(*weights, strict=True):
        assert torch.allclose(here, there, atol=1e-6)


@pytest.mark.usefixtures("ahead")
def test_a_skipped_step_ends_the_run_at_its_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(make_config("seqgan", TOY), tmp_path / "run")
    state = TrainingState(run)
    before = [weight.detach().clone() for weight in state.generator.parameters()]
    monkeypatch.setattr(
        type(state.objective),
        "mle_loss",
        lambda _, generator, real: (generator.log_prob(real).sum() * math.nan, {}),
    )
    take(state, "mle")
    assert all(map(torch.equal, before, state.generator.parameters()))
    for end in (state.means, state.save):
        with pytest.raises(NotFinite, match="LSTMGenerator was not finite"):
            end()
