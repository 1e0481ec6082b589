"""textgan encode: every method trains, what it leaves is whole, and what cannot be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny
from torch.nn import Dropout
from toys import Cli, refused

from textgan.core.errors import UserError
from textgan.core.optim import Backward, Loss, NotFinite
from textgan.core.settings import make_settings
from textgan.core.tensors import load_tensors
from textgan.encoders.config import EncoderConfig
from textgan.encoders.contrast.base import Batch
from textgan.encoders.contrast.simcse import SimCSE
from textgan.encoders.folder import SavedEncoder, load_encoder, open_encoder
from textgan.encoders.templates import FIRST, Template
from textgan.encoders.train import encode
from textgan.encoders.trainer import prepare

TOY: dict[str, Any] = {
    "epochs": 2,
    "batch": 8,
    "network.embedding": 8,
    "network.layers": 1,
    "network.heads": 2,
    "data.min_count": 1,
}
FLAGS = [f"{key}={value}" for key, value in TOY.items()]
STARTED = FLAGS[:2]  # the rest is decided by what it starts from


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    nouns, verbs = ["cat", "dog", "tree", "house", "bird"], ["sees", "likes", "finds"]
    path.write_text(
        "".join(
            f"the {one} {verb} the old {other}\n"
            for one in nouns
            for verb in verbs
            for other in nouns
            if one != other
        )
    )
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.tsv"
    nouns, moods = ["cat", "dog", "tree", "house", "bird"], {"good": "likes", "bad": "hates"}
    path.write_text(
        "".join(
            f"{mood}\tthe {one} {verb} the {other}\n"
            for one in nouns
            for other in nouns
            for mood, verb in moods.items()
        )
    )
    return path


@pytest.fixture(scope="module")
def mlm(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "mlm"
    encode("mlm", data=text, out=folder, quiet=True, **TOY)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "encoder.safetensors")[0]


# what a finished folder is


@pytest.mark.parametrize("network", ["transformer", "rnn", "cnn"])
@pytest.mark.parametrize("method", ["simcse", "uscal", "scal"])
def test_methods_train_from_scratch(
    method: str, network: str, text: Path, labelled: Path, tmp_path: Path, cli: Cli
) -> None:
    out, sizes = tmp_path / "encoder", {
        "transformer": FLAGS[2:5],
        "rnn": ["network.embedding=4", "network.hidden=3"],
        "cnn": ["network.sizes=[1,2]", "network.counts=[4,4]"],
    }  # fmt: skip
    data = labelled if method == "scal" else text
    told = [*STARTED, "data.min_count=1", *sizes[network]]
    code, shown, err = cli(
        "encode", method, *told, "--data", data, "--out", out, "--network", network
    )
    assert code == 0, err
    assert "best, update" in shown
    assert f"--encoder {out}" in shown
    assert {path.name for path in out.iterdir() if "tfevents" not in path.name} == {
        "encoder.json", "encoder.safetensors", "results.json", "metrics.jsonl",
    }  # fmt: skip
    assert any("tfevents" in path.name for path in out.iterdir())
    points = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    measure = "valid/accuracy" if method == "scal" else "valid/contrastive_loss"
    assert [point["tick"] for point in points] == [1, 2]
    assert all(measure in point and "encode/loss" in point for point in points)
    assert not any("head" in name for name in weights(out))
    encoder = open_encoder(str(out))
    vectors = encoder.encode_lines(["the cat", "a red house", "the cat"])
    assert vectors.isfinite().all()
    assert torch.equal(vectors[0], vectors[2])
    assert not torch.equal(vectors[0], vectors[1])


def test_prompts_start_from_masked_words(text: Path, mlm: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "encoder"
    code, shown, err = cli(
        "encode",
        "promptbert",
        *STARTED,
        "perturb=vat",
        "--data",
        text,
        "--out",
        out,
        "--start",
        mlm,
    )
    assert code == 0, err
    assert "contrastive loss" in shown
    found = load_encoder(out)
    assert (found.facts["pooling"], found.facts["template"]) == ("mask", FIRST)
    assert found.facts["start"] == load_encoder(mlm).name
    assert found.tokenizer.name == load_encoder(mlm).tokenizer.name
    vectors = found.encode_lines(["the cat sees a dog"])
    ids = found.tokenizer.encode(["the cat sees a dog"])
    state = Template.of(FIRST, found.tokenizer).state(found.network, ids)  # type: ignore[arg-type]
    torch.testing.assert_close(vectors, state.detach().double())
    assert not torch.allclose(vectors, found.network.features(found.tokenizer.pad(ids)).double())


def test_a_start_is_where_training_begins(text: Path, labelled: Path, mlm: Path) -> None:
    told = make_settings(EncoderConfig, {"batch": 8})
    trainer = prepare("simcse", text, None, mlm, told, 0, torch.device("cpu"), True)
    for name, weight in weights(mlm).items():
        assert torch.equal(trainer.initial.network.state_dict()[name], weight), name
    # measuring leaves recurrent layers as cuDNN trains them, and dropout off
    trainer.measure()
    assert trainer.objective.training
    assert not any(
        part.training for part in trainer.objective.modules() if isinstance(part, Dropout)
    )
    # a classifier of other classes than its start has a last layer of its own
    trainer = prepare("scal", labelled, "transformer", mlm, told, 0, torch.device("cpu"), True)
    assert trainer.initial.network.output.out_features == 2
    assert trainer.initial.network.space.classes == 2
    assert torch.equal(trainer.initial.network.state_dict()["places"], weights(mlm)["places"])


def test_the_words_of_templates_are_kept(mlm: Path) -> None:
    words = json.loads((mlm / "encoder.json").read_text())["tokenizer"]["words"]
    assert {"<mask>", "This", "sentence", "means", '"', ":", "."} <= set(words)


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
    found = []
    for every in (1, 0):
        out = tmp_path / str(every)
        encode("mlm", data=text, out=out, quiet=True, every=every, **TOY)
        points = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        found.append({point["step"]: point["valid/masked_word_loss"] for point in points})
    often, seldom = found
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
    told = TOY | {"epochs": 6, "lr": 2e-2}
    made = encode("mlm", data=text, out=tmp_path / "m", quiet=True, **told)
    before, after = (row["masked word loss"] for row in made.rows.values())
    assert after < before - 0.5
    made = encode("scal", data=labelled, out=tmp_path / "s", quiet=True, seed=1, **told)
    assert [row["accuracy"] for row in made.rows.values()][1] == 1.0
    assert made.best["value"] == 1.0


def test_equal_lines_are_no_negatives(tmp_path: Path, text: Path) -> None:
    twice = tmp_path / "twice.txt"
    twice.write_text(text.read_text() * 2)
    device = torch.device("cpu")
    told = make_settings(EncoderConfig, {"data.min_count": 1})
    trainer = prepare("simcse", twice, None, None, told, 0, device, True)
    for part in (trainer.data.train, trainer.data.valid, trainer.data.test):
        assert len({tuple(ids) for ids in part.batch.ids}) == len(part)


# perturbations


@pytest.mark.torch_random
@pytest.mark.parametrize(
    ("method", "told"),
    [("simcse", "fgm(epsilon=0.5)"), ("simcse", "free_at(replays=2)"), ("simcse", "vat"),
     ("mlm", "freelb"), ("mlm", "smart")],
)  # fmt: skip
def test_a_perturbation_trains_other_weights(
    method: str, told: str, text: Path, tmp_path: Path
) -> None:
    plain = encode(method, data=text, out=tmp_path / "plain", quiet=True, **TOY)
    changed = encode(method, data=text, out=tmp_path / "changed", quiet=True, perturb=told, **TOY)
    one, other = weights(plain.folder), weights(changed.folder)
    assert not torch.equal(one["places"], other["places"])
    assert load_encoder(changed.folder).facts["training"]["perturb"] == told


# stopping


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


# errors


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (["simsce"], "did you mean 'simcse'"),
        (["simcse", "contrast.epsilon=1"], "contrast.epsilon is not a setting"),
        (["simcse", "contrast.temperature=0"], "contrast.temperature = 0"),
        (["simcse", "epoch=1"], "epoch is not a setting; did you mean 'epochs'"),
        (["simcse", "data.tokenz=char"], "did you mean 'tokens'"),
        (["simcse", "network.hidden=3"], "network.hidden is not a setting"),
        (["simcse", "network=rnn"], "network is no setting; give it as an option"),
        (["simcse", "batch=1"], "batch = 1"),
        (["simcse", "lr=nan"], "lr = nan"),
        (["simcse", "--network", "rnm"], "did you mean 'rnn'"),
        (["simcse", "--device", "tpu"], "device = 'tpu'"),
        (["simcse", "network.dropout=0"], "give network.dropout = 0.1"),
        (["simcse", "network.heads=3"], "network transformer: embedding = 64 is not divisible"),
        (["simcse", "perturb=fgn"], "did you mean 'fgm'"),
        (["uscal", "perturb=fgm"], "uscal shifts embeddings itself"),
        (["scal"], "has no labels, and scal learns from them"),
        (["promptbert"], "give --start FOLDER of textgan encode mlm"),
        (["promptbert", "--network", "rnn"], "give --start FOLDER"),
        (["mlm", "--network", "cnn"], "give --network transformer"),
        (["simcse", "--start", "nowhere"], "nowhere"),
        (["simcse", "data.vocabulary=1"], "at least 2 are needed"),
    ],
)
def test_what_cannot_be_is_refused(
    told: list[str], why: str, text: Path, tmp_path: Path, cli: Cli
) -> None:
    line = refused(cli, "encode", *told, "--data", text, "--out", tmp_path / "out")
    assert why in line
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be(text: Path, mlm: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    assert "there is no such file" in refused(
        cli, "encode", "simcse", "--data", tmp_path / "none.txt", "--out", out
    )
    few = tmp_path / "few.txt"
    few.write_text("a b\n" * 19 + "c d\n")
    assert str(few) in refused(cli, "encode", "simcse", "--data", few, "--out", out)
    # one different sentence for validation
    told = ["encode", "simcse", "data.valid=0.01", "--data", text, "--out", out]
    assert "leaves 1 different sentence for valid" in refused(cli, *told)
    assert not out.exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    assert "is in use" in refused(cli, "encode", "simcse", "--data", text, "--out", full)
    assert "is in use" in refused(cli, "encode", "simcse", "--data", text, "--out", text)
    assert (full / "mine.txt").read_text() == "mine"


def test_starts_that_do_not_fit(text: Path, mlm: Path, tmp_path: Path, cli: Cli) -> None:
    def refusal(*told: object) -> str:
        return refused(cli, "encode", *told, "--data", text, "--out", tmp_path / "o")

    assert "--network rnn does not fit --start" in refusal(
        "simcse", "--network", "rnn", "--start", mlm
    )
    assert "data.length = 9" in refusal("simcse", "data.length=9", "--start", mlm)
    assert "network.layers" in refusal("simcse", "network.layers=2", "--start", mlm)
    assert "give one [X]" in refusal("promptbert", "contrast.first=x", "--start", mlm)
    assert "no word for all of 'Wow'" in refusal(
        "promptbert", "contrast.first=Wow [X] [MASK]", "--start", mlm
    )
    encode("simcse", data=text, out=tmp_path / "s", quiet=True, **TOY)
    assert "no token for [MASK]" in refusal("promptbert", "--start", tmp_path / "s")
    (mlm / "results.json").unlink()  # is no part of the encoder
    load_encoder(mlm)


def test_python_is_told_the_same(text: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed = -1"):
        encode(data=text, out=tmp_path / "o", seed=-1)
    with pytest.raises(UserError, match="epochs = 0"):
        encode(data=text, out=tmp_path / "o", epochs=0)


# pretrained networks


@pytest.mark.parametrize("method", ["simcse", "uscal", "scal", "promptbert"])
def test_pretrained_networks_go_on(method: str, tmp_path: Path, cli: Cli) -> None:
    folder = tiny(tmp_path / "tiny", head=True)
    words = ["a", "man", "rides", "the", "wave", "on", "red", "board"]
    data = tmp_path / "toy.tsv"
    data.write_text("".join(f"{'xy'[i % 2]}\t{words[i % 8]} {words[i // 8]}\n" for i in range(64)))
    template = ["contrast.first=a [X] on [MASK]", "contrast.second=the [X] on [MASK]"]
    told = [*STARTED, *(template if method == "promptbert" else [])]
    network = f"hf:{folder}"
    place = ["--data", data, "--out", tmp_path / "out"]
    code, _, err = cli("encode", method, *told, *place, "--network", network)
    assert code == 0, err
    encoder = load_encoder(tmp_path / "out")
    assert encoder.encode_lines(["a man", "red"]).isfinite().all()
    line = refused(
        cli, "encode", method, "data.vocabulary=9", *place[:2], "--out", tmp_path / "o",
        "--network", network,
    )  # fmt: skip
    assert "has a tokenizer of its own" in line
    # and on, from the folder of the first
    code, _, err = cli(
        "encode", method, *told, *place[:2], "--out", tmp_path / "on", "--start", tmp_path / "out"
    )
    assert code == 0, err
    assert load_encoder(tmp_path / "on").facts["start"] == encoder.name
