"""Options of the command line: given twice, several values, remedies that name both settings."""

from pathlib import Path

import pytest
from toys import Cli

ORDINARY = [f"a {a} sees the {b} ." for a in ("dog", "cat", "man", "sun") for b in "abcdefghij"]


# --- messages ---


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
