"""textgan encode: every method trains, what it leaves is whole, and what cannot be is refused."""

import json
from pathlib import Path

import pytest
import torch
from encoded import FLAGS, STARTED, weights
from toys import Cli, refused

from textgan.core.errors import UserError
from textgan.encoders.folder import load_encoder, open_encoder
from textgan.encoders.templates import FIRST, Template
from textgan.encoders.train import encode


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
    arguments = [*STARTED, "data.min_count=1", *sizes[network]]
    code, shown, err = cli(
        "encode", method, *arguments, "--data", data, "--out", out, "--network", network
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
    result = load_encoder(out)
    assert (result.facts["pooling"], result.facts["template"]) == ("mask", FIRST)
    assert result.facts["start"] == load_encoder(mlm).name
    assert result.tokenizer.name == load_encoder(mlm).tokenizer.name
    vectors = result.encode_lines(["the cat sees a dog"])
    ids = result.tokenizer.encode(["the cat sees a dog"])
    state = Template.of(FIRST, result.tokenizer).state(result.network, ids)  # type: ignore[arg-type]
    torch.testing.assert_close(vectors, state.detach().double())
    assert not torch.allclose(vectors, result.network.features(result.tokenizer.pad(ids)).double())


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
    arguments = ["encode", "simcse", "data.valid=0.01", "--data", text, "--out", out]
    assert "leaves 1 different sentence for valid" in refused(cli, *arguments)
    assert not out.exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    assert "is in use" in refused(cli, "encode", "simcse", "--data", text, "--out", full)
    assert "is in use" in refused(cli, "encode", "simcse", "--data", text, "--out", text)
    assert (full / "mine.txt").read_text() == "mine"


def test_python_is_told_the_same(text: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed = -1"):
        encode(data=text, out=tmp_path / "o", seed=-1)
    with pytest.raises(UserError, match="epochs = 0"):
        encode(data=text, out=tmp_path / "o", epochs=0)
