"""Alarms ring where intervals are apart, and messages name what was wrong and the way out."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from toys import Cli

from textgan.core.errors import UserError
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.results import Evaluation
from textgan.evaluation.scoring import warnings_of
from textgan.models.oracle import FILE_ORDER, load_oracle

ORDINARY = [f"a {a} sees the {b} ." for a in ("dog", "cat", "man", "sun") for b in "abcdefghij"]


def score(value: float, width: float | None, better: Better = "higher") -> Score:
    ends = () if width is None else (value - width, value + width)
    return Score("BLEU-2", Estimate(value, *ends), "signature", better)


def warned(texts: dict[str, Score], real: dict[str, Score], aligned: bool = False) -> str:
    facts = {"aligned": ["a.txt"]} if aligned else {}
    found = Evaluation({"real": real, "texts": texts}, "real", {}, [], facts)
    return " ".join(warnings_of(found))


@pytest.mark.parametrize(
    ("name", "better", "level", "other", "said"),
    [
        ("bleu2", "higher", 0.859, 0.8585, "above real text"),
        ("self_bleu4", "lower", 0.9, 0.5, "collapse"),
        ("novelty", "higher", 0.2, 0.9, "memorised"),
        ("nll_oracle", "lower", 2.0, 3.0, "likeliest texts"),
    ],
)
def test_alarms_ring_where_intervals_are_apart(
    name: str, better: Better, level: float, other: float, said: str
) -> None:
    near = abs(level - other) / 3
    assert said in warned({name: score(level, near, better)}, {name: score(other, near, better)})
    far = abs(level - other)
    assert not warned({name: score(level, far, better)}, {name: score(other, far, better)})
    for one, two in ((None, near), (near, None), (None, None)):  # what has no interval is no alarm
        assert not warned({name: score(level, one, better)}, {name: score(other, two, better)})


def test_real_text_is_one_language_until_an_interval_says_no() -> None:
    for width, said in ((0.01, "not one language"), (0.1, ""), (None, "")):
        found = warned({}, {"d_accuracy": score(0.6, width)})
        assert said in found and bool(said) == bool(found)


def test_texts_that_answer_an_input_may_be_near_their_references() -> None:
    texts, real = {"bleu2": score(0.897, 0.01)}, {"bleu2": score(0.65, 0.01)}
    assert "above real text" in warned(texts, real)
    assert warned(texts, real, aligned=True) == ""


def test_the_size_of_sets_is_said(tmp_path: Path, cli: Cli) -> None:
    for name, lines in (("a", ORDINARY), ("b", ORDINARY[:15]), ("c", ORDINARY * 2)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    a, b, c = (tmp_path / f"{name}.txt" for name in "abc")
    told = ("--references", c, "--metrics", "jsd", "--json")
    code, out, err = cli("evaluate", a, b, *told)
    assert code == 0, err
    said = [one for one in json.loads(out)["warnings"] if "sets of texts" in one]
    assert len(said) == 1 and "on 15 texts of every row, which is what b.txt has" in said[0]
    code, out, err = cli("evaluate", a, b, *told, "--size", "10")
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


# --- messages ---


def test_a_pickle_with_line_ends_of_text_is_called_damaged(tmp_path: Path) -> None:
    arrays = [np.zeros((2, 2), dtype=np.float32)] * len(FILE_ORDER)
    path = tmp_path / "crlf.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=0).replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match=r"crlf.pkl' is damaged: all its line feeds .*autocrlf"):
        load_oracle(path, 20)
    path.write_bytes(b"\x80\x02cos\nsys\ttem\n.")
    with pytest.raises(UserError, match=r"neither an .npz nor a pickle of arrays") as refused:
        load_oracle(path, 20)
    assert str(refused.value).isprintable()


def test_filters_that_do_not_fit_name_both_settings(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("".join(f"{a} {b}\n" for a in "abcdefg" for b in "abcdefg"))
    told = ["train", "relgan", "--data", "a.txt", "data.min_count=1"]
    code, _, err = cli(*told)
    remedy = "discriminator.sizes=[2,3] discriminator.counts=[300,300]"
    assert code == 2 and f"give smaller ones and as many counts, such as {remedy}" in err
    tiny = ["schedule.mle_epochs=1", "schedule.rounds=0", "evaluation.samples=10"]
    code, _, err = cli(*told, *remedy.split(), *tiny, "evaluation.final_samples=10")
    assert code == 0, err


def test_one_class_is_nothing_to_tell(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("".join(f"good\t{line}\n" for line in ORDINARY))
    for command in (["classify", path], ["train", "seqgan", "--data", path]):
        code, _, err = cli(*command)
        assert code == 2 and err.endswith("the label 'good'; give at least two labels\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "seqgan", "--data", "a", "--data", "b"], "--data is given 2 times"),
        (["train", "seqgan", "--seed=1", "seed=2", "--seed", "3"], "--seed is given 2 times"),
        (["sample", "run", "-n", "1", "--number", "2", "-n", "3"], "-n is given 3 times"),
        (["evaluate", "a", "--references", "b", "--references", "c"], "--references is given 2"),
        (["encode", "simcse", "--out", "a", "--data", "b", "--out", "a"], "--out is given 2 times"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(
    arguments: list[str], said: str, cli: Cli
) -> None:
    code, _, err = cli(*arguments)
    assert code == 2 and f"{said}" in err and "takes one value; give it once" in err
    assert err.count("\n") == 1


def test_options_that_take_several_values_still_do(cli: Cli) -> None:
    code, _, err = cli("evaluate", "none", "--aligned", "a", "--aligned", "b", "--set", "x.y=1")
    assert code == 2 and "given" not in err
    code, _, err = cli("list", "--json", "--json")
    assert code == 0, err
