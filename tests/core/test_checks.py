"""What functions are given from Python: a wrong type is one line, numpy's numbers are numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import TOY

import textgan
from textgan.core.errors import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("checks") / "run"
    settings = {key: value for key, value in TOY.items() if key != "objective.rollouts"}
    textgan.train("reinforce", out=out, quiet=True, **settings)
    return out


NO_PATHS: list[Any] = [None, b"run", 3, 2.5, []]


@pytest.mark.parametrize("value", NO_PATHS, ids=repr)
@pytest.mark.parametrize(
    "name",
    ["sample", "curve", "report", "resume", "open_run", "classify", "load_classifier",
     "open_encoder", "check"],
)  # fmt: skip
def test_what_names_no_folder_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError) as result:
        getattr(textgan, name)(value)
    message = str(result.value)
    assert repr(value) in message
    assert "a str" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [None, b"run", 3, {"a": 1}], ids=repr)
def test_what_is_no_source_of_texts_is_refused(value: Any, run: Path) -> None:
    for call in (
        lambda: textgan.evaluate(value),
        lambda: textgan.compare(value, run),
        lambda: textgan.evaluate(["a b"], references=value if value is not None else 2),
        lambda: textgan.evaluate(["a b"], references=["a"], aligned=[value]),
    ):
        with pytest.raises(UserError, match="give a list of strings, or a file"):
            call()


@pytest.mark.parametrize("value", [3, b"x", [None], [], "", {"bleu": 1}], ids=repr)
def test_metrics_are_names(value: Any, run: Path) -> None:
    for measure in (textgan.evaluate, textgan.compare, textgan.curve):
        with pytest.raises(UserError, match="give at least one name"):
            measure(run, metrics=value)


def test_numpys_numbers_are_numbers(run: Path) -> None:
    expected = textgan.sample(run, 3, temperature=0.5, seed=2)
    settings = {"temperature": np.float32(0.5), "seed": np.int64(2)}
    assert textgan.sample(run, np.int64(3), **settings) == expected  # type: ignore[arg-type]
    wrong: list[dict[str, Any]] = [
        {"n": 2.5}, {"n": True}, {"n": "3"}, {"seed": 1.0}, {"temperature": np.nan}, {"label": 5},
    ]  # fmt: skip
    for given in wrong:
        ((name, value),) = given.items()
        with pytest.raises(UserError, match=f"^{name} = {value!r}: give"):
            textgan.sample(run, **given)


@pytest.mark.parametrize("value", ["no", 1, None], ids=repr)
def test_consent_is_a_bool(value: Any, run: Path) -> None:
    for call in (
        textgan.open_run, textgan.sample, textgan.resume, textgan.evaluate, textgan.compare,
        textgan.curve, textgan.report, lambda _, trust_code: textgan.train(trust_code=trust_code),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"^trust_code = {value!r}: give True or False"):
            call(run, trust_code=value)
