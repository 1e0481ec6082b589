"""Measures against closed forms, intervals against simulation."""

from pathlib import Path

import pytest
import sacrebleu
import torch
from dialogues import QUESTIONS, tsv
from toys import PAIRS, TOY

import textgan
from textgan.core.log import read_records
from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.metrics.warnings import warnings_of_row
from textgan.models.beam import BeamSearch
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.training.measure import level_of
from textgan.training.monitor import accuracy, adversary_warnings, observe
from textgan.training.run import open_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState


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


def test_a_run_on_pairs_shows_bleu_and_source_text_reference(tmp_path: Path) -> None:
    settings = PAIRS | {"schedule.mle_epochs": 2}
    file = tsv(tmp_path, [(f"{a} {i}", b) for i, (a, b) in enumerate(QUESTIONS * 2)])
    run = tmp_path / "run"
    results = textgan.train("mle", pairs=file, out=run, quiet=True, plot=False, **settings)
    for record in read_records(run):
        assert 0 <= record["eval/sacrebleu_valid"] <= 100
    opened = open_run(run)
    test = opened.corpus.decode(opened.corpus.test)
    state = TrainingState(opened)
    step = Step("tick", "mle", 1, 0, evaluate=True)
    seen = observe(state, step, {})
    n = min(10, len(test))
    assert len(seen.samples) == n
    for i, line in enumerate(seen.samples):
        source, _, reference = line.split(" | ")
        assert f"{source}\t{reference}" == test[i * len(test) // n]
    # the final table: of greedy answers to the test part, as sacrebleu has it
    generator = opened.load_generator()
    assert isinstance(generator, AutoregressiveGenerator)
    answers = BeamSearch(width=1)(generator, opened.corpus.test.condition).text
    lines = opened.corpus.tokenizer.decode(answers.tolist())
    references = opened.corpus.tokenizer.decode(opened.corpus.test.tolist())
    right = sacrebleu.corpus_bleu(lines, [references], tokenize="none", force=True).score
    assert results.last["sacrebleu_test"].value == pytest.approx(right)
    assert results.samples == len(test)
    # and an evaluation measures the same samples
    made = textgan.evaluate(run, metrics="likelihood", resamplings=0, quiet=True)
    for name in ("nll_test", "entropy"):
        assert made.last[name].value == pytest.approx(results.last[name].value)
    assert "BLEU, greedy" in str(results) and f"on {len(test)} samples" in str(results)
