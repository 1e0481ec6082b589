"""textgan classify: what it learns, the same twice, nothing lost, and what it says."""

import json
from pathlib import Path

import pytest
from classified import FLAGS, ONE_EPOCH, TROUBLES, after_each_update, trained, untimed
from toys import Cli, refused

from textgan.classifiers.results import FILE
from textgan.classifiers.train import split_names


@pytest.mark.torch_random
def test_a_separable_corpus_is_learnt(reviews: Path) -> None:
    made = trained(reviews, "fgm(epsilon=0.1)")
    assert made.names == ["none", "fgm(epsilon=0.1)"]
    assert made.measures == TROUBLES
    for one in made.runs:
        assert one.accuracy["clean"] == 1.0
        assert one.valid == 1.0
        # nothing was done to these
        assert one.accuracy["attack 0"] == one.accuracy["drop 0"] == one.accuracy["typo 0"] == 1.0
        assert one.accuracy["attack 0.3"] < 1.0
        assert one.accuracy["drop 0.3"] < 1.0
        assert one.accuracy["typo 0.3"] < 1.0
        assert 1 <= one.epoch <= one.epochs == 6


def test_a_stopped_command_goes_on(reviews: Path, tmp_path: Path, cli: Cli) -> None:
    arguments = ["classify", reviews, *ONE_EPOCH, "--perturb", "none,fgm", "--seeds", 2]
    folder, updates, each = tmp_path / "study", 0, 7  # updates of a classifier

    def stopping() -> None:
        nonlocal updates
        updates += 1
        if updates == 3 * each + 2:
            raise KeyboardInterrupt

    with after_each_update(stopping):
        code, out, err = cli(*arguments, "--out", folder)
    assert (code, out) == (130, "")
    assert err.strip() == (
        f"textgan: stopped; 3 of 4 runs are in {folder}: the same command goes on"
    )
    there = json.loads((folder / FILE).read_text())["runs"]
    order = [("none", 0), ("fgm", 0), ("none", 1), ("fgm", 1)]  # seed by seed
    assert [(one["perturb"], one["seed"]) for one in there] == order[:3]
    with after_each_update(stopping):
        code, out, err = cli(*arguments, "--out", folder)
    assert code == 0, err
    # what was there is not trained again
    assert updates == 3 * each + 2 + each
    there = json.loads((folder / FILE).read_text())["runs"]
    assert [(one["perturb"], one["seed"]) for one in there] == order
    with after_each_update(stopping):
        assert cli(*arguments, "--out", folder)[:2] == (0, out)
    assert updates == 3 * each + 2 + each
    whole = trained(reviews, "fgm", 2, epochs=1)
    kept = json.loads((folder / FILE).read_text())
    for one in kept["runs"]:
        del one["seconds"]
    assert kept["runs"] == untimed(whole)
    assert kept["accuracies"]["fgm"]["clean"] == whole.accuracies()["fgm"]["clean"].to_dict()
    # another command has no business there
    message = refused(cli, *arguments, "--out", folder, "clip=3")
    assert f"{folder} holds another study: settings.clip is 5.0 there and 3.0 here" in message
    message = refused(cli, *arguments[:-1], 3, "--out", folder)
    assert "seeds is 2 there and 3 here; choose another --out" in message
    (folder / FILE).write_text("{")
    assert "is damaged" in refused(cli, *arguments, "--out", folder)


def test_nothing_is_overwritten(reviews: Path, tmp_path: Path, cli: Cli) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    assert "is in use; choose another folder" in refused(
        cli, "classify", reviews, *FLAGS, "--out", tmp_path
    )
    assert "is in use" in refused(cli, "classify", reviews, *FLAGS, "--out", note)
    assert note.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    below = refused(cli, "classify", reviews, *FLAGS, "--out", note / "deeper")
    assert "cannot be written" in below


def test_names_of_a_list() -> None:
    assert split_names("fgm, pgd(epsilon=1.0, steps=2),fgm,") == [
        "none",
        "fgm",
        "pgd(epsilon=1.0, steps=2)",
    ]
    assert split_names("") == ["none"]
    assert split_names("fgm,none") == ["none", "fgm"]
