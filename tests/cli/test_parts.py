"""textgan list, data list and check."""

import json
from pathlib import Path

import pytest
from parts import METHOD
from promises import METRIC, written
from toys import Cli


def test_list_names_every_part_with_its_settings(cli: Cli) -> None:
    result = json.loads(cli("list", "--json")[1])
    assert len(result["objective"]) >= 23
    assert result["objective"]["wgan"]["prefers"]["optimisers.method"] == "rmsprop"
    ours = [name for name in result["objective"] if not name.startswith("my_")]  # of other tests
    assert all(result["objective"][name]["paper"] for name in ours)
    assert {"lstm", "gru"} <= result["generator"].keys()
    assert {"cnn", "rnn"} <= result["discriminator"].keys()
    rollouts = {s["name"]: s for s in result["objective"]["seqgan"]["settings"]}["rollouts"]
    assert rollouts["default"] == 16
    assert rollouts["type"] == "int"
    listed = cli("list")[1]
    shown = " ".join(listed.split())  # lines are wrapped
    for kind, parts in result.items():
        for name, part in parts.items():
            assert f"{name}: {part['doc']}" in shown
            assert part["paper"] in shown
            assert all(f"{key}={value}" in shown for key, value in part["prefers"].items())
            for setting in part["settings"]:
                at = {"metric": f"{name}.", "perturbation": " "}.get(kind, f"{kind}.")
                default = json.dumps(setting["default"])
                assert f"{at}{setting['name']} = {default} ({setting['values']})" in shown
                assert setting["doc"] or name.startswith("my_"), (name, setting)
    assert "Annotated" not in listed
    assert "(whole number) completions of each prefix; paper: 16" in shown
    assert "(list of numbers) of kernels, times the mean squared distance" in shown
    assert "(true/false)" in shown


def test_data_list(cli: Cli) -> None:
    known = json.loads(cli("data", "list", "--json")[1])
    assert {"oracle", "captions", "coco-train", "quatrains-5"} <= {entry["name"] for entry in known}
    assert "sha256" in cli("data", "list")[1]


def test_the_command_prints_a_table_and_says_by_its_code_whether_all_passed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    written(METHOD)
    code, out, err = cli("check", "mine.py:Mine", "scale=2")
    assert (code, err) == (0, "")
    assert "0 failed: mine.py:Mine keeps its contract" in out
    written(METRIC, "Dots", "def measure(self, material): return 1.0")
    Path("mine.py").rename("other.py")
    code, out, _ = cli("check", "other.py:Dots")
    assert code == 1
    assert "breaks its contract" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = cli("check", "other.py:Dots", "--json")
    result = json.loads(out)
    assert code == 1
    assert (result["kind"], result["passed"]) == ("metric", False)
    assert result["checks"][0]["result"] == "failed"
