"""Measures against closed forms, intervals against simulation."""

from pathlib import Path

import pytest
import torch
from toys import TOY

import textgan
from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.metrics.warnings import warnings_of_row
from textgan.training.measure import level_of
from textgan.training.monitor import accuracy, adversary_warnings


def test_accuracy_weighs_both_sides_equally() -> None:
    assert accuracy(torch.tensor([1.0, 2.0]), torch.tensor([-1.0])) == 1.0
    assert accuracy(torch.tensor([1.0, -2.0]), torch.tensor([-1.0])) == 0.75
    assert accuracy(torch.tensor([1.0] * 9), torch.tensor([1.0])) == 0.5


def test_alarms_name_collapse_and_numbers_too_good() -> None:
    def found(unique: float, entropy: float, oracle: float) -> list[str]:
        estimates = {
            "unique": Estimate(unique),
            "entropy": Estimate(entropy),
            "nll_oracle": Estimate(oracle, oracle - 0.05, oracle + 0.05),
        }
        return warnings_of_row(
            {name: Score(name, estimate, "", "lower") for name, estimate in estimates.items()},
            level_of(Estimate(3.0, 2.96, 3.04)),
            mle_entropy=4.0,
        )

    assert found(0.9, 3.0, 3.5) == []
    assert "30%" in found(0.3, 3.0, 3.5)[0]
    assert "1.90" in found(0.9, 1.9, 3.5)[0]
    assert "below the oracle's own entropy" in found(0.9, 3.0, 2.9)[0]
    assert found(0.9, 3.0, 2.92) == []  # the intervals overlap: it may be chance


@pytest.mark.parametrize(
    ("figures", "output"),
    [
        ({"discriminator/accuracy_held_out": 1.0, "generator/reward": 0.2}, ["discriminator"]),
        ({"discriminator/accuracy_held_out": 0.985}, []),  # of 200 texts, as low as 0.957
        ({"discriminator/accuracy": 1.0, "discriminator/accuracy_held_out": 0.6}, []),
        ({"generator/reward": 0.0003}, ["reward"]),
        ({"generator/reward": 1.0}, ["reward"]),
        ({"generator/reward": 0.01}, []),
        ({"generator/reward": -7.0}, []),  # a logarithm
        ({"generator/reward": 0.4, "generator/reward_deviation": 0.002}, ["reward"]),
        ({"generator/reward": 0.0003, "generator/reward_deviation": 0.02}, []),
        (
            {
                "discriminator/accuracy_held_out": 1.0,
                "generator/reward": 0.0,
                "generator/reward_deviation": 0.0,
            },
            ["discriminator", "reward"],
        ),
        ({}, []),
    ],
)
def test_alarms_name_a_game_that_is_over(figures: dict[str, float], output: list[str]) -> None:
    result = adversary_warnings(figures, 200)
    assert [message.split()[0] for message in result] == output
    # Wilson's interval by hand: 1 - z^2 / (n + z^2) for a share of 1
    assert adversary_warnings({"discriminator/accuracy_held_out": 1.0}, 188) == []
    assert len(adversary_warnings({"discriminator/accuracy_held_out": 1.0}, 189)) == 1


def test_a_collapsing_run_raises_the_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TOY | {"evaluation.unique_alarm": 1.0, "oracle.length": 2, "schedule.rounds": 3}
    settings |= {"discriminator.sizes": [1], "discriminator.counts": [4]}
    results = textgan.train("seqgan", out=tmp_path / "run", **settings)
    err = capsys.readouterr().err
    assert err.count("collapse: only") == 1  # once is enough
    assert any("collapse" in warning for warning in results.warnings)
