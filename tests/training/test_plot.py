"""The picture of a run's curves."""

import json
import warnings
from pathlib import Path

import pytest
from lines import ENGLISH, TINY
from toys import TOY, Cli

import textgan
from textgan.training.config import make_config
from textgan.training.plot import plot_curves
from textgan.training.run import create_run

pytestmark = pytest.mark.usefixtures("pictures")


def test_the_picture_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = TOY | {"schedule.rounds": 0, "schedule.mle_epochs": 1}
    textgan.train("seqgan", out=tmp_path / "without", plot=False, **short)
    assert "curves.png" not in capsys.readouterr().err
    textgan.train("seqgan", out=tmp_path / "with", **short)
    assert "curves.png" in capsys.readouterr().err
    names = [{path.name for path in (tmp_path / one).iterdir()} for one in ("with", "without")]
    assert names[0] - names[1] >= {"curves.png"}
    results = [(tmp_path / one / "samples.txt").read_text() for one in ("with", "without")]
    assert results[0] == results[1]


def test_a_picture_does_not_complain_of_its_font(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    Path("春夏.txt").write_text("\n".join(ENGLISH), "utf-8")
    arguments = ["train", "mle", "--data", "春夏.txt", *TINY, "schedule.rounds=0", "--out", "run"]
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        code, _, err = cli(*arguments)
    assert code == 0 and Path("run/curves.png").is_file()
    assert not any("Glyph" in str(one.message) for one in complaints) and "Glyph" not in err


EPOCHS = ["mle", "mle", "discriminator", "adversarial"]
LEVEL = {"generator", "entropy of the oracle"}


@pytest.mark.parametrize(
    ("phases", "tags", "shown", "label"),
    [
        (EPOCHS, ["nll_oracle"], {"NLL_oracle: quality": LEVEL}, "MLE epochs, then rounds"),
        (["mle"], ["nll_valid", "sacrebleu_valid"], {
            "NLL of held-out text: coverage": {"validation text", "entropy of the oracle"},
            "BLEU of greedy answers": {"to validation sources"},
        }, "MLE epochs"),
        (["adversarial"] * 2, ["jsd1", "jsd2"], {
            "distance of n-grams from the training text": {"JSD-1", "JSD-2"}
        }, "rounds"),
        ([], [], {}, ""),
    ],
)  # fmt: skip
def test_what_there_is_of_a_run_is_drawn(
    phases: list[str],
    tags: list[str],
    shown: dict[str, set[str]],
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    run = create_run(make_config("seqgan", TOY), tmp_path / "run")
    records = [
        {"tick": i, "phase": phase} | {f"eval/{tag}": i + 0.5 for tag in tags}
        for i, phase in enumerate(phases)
    ]
    (run.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    assert plot_curves(run)
    assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    axes = [one for one in figure.axes if one.get_visible()]
    legends = [{text.get_text() for text in one.get_legend().get_texts()} for one in axes]
    assert dict(zip([one.get_title() for one in axes], legends, strict=True)) == shown
    assert {one.get_xlabel() for one in axes} == ({label} if label else set())
    values = (
        [r[f"eval/{tags[0]}"] for r in records if r["phase"] != "discriminator"] if tags else []
    )
    for one in axes:
        assert list(one.lines[0].get_ydata()) == values
