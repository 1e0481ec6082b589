"""Corpora of the field, recognised and not shipped."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT, SHARED_DATA

from textgan.data.datasets import KNOWN, recognise


@pytest.mark.parametrize("name", ["captions.txt", "questions.tsv", "dialogues.tsv"])
def test_shipped_texts_are_the_known_ones(name: str, tmp_path: Path) -> None:
    content = (ROOT / "data" / name).read_bytes()
    assert recognise(hashlib.sha256(content).hexdigest()) == Path(name).stem
    made = "make_captions" if name.endswith(".txt") else "make_pairs"
    shutil.copy(ROOT / f"data/{made}.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / f"{made}.py"], check=True)
    assert (tmp_path / name).read_bytes() == content


def test_names_and_hashes_are_different() -> None:
    assert len({entry.name for entry in KNOWN}) == len({entry.sha256 for entry in KNOWN})
    assert len({entry.name for entry in KNOWN}) == len(KNOWN)


@pytest.mark.shared_data
def test_multi30k_is_the_known_one() -> None:
    folder = SHARED_DATA / "multi30k"
    for file, part in {"train": "train", "val": "valid", "test_2016_flickr": "test"}.items():
        for side in ("en", "de"):
            sha256 = hashlib.sha256((folder / f"{file}.{side}").read_bytes()).hexdigest()
            assert recognise(sha256) == f"multi30k-{part}-{side}"


def test_chitchat_becomes_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("chitchat", ROOT / "experiments/chitchat.py")
    assert spec is not None and spec.loader is not None
    chitchat = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chitchat)
    talks = [
        [["Hello", "How's it going?"], ["fine"], [" "], ["OK, bye <3"]],
        [["only one"]],
        [["a b"], ["c"]],
    ]
    content = {
        str(number): {"messages": [[{"text": text} for text in turn] for turn in turns]}
        for number, turns in enumerate(talks)
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    digest = hashlib.sha256((tmp_path / "dataset.json").read_bytes()).hexdigest()
    with pytest.raises(SystemExit, match=r"is not that of chitchat-dataset 0.9.0"):
        chitchat.main(tmp_path / "a.tsv", tmp_path / "dataset.json")
    monkeypatch.setattr(chitchat, "SHA256", digest)
    chitchat.main(tmp_path / "a.tsv", tmp_path / "dataset.json")
    assert (tmp_path / "a.tsv").read_text().splitlines() == [
        "hello how's it going ?\tfine",
        "fine\tok , bye < 3",
        "",
        "a b\tc",
    ]


def test_data_is_recognised_and_not_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    assert not [name for name in names if name.endswith((".npz", ".pkl", ".pt"))]
    assert recognise("0" * 64) is None
