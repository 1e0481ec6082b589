"""Where a device runs ahead of its host, loops over time steps ask it nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
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
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.rollout import roll_out, rollout_values
from textgan.models.sampling import greedy, softmax
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.state import TrainingState

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
        self, operator: Any, types: Any, told: Any = (), named: Any = None
    ) -> Any:
        by_mask = operator in (aten.index.Tensor, aten.index_put_.default) and any(
            index is not None and index.dtype == torch.bool for index in told[1]
        )
        self.times += operator in ASKS or by_mask
        return operator(*told, **(named or {}))


def asked(do: Callable[[], object]) -> int:
    with Asked() as counted:
        do()
    return counted.times


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
        # which completions belong to prefixes of finished texts, for all three that are filtered
        assert asked(lambda generator=generator, fake=fake: roll_out(generator, fake, 2)) == 3


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
    found = []
    for ahead in (False, True):
        monkeypatch.setattr(device, "SYNCHRONOUS", frozenset() if ahead else {"cpu"})
        grown = roll_out(generator, fake, 2)
        found.append(sorted(zip(grown.origin.tolist(), grown.kept.tolist(), strict=True)))
        assert len(grown.text) == 2 * int((fake.lengths - 1).sum())
    assert found[0] == found[1]


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
