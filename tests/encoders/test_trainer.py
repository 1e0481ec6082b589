"""Training an encoder: the same twice, the best kept, stopped in one line."""

import json
from pathlib import Path

import pytest
import torch
from encoded import FLAGS, TOY, weights
from toys import Cli

from textgan.core.optim import Backward, Loss, NotFinite
from textgan.encoders.contrast.base import Batch
from textgan.encoders.contrast.simcse import SimCSE
from textgan.encoders.folder import SavedEncoder, load_encoder, open_encoder
from textgan.encoders.train import encode


def test_the_seed_decides_everything(text: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    folders = [tmp_path / name for name in ("one", "two", "three")]
    tables = [
        encode("uscal", data=text, out=folder, seed=seed, quiet=True, **TOY)
        for folder, seed in zip(folders, (1, 1, 2), strict=True)
    ]
    files = [(folder / "encoder.safetensors").read_bytes() for folder in folders]
    assert files[0] == files[1] != files[2]
    points = [(folder / "metrics.jsonl").read_text() for folder in folders]
    assert points[0] == points[1] != points[2]
    assert tables[0].rows == tables[1].rows
    assert torch.equal(torch.get_rng_state(), before)


def test_measuring_does_not_disturb(text: Path, tmp_path: Path) -> None:
    """More validations, the same updates."""
    result = []
    for every in (1, 0):
        out = tmp_path / str(every)
        encode("mlm", data=text, out=out, quiet=True, every=every, **TOY)
        points = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        result.append({point["step"]: point["valid/masked_word_loss"] for point in points})
    often, seldom = result
    assert len(often) > len(seldom) == 2
    assert seldom.items() <= often.items()


def test_the_best_state_is_kept(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, values = [], iter([5.0, 3.0, 2.0, 4.0, 2.0, 9.0, 9.0])

    def validation_step(self: SimCSE, batch: Batch) -> torch.Tensor:
        seen.append({k: w.clone() for k, w in self.network.state_dict().items()})
        return torch.tensor(next(values))

    monkeypatch.setattr(SimCSE, "validation_step", validation_step)
    out = tmp_path / "encoder"
    made = encode("simcse", data=text, out=out, quiet=True, **TOY | {"epochs": 3, "batch": 16})
    # the second call is that of the validation before training, the last that of the table
    assert made.best == {"measure": "contrastive_loss", "value": 2.0, "update": 3}
    kept = weights(out)
    assert all(torch.equal(kept[name], weight) for name, weight in seen[2].items())
    assert not torch.equal(kept["embedding.weight"], seen[3]["embedding.weight"])


def test_training_that_helps_nothing_says_so(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimCSE, "validation_step", lambda *_: torch.tensor(1.0))
    made = encode("simcse", data=text, out=tmp_path / "encoder", quiet=True, **TOY)
    assert made.best["update"] == 0
    assert "warning: training made contrastive_loss of held-out lines no better" in str(made)
    assert json.loads((tmp_path / "encoder/results.json").read_text())["warnings"]


def test_training_learns(text: Path, labelled: Path, tmp_path: Path) -> None:
    settings = TOY | {"epochs": 6, "lr": 2e-2}
    made = encode("mlm", data=text, out=tmp_path / "m", quiet=True, **settings)
    before, after = (row["masked word loss"] for row in made.rows.values())
    assert after < before - 0.5
    made = encode("scal", data=labelled, out=tmp_path / "s", quiet=True, seed=1, **settings)
    assert [row["accuracy"] for row in made.rows.values()][1] == 1.0
    assert made.best["value"] == 1.0


@pytest.mark.torch_random
@pytest.mark.parametrize(
    ("method", "expected"),
    [("simcse", "fgm(epsilon=0.5)"), ("simcse", "free_at(replays=2)"), ("simcse", "vat"),
     ("mlm", "freelb"), ("mlm", "smart")],
)  # fmt: skip
def test_a_perturbation_trains_other_weights(
    method: str, expected: str, text: Path, tmp_path: Path
) -> None:
    plain = encode(method, data=text, out=tmp_path / "plain", quiet=True, **TOY)
    changed = encode(
        method, data=text, out=tmp_path / "changed", quiet=True, perturb=expected, **TOY
    )
    one, other = weights(plain.folder), weights(changed.folder)
    assert not torch.equal(one["places"], other["places"])
    assert load_encoder(changed.folder).facts["training"]["perturb"] == expected


def test_ctrl_c_keeps_the_best(
    text: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, calls = SimCSE.accumulate, []

    def stopping(self: SimCSE, batch: Batch, backward: Backward) -> Loss:
        calls.append(1)
        if len(calls) == 9:  # in the second epoch
            raise KeyboardInterrupt
        return really(self, batch, backward)

    monkeypatch.setattr(SimCSE, "accumulate", stopping)
    out = tmp_path / "encoder"
    code, shown, err = cli("encode", "simcse", *FLAGS, "--data", text, "--out", out)
    assert (code, shown) == (130, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("textgan: stopped; the best state so far (update ")
    assert last.endswith(f"is in {out}")
    assert open_encoder(str(out)).encode_lines(["the cat"]).isfinite().all()
    assert not (out / "results.json").exists()


def test_what_is_not_finite_stops_and_keeps_the_best(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SimCSE, batch: Batch, backward: Backward) -> Loss:
        return backward(self.network, lambda: (self.view(self.read(batch)).sum() * torch.nan, {}))

    monkeypatch.setattr(SimCSE, "accumulate", broken)
    out = tmp_path / "encoder"
    with pytest.raises(NotFinite, match=r"update 0 of .* is in .*; try a smaller lr"):
        encode("simcse", data=text, out=out, quiet=True, **TOY)
    assert isinstance(open_encoder(str(out)), SavedEncoder)
    monkeypatch.setattr(SimCSE, "validation_step", lambda *_: torch.tensor(torch.nan))
    with pytest.raises(NotFinite, match="contrastive_loss of held-out lines is nan before"):
        encode("simcse", data=text, out=tmp_path / "other", quiet=True, **TOY)
    assert not (tmp_path / "other").exists()
