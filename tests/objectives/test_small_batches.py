"""Batches of one real and one fake text, with and without labels, for the methods that might not
stand them: they train on, with numbers that are numbers."""

from pathlib import Path

import pytest
from family import toy
from toys import toy_text

import textgan
from textgan.core.log import read_records

NAMES = ("leakgan", "bgan", "bgan_continuous", "coldgan", "relgan", "wgan", "wgan_gp")


@pytest.mark.parametrize("labels", [False, True], ids=["plain", "labelled"])
@pytest.mark.parametrize("name", NAMES)
def test_batches_of_one_real_and_one_fake(name: str, labels: bool, tmp_path: Path) -> None:
    told = {key: value for key, value in toy(name).items() if not key.startswith("oracle.")}
    data = toy_text(tmp_path, 24)
    if labels:
        lines = data.read_text("utf-8").splitlines()
        data = tmp_path / "toy.tsv"
        data.write_text("".join(f"{'ab'[i % 2]}\t{x}\n" for i, x in enumerate(lines)), "utf-8")
    told |= {"schedule.batch_size": 2, "schedule.rounds": 2, "schedule.fakes": 2}
    if told["schedule.mle_epochs"]:
        told["schedule.mle_epochs"] = 1
    if name == "leakgan":
        told["objective.baseline"] = "batch"
    textgan.train(name, data=data, out=tmp_path / "run", quiet=True, plot=False, **told)
    rounds = [r for r in read_records(tmp_path / "run") if r["phase"] == "adversarial"]
    assert len(rounds) == 2
    for record in rounds:
        assert record["generator/gradient_norm"] > 0
        assert all(value == value for value in record.values())  # no NaN
