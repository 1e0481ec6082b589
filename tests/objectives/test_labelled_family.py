"""Every method on labelled text: the labels are read, kept, written, and nothing breaks."""

from pathlib import Path

import pytest
from toys import TOY_TEXT, small_parts

import textgan
from textgan.core import registry
from textgan.training.run import open_run


@pytest.mark.parametrize("name", registry.names("objective"))
def test_every_method_trains_on_labelled_text(name: str, tmp_path: Path) -> None:
    data = tmp_path / "moods.tsv"
    lines = [f"{['good', 'bad'][i % 2]}\t{'so very much'[: i % 9 + 3]} {i % 7}" for i in range(90)]
    data.write_text("\n".join(lines) + "\n")
    objective = registry.find("objective", name)
    groups = ("seed", "schedule.", "evaluation.")
    told = {key: value for key, value in TOY_TEXT.items() if key.startswith(groups)}
    told |= small_parts(name) | {"schedule.fakes": 8}
    preferred = dict(objective.defaults) | registry.find("generator", objective.generator).defaults
    if preferred.get("schedule.mle_epochs") == 0:
        told["schedule.mle_epochs"] = 0
    textgan.train(name, data=str(data), out=tmp_path / "run", quiet=True, plot=False, **told)
    assert open_run(tmp_path / "run").corpus.label_names == ("bad", "good")
    written = (tmp_path / "run/samples.txt").read_text().splitlines()
    assert {line.split("\t")[0] for line in written} == {"bad", "good"}
