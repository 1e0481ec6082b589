"""Measures against closed forms, intervals against simulation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import TOY, TOY_TEXT, toy_text

import textgan
from textgan.core.score import Score
from textgan.core.seeds import fork_rng
from textgan.core.statistics import Estimate, bootstrap
from textgan.data.text import Text, TextSpace
from textgan.metrics.base import Models, Unavailable
from textgan.metrics.warnings import warnings_of_row
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.likelihood import nll_per_token, uniform_nll
from textgan.models.oracle import make_oracle, oracle_corpus
from textgan.training.measure import level_of, measure, scores_of
from textgan.training.monitor import accuracy, adversary_warnings


def test_nll_is_per_token_and_leaves_padding_out() -> None:
    space = TextSpace(5, 4, eos=1)
    model = LSTMGenerator(space).double()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)  # uniform over the four tokens that may be written
    text = Text(torch.tensor([[2, 1, 0, 0], [2, 3, 4, 1]]), torch.tensor([2, 4]))
    assert nll_per_token(model, text).value == pytest.approx(math.log(4), abs=1e-12)
    assert nll_per_token(model, text.pad_to(9)).value == pytest.approx(math.log(4), abs=1e-12)
    assert uniform_nll(space) == pytest.approx(math.log(4))
    assert uniform_nll(TextSpace(5, 4)) == pytest.approx(math.log(5))


def test_nll_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    found = bootstrap(np.array([1.0, 10.0]), np.array([1.0, 2.0]), 0)
    assert found == Estimate(11 / 3)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice = np.random.default_rng(0)
    inside = 0
    for trial in range(300):
        sizes = dice.integers(1, 9, 100).astype(float)
        totals = dice.normal(2 * sizes, 1.0)  # two nats per token
        found = bootstrap(totals, sizes, 200, seed=trial)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        inside += found.low <= 2 <= found.high
    assert 0.91 <= inside / 300 <= 0.98


def test_bootstrap_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(5, 2, 4000)
    found = bootstrap(values, np.ones(4000), 1000)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 2 / math.sqrt(4000), rel=0.08)
    with pytest.raises(ValueError, match="no sentences"):
        bootstrap(np.array([]), np.array([]), 10)


def test_entropy_of_a_generator_is_that_of_its_distribution() -> None:
    generator = make_oracle(4, 3, 4, 4, seed=0).double()
    tokens = torch.cartesian_prod(*[torch.arange(4)] * 3)
    log_prob = generator.score(Text.full(tokens))
    exact = -(log_prob.exp() * log_prob).sum().item() / 3
    with fork_rng(0, torch.device("cpu")):
        found = nll_per_token(generator, draw_texts(generator, 4000), 500)
    assert found.low is not None
    assert found.high is not None
    assert found.low < exact < found.high


def test_measure_leaves_random_numbers_and_the_generator_alone() -> None:
    oracle = make_oracle(9, 5, 4, 4, seed=0)
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, text = measure(oracle, corpus, oracle, samples=50, seed=1)
    assert torch.equal(torch.rand(3), expected)
    second, again = measure(oracle, corpus, oracle, samples=50, seed=1)
    assert first == second
    assert torch.equal(text.tokens, again.tokens)
    # the oracle as a generator: its NLL under itself is its entropy, on the same samples
    assert first["nll_oracle"].value == first["entropy"].value


def test_every_score_is_that_of_its_definition_and_says_how_it_was_taken() -> None:
    oracle, model = (make_oracle(9, 5, 4, 4, seed) for seed in (0, 1))
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    scores, text = measure(model, corpus, oracle, samples=200, seed=1)
    assert scores["nll_oracle"].estimate == nll_per_token(oracle, text, 200, 1)
    assert scores["nll_test"].estimate == nll_per_token(model, corpus.test)
    assert scores["nll_valid"].estimate == nll_per_token(model, corpus.valid)
    assert scores["entropy"].estimate == nll_per_token(model, text)
    assert scores["unique"].estimate == Estimate(len(text.tokens.unique(dim=0)) / 200)
    assert scores["length"].estimate == Estimate(5.0)
    for name, score in scores.items():
        assert score.signature.startswith(f"{name}|")
    sure, _ = measure(model, corpus, oracle, samples=200, seed=1, resamplings=300)
    for network, texts, name in ((oracle, text, "nll_oracle"), (model, corpus.test, "nll_test")):
        assert sure[name].estimate == nll_per_token(network, texts, 300, 1)


def test_what_no_model_knows_is_left_out_and_what_is_no_number_is_refused() -> None:
    oracle = make_oracle(9, 5, 4, 4, seed=0)
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    scores, text = measure(oracle, corpus, None, samples=50, seed=1)
    assert list(scores) == ["nll_test", "nll_valid", "entropy", "unique", "length"]
    assert list(scores_of(Models(None, None, text, text), corpus, seed=0)) == ["unique", "length"]
    torch.nn.init.constant_(oracle.output.bias, math.nan)
    with pytest.raises(Unavailable, match="no longer numbers"):
        scores_of(Models(oracle, None, text, corpus.test), corpus, seed=0)


def test_accuracy_weighs_both_sides_equally() -> None:
    assert accuracy(torch.tensor([1.0, 2.0]), torch.tensor([-1.0])) == 1.0
    assert accuracy(torch.tensor([1.0, -2.0]), torch.tensor([-1.0])) == 0.75
    assert accuracy(torch.tensor([1.0] * 9), torch.tensor([1.0])) == 0.5


def test_unique_is_the_share_of_different_texts() -> None:
    corpus = oracle_corpus(make_oracle(9, 2, 4, 4, seed=0), 30, 20, 0, {})
    text = Text.full(torch.tensor([[1, 2], [1, 2], [2, 1], [2, 2]]))
    models = Models(None, None, text, corpus.test)
    assert scores_of(models, corpus, seed=0)["unique"].estimate == Estimate(0.75)


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
    ("figures", "said"),
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
def test_alarms_name_a_game_that_is_over(figures: dict[str, float], said: list[str]) -> None:
    found = adversary_warnings(figures, 200)
    assert [message.split()[0] for message in found] == said
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


def test_the_table_has_the_rows_and_values_of_its_json(tmp_path: Path) -> None:
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY)
    content = json.loads((tmp_path / "run/results.json").read_text())
    assert json.loads(json.dumps(results.to_dict())).items() <= content.items()
    shown = str(results)
    for row in results.rows.values():
        for key in ("nll_oracle", "nll_test"):
            assert str(row[key]) in shown
    oracle, random = results.rows["oracle"], results.rows["random tokens"]
    assert oracle["nll_oracle"].value < results.rows["seqgan, last"]["nll_oracle"].value
    assert random["nll_test"].value == pytest.approx(math.log(20))


@pytest.mark.parametrize("words", [False, True])
def test_a_final_table_and_an_evaluation_have_the_same_numbers(tmp_path: Path, words: bool) -> None:
    told = TOY_TEXT | {"data.file": str(toy_text(tmp_path, 200))} if words else TOY
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **told)
    evaluation = textgan.evaluate(tmp_path / "run", metrics=["likelihood", "unique"], quiet=True)
    tables = [results.rows, evaluation.rows]
    for rows in zip(*(list(table.values())[-2:] for table in tables), strict=True):
        final, evaluated = rows
        same = {
            name: (score.value, evaluated[name].value)
            for name, score in final.items()
            if name in evaluated and score.signature == evaluated[name].signature
        }
        assert same.keys() >= {"nll_test", "entropy"} | (set() if words else {"nll_oracle"})
        assert all(first == second for first, second in same.values())
