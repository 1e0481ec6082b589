"""What an encoder starts from."""

import json
from pathlib import Path

import pytest
import torch
from encoded import STARTED, TOY, weights
from tiny import tiny
from torch.nn import Dropout
from toys import Cli, refused

from textgan.core.settings import make_settings
from textgan.encoders.config import EncoderConfig
from textgan.encoders.folder import load_encoder
from textgan.encoders.train import encode
from textgan.encoders.trainer import prepare


def test_a_start_is_where_training_begins(text: Path, labelled: Path, mlm: Path) -> None:
    settings = make_settings(EncoderConfig, {"batch": 8})
    trainer = prepare("simcse", text, None, mlm, settings, 0, torch.device("cpu"), True)
    for name, weight in weights(mlm).items():
        assert torch.equal(trainer.initial.network.state_dict()[name], weight), name
    # measuring leaves recurrent layers as cuDNN trains them, and dropout off
    trainer.measure()
    assert trainer.objective.training
    assert not any(
        part.training for part in trainer.objective.modules() if isinstance(part, Dropout)
    )
    # a classifier of other classes than its start has a last layer of its own
    trainer = prepare("scal", labelled, "transformer", mlm, settings, 0, torch.device("cpu"), True)
    assert trainer.initial.network.output.out_features == 2
    assert trainer.initial.network.space.classes == 2
    assert torch.equal(trainer.initial.network.state_dict()["places"], weights(mlm)["places"])


def test_the_words_of_templates_are_kept(mlm: Path) -> None:
    words = json.loads((mlm / "encoder.json").read_text())["tokenizer"]["words"]
    assert {"<mask>", "This", "sentence", "means", '"', ":", "."} <= set(words)


def test_starts_that_do_not_fit(text: Path, mlm: Path, tmp_path: Path, cli: Cli) -> None:
    def refusal(*arguments: object) -> str:
        return refused(cli, "encode", *arguments, "--data", text, "--out", tmp_path / "o")

    assert "network = 'rnn' does not fit start = " in refusal(
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


@pytest.mark.parametrize("method", ["simcse", "uscal", "scal", "promptbert"])
def test_pretrained_networks_go_on(method: str, tmp_path: Path, cli: Cli) -> None:
    folder = tiny(tmp_path / "tiny", head=True)
    words = ["a", "man", "rides", "the", "wave", "on", "red", "board"]
    data = tmp_path / "toy.tsv"
    data.write_text("".join(f"{'xy'[i % 2]}\t{words[i % 8]} {words[i // 8]}\n" for i in range(64)))
    template = ["contrast.first=a [X] on [MASK]", "contrast.second=the [X] on [MASK]"]
    arguments = [*STARTED, *(template if method == "promptbert" else [])]
    network = f"hf:{folder}"
    place = ["--data", data, "--out", tmp_path / "out"]
    code, _, err = cli("encode", method, *arguments, *place, "--network", network)
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
        "encode",
        method,
        *arguments,
        *place[:2],
        "--out",
        tmp_path / "on",
        "--start",
        tmp_path / "out",
    )
    assert code == 0, err
    assert load_encoder(tmp_path / "on").facts["start"] == encoder.name
