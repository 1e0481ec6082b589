"""The loop under encoders, classifiers and the networks of metrics."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from textgan.core.optim import Loss, NotFinite
from textgan.models.fit import Best, fit


class Counter(nn.Module):
    """One number that falls by about the learning rate in every step of Adam."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.zeros(()))

    def accumulate(self, batch: float) -> Loss:
        loss = self.at * batch
        loss.backward()
        return loss.detach(), {}

    @property
    def steps(self) -> int:
        return -round(float(self.at.detach()) / 0.1)


def run(values: list[float], **settings: object) -> tuple[int, Best]:
    """How many steps the counter has taken in the end; one batch before each validation."""
    network, seen = Counter(), iter(values)
    best = Best(network, higher_is_better=bool(settings.pop("higher", False)))
    if settings.pop("first", False):
        best.offer(next(seen), 0)
    rounds = [[1.0]] * len(values)
    fit(
        network, rounds, network.accumulate, lambda: next(seen), best=best, lr=0.1, clip=0.0,
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    return network.steps, best


def test_the_best_weights_are_kept() -> None:
    steps, best = run([5, 3, 4, 3])  # as good as before is no better
    assert (steps, best.step, best.value) == (2, 2, 3)
    steps, best = run([0.5, 0.75, 0.25], higher=True)
    assert (steps, best.step, best.value) == (2, 2, 0.75)


def test_what_is_not_finite_is_never_the_best() -> None:
    steps, best = run([float("nan"), float("inf"), 7, float("nan"), 8])
    assert (steps, best.step) == (3, 3)
    assert run([float("nan")] * 3)[1].weights is None


def test_training_stops_when_nothing_was_better_for_long() -> None:
    network, seen = Counter(), iter([5, 4, 3, 4, 3, 4])
    fit(network, [[1.0]] * 99, network.accumulate, lambda: next(seen), lr=0.1, clip=0.0, patience=3)
    assert network.steps == 3
    assert next(seen, None) is None


def test_each_batch_is_for_several_updates_and_counts_once() -> None:
    network, points = Counter(), []
    logged: list[float] = []
    best = fit(
        network,
        [[1.0, 1.0], [1.0]],
        network.accumulate,
        lambda: -network.steps,
        lr=0.1,
        clip=0.0,
        repeats=3,
        on_update=lambda metrics: logged.append(float(metrics["gradient_norm"])),
        on_validation=lambda *point: points.append(point),
    )
    assert points == [(0, 2, -6), (1, 3, -9)]
    assert best.step == 3
    assert logged == [1.0] * 3


def test_the_learning_rate_is_of_the_batch() -> None:
    network = Counter()
    fit(
        network, [[1.0] * 4], network.accumulate, lambda: 0.0, lr=0.1, clip=0.0,
        rate=lambda step: [1.0, 0.0, 0.0, 1.0][step],
    )  # fmt: skip
    assert network.steps == 2


def test_batches_are_drawn_when_their_turn_comes() -> None:
    """So random numbers are drawn in one order: a round's batches after the last validation."""
    order: list[str] = []
    network = Counter()

    def batches(number: int) -> Iterator[float]:
        for place in range(2):
            order.append(f"batch {number}.{place}")
            yield 1.0
        order.append(f"end {number}")

    def accumulate(batch: float) -> Loss:
        order.append("update")
        return network.accumulate(batch)

    def validate() -> float:
        order.append("validation")
        return 0.0

    fit(network, map(batches, range(2)), accumulate, validate, lr=0.1, clip=0.0)
    assert order == [
        word
        for number in range(2)
        for word in (
            f"batch {number}.0", "update", f"batch {number}.1", "update", f"end {number}",
            "validation",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("stop", [KeyboardInterrupt, NotFinite])
def test_however_training_ends_the_best_weights_are_there(stop: type[BaseException]) -> None:
    network, best = Counter(), None

    def accumulate(batch: float) -> Loss:
        if network.steps == 3:
            raise stop
        return network.accumulate(batch)

    values = iter([2.0, 3.0, 4.0])
    best = Best(network)
    with pytest.raises(stop):
        fit(network, [[1.0]] * 9, accumulate, lambda: next(values), best=best, lr=0.1, clip=0.0)
    assert (network.steps, best.step, best.value) == (1, 1, 2.0)


def test_weights_of_a_part_may_be_kept() -> None:
    """An encoder is trained with a head, which is not a part of it."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = Counter(), Counter()

        def accumulate(self, batch: float) -> Loss:
            loss: Tensor = self.encoder.at + self.head.at
            loss.backward()
            return loss.detach(), {}

    pair, values = Pair(), iter([1.0, 2.0, 3.0])
    fit(
        pair, [[1.0]] * 3, pair.accumulate, lambda: next(values), best=Best(pair.encoder), lr=0.1,
        clip=0.0,
    )  # fmt: skip
    assert (pair.encoder.steps, pair.head.steps) == (1, 3)
