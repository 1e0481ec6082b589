"""Corpora of the field, recognised and not shipped."""

import subprocess

from places import ROOT

from textgan.data.datasets import KNOWN, recognise


def test_shipped_captions_are_the_known_ones() -> None:
    import hashlib

    content = (ROOT / "data/captions.txt").read_bytes()
    assert recognise(hashlib.sha256(content).hexdigest()) == "captions"
    assert len({entry.name for entry in KNOWN}) == len(KNOWN)


def test_data_is_recognised_and_not_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    assert not [name for name in names if name.endswith((".npz", ".pkl", ".pt"))]
    assert recognise("0" * 64) is None
