"""Alarms ring where intervals are apart."""

import json
from pathlib import Path

import pytest
from toys import Cli

from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import Evaluation
from textgan.evaluation.scoring import choose_metrics, warnings_of


def score(value: float, width: float | None, better: Better = "higher") -> Score:
    ends = () if width is None else (value - width, value + width)
    return Score("BLEU-2", Estimate(value, *ends), "signature", better)


def warned(texts: dict[str, Score], real: dict[str, Score], aligned: bool = False) -> str:
    facts = {"aligned": ["a.txt"]} if aligned else {}
    result = Evaluation({"real": real, "texts": texts}, "real", {}, [], facts)
    return " ".join(warnings_of(result))


@pytest.mark.parametrize(
    ("name", "better", "level", "other", "message"),
    [
        ("bleu2", "higher", 0.859, 0.8585, "above real text"),
        ("self_bleu4", "lower", 0.9, 0.5, "collapse"),
        ("novelty", "higher", 0.2, 0.9, "memorised"),
        ("nll_oracle", "lower", 2.0, 3.0, "likeliest texts"),
    ],
)
def test_alarms_ring_where_intervals_are_apart(
    name: str, better: Better, level: float, other: float, message: str
) -> None:
    near = abs(level - other) / 3
    assert message in warned({name: score(level, near, better)}, {name: score(other, near, better)})
    far = abs(level - other)
    assert not warned({name: score(level, far, better)}, {name: score(other, far, better)})
    for one, two in ((None, near), (near, None), (None, None)):  # what has no interval is no alarm
        assert not warned({name: score(level, one, better)}, {name: score(other, two, better)})


def test_real_text_is_one_language_until_an_interval_says_no() -> None:
    for width, message in ((0.01, "not one language"), (0.1, ""), (None, "")):
        result = warned({}, {"d_accuracy": score(0.6, width)})
        assert message in result and bool(message) == bool(result)


def test_texts_that_answer_an_input_may_be_near_their_references() -> None:
    texts, real = {"bleu2": score(0.897, 0.01)}, {"bleu2": score(0.65, 0.01)}
    assert "above real text" in warned(texts, real)
    assert warned(texts, real, aligned=True) == ""


ORDINARY = [f"a {a} sees the {b} ." for a in ("dog", "cat", "man", "sun") for b in "abcdefghij"]


def test_the_size_of_sets_is_said(tmp_path: Path, cli: Cli) -> None:
    for name, lines in (("a", ORDINARY), ("b", ORDINARY[:15]), ("c", ORDINARY * 2)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    a, b, c = (tmp_path / f"{name}.txt" for name in "abc")
    arguments = ("--references", c, "--metrics", "jsd", "--json")
    code, out, err = cli("evaluate", a, b, *arguments)
    assert code == 0, err
    message = [one for one in json.loads(out)["warnings"] if "sets of texts" in one]
    assert len(message) == 1 and "on 15 texts of every row, which is what b.txt has" in message[0]
    code, out, err = cli("evaluate", a, b, *arguments, "--size", "10")
    assert not any("sets of texts" in one for one in json.loads(out)["warnings"])


def test_aligned_answers_are_not_called_concentrated(tmp_path: Path, cli: Cli) -> None:
    pairs = [
        (f"a {a} sees the {b} .", f"a {a} sees a {b} .") for a in "pqrst" for b in "abcdefghij"
    ]
    texts, answers = tmp_path / "texts.txt", tmp_path / "answers.txt"
    texts.write_text("".join(f"{text}\n" for text, _ in pairs))
    answers.write_text("".join(f"{answer}\n" for _, answer in pairs))
    code, out, err = cli("evaluate", texts, "--aligned", answers, "--metrics", "bleu", "--json")
    assert code == 0, err
    assert not any("concentrated" in one for one in json.loads(out)["warnings"])


def test_metrics_are_chosen_by_name_group_and_file(tmp_path: Path) -> None:
    everything = [metric.name for metric in choose_metrics(["all"], aligned=True)]
    assert not {"sacrebleu", "chrf", "ter"} & {metric.name for metric in choose_metrics(["all"])}
    assert choose_metrics(["chrf"])[0].name == "chrf"
    quick = [metric.name for metric in choose_metrics(["quick"], aligned=True)]
    assert quick == [name for name in everything if name in quick]
    assert set(everything) - set(quick) >= {"reverse_lm", "discriminator", "mauve"}
    assert everything.index("likelihood") < everything.index("bleu") < everything.index("mauve")
    assert [one.name for one in choose_metrics(["unique", "bleu", "unique"])] == ["bleu", "unique"]
    (tmp_path / "mine.py").write_text(
        "from textgan.core.statistics import Estimate\n"
        "from textgan.metrics.base import Metric, Score\n"
        "class Longest(Metric):\n"
        '    """The longest text."""\n'
        "    def measure(self, material):\n"
        "        longest = float(material.hypotheses.sizes.max())\n"
        "        signature = material.sign('longest', hyps=len(material.predictions))\n"
        "        return {'longest': Score('longest', Estimate(longest), signature, 'higher')}\n"
    )
    samples = tmp_path / "samples.txt"
    samples.write_text("a b c\nd\n")
    result = evaluate(
        samples, references=samples, metrics=[f"{tmp_path}/mine.py:Longest"], quiet=True
    )
    assert result.rows["samples.txt"]["longest"].estimate.value == 3


def one(value: float, better: Better = "higher", half: float | None = 0.01) -> Score:
    estimate = Estimate(value) if half is None else Estimate(value, value - half, value + half)
    return Score("a number", estimate, "", better)


@pytest.mark.parametrize(
    ("real", "scores", "message"),
    [
        ({}, {"unique": one(0.2)}, "collapse: only 20% of the texts are different"),
        ({}, {"unique": one(0.6)}, ""),
        ({"self_bleu4": one(0.4)}, {"self_bleu4": one(0.6)}, "collapse: the texts repeat each"),
        ({"self_bleu4": one(0.4)}, {"self_bleu4": one(0.5)}, ""),
        ({"bleu4": one(0.3)}, {"bleu4": one(0.5)}, "above real text"),
        ({"bleu4": one(0.3)}, {"bleu4": one(0.31)}, ""),
        ({"bleu4": one(0.3, half=None)}, {"bleu4": one(0.31, half=None)}, ""),
        ({"novelty": one(0.9)}, {"novelty": one(0.5)}, "memorised: 50.0% of the texts are"),
        ({"novelty": one(0.9)}, {"novelty": one(0.89)}, ""),
        ({}, {"novelty": one(0.4)}, "memorised: 60.0%"),
        ({"nll_oracle": one(2.4)}, {"nll_oracle": one(2.0)}, "likeliest texts"),
        ({"nll_oracle": one(2.4)}, {"nll_oracle": one(3.0)}, ""),
    ],
)
def test_numbers_that_should_worry_are_warned_of(
    real: dict[str, Score], scores: dict[str, Score], message: str
) -> None:
    result = warnings_of(Evaluation({"real": real, "mine": scores}, "real"))
    if message:
        assert len(result) == 1
        assert result[0].startswith("mine: ") and message in result[0]
    else:
        assert result == []


def test_real_text_of_two_kinds_is_warned_of() -> None:
    for value, message in ((0.9, ["not one language"]), (0.52, [])):
        result = warnings_of(Evaluation({"real": {"d_accuracy": one(value)}}, "real"))
        assert len(result) == len(message)
        assert all(words in warning for words, warning in zip(message, result, strict=True))
