"""Options of the command line: given twice, several values, remedies that name both settings."""

from pathlib import Path

import pytest
from toys import Cli

ORDINARY = [f"a {a} sees the {b} ." for a in ("dog", "cat", "man", "sun") for b in "abcdefghij"]


def test_one_class_is_nothing_to_tell(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("".join(f"good\t{line}\n" for line in ORDINARY))
    for command in (["classify", path], ["train", "seqgan", "--data", path]):
        code, _, err = cli(*command)
        assert code == 2 and err.endswith("the label 'good'; give at least two labels\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "seqgan", "--data", "a", "--data", "b"], "--data is given 2 times"),
        (["train", "seqgan", "--seed=1", "seed=2", "--seed", "3"], "--seed is given 2 times"),
        (["sample", "run", "-n", "1", "--number", "2", "-n", "3"], "-n is given 3 times"),
        (["evaluate", "a", "--references", "b", "--references", "c"], "--references is given 2"),
        (["encode", "simcse", "--out", "a", "--data", "b", "--out", "a"], "--out is given 2 times"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(
    arguments: list[str], message: str, cli: Cli
) -> None:
    code, _, err = cli(*arguments)
    assert code == 2 and f"{message}" in err and "takes one value; give it once" in err
    assert err.count("\n") == 1


def test_options_that_take_several_values_still_do(cli: Cli) -> None:
    code, _, err = cli("evaluate", "none", "--aligned", "a", "--aligned", "b", "--set", "x.y=1")
    assert code == 2 and "given" not in err
    code, _, err = cli("list", "--json", "--json")
    assert code == 0, err
