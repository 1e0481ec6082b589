"""A folder of sentence-transformers is encoded as that library does, or refused."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import PLACES, SPECIAL, WORDS, tiny
from toys import Cli

from textgan.core.errors import UserError
from textgan.encoders.folder import open_encoder
from textgan.encoders.pretrained import PretrainedEncoder

library = pytest.importorskip("sentence_transformers")
parts = library.sentence_transformer.modules
LINES = ["a man rides the wave", "the man", "red board on the wave", "", "wave " * 99]


def published(folder: Path, *more: Any, mode: Any = "mean", **settings: Any) -> Path:
    """A folder that the library wrote: a tiny transformer, a pooling and more modules."""
    transformer = parts.Transformer(str(tiny(folder.with_name(f"{folder.name}-plain"))))
    modules = [transformer, parts.Pooling(8, mode), *more]
    library.SentenceTransformer(modules=modules, device="cpu", **settings).save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


def states(folder: Path, line: str) -> torch.Tensor:
    import transformers

    network = transformers.BertModel.from_pretrained(folder).eval()
    vocabulary = [*SPECIAL, *WORDS]
    words = [vocabulary.index(word) for word in line.split()]
    ids = [2, *words[: PLACES - 2], 3]
    with torch.no_grad():
        return torch.as_tensor(network(torch.tensor([ids])).last_hidden_state[0]).double()


POOLED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.amax(0),
    "mean": lambda rows: rows.mean(0),
    "lasttoken": lambda rows: rows[-1],
    "mean_sqrt_len_tokens": lambda rows: rows.sum(0) / len(rows) ** 0.5,
}


@pytest.mark.parametrize("mode", POOLED)
def test_each_pooling_by_hand(mode: str, tmp_path: Path) -> None:
    encoder = open_encoder(f"hf:{published(tmp_path / 'model', mode=mode)}")
    expected = torch.stack([POOLED[mode](states(tmp_path / "model", line)) for line in LINES])
    assert torch.allclose(encoder.encode_lines(LINES), expected, atol=1e-6)
    assert encoder.name.startswith(f"model-{mode}-")


def more(name: str) -> list[Any]:
    torch.manual_seed(5)
    norm, dense = parts.Normalize(), parts.Dense(8, 3)
    kinds = {
        "normalize": [norm],
        "dense": [dense],
        "dense+normalize": [dense, norm],
        "layernorm": [parts.LayerNorm(8)],
    }
    return kinds[name]


@pytest.mark.parametrize("name", ["normalize", "dense", "dense+normalize", "layernorm"])
def test_what_follows_the_pooling(name: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "model", *more(name), mode="cls")
    encoder = open_encoder(f"hf:{folder}")
    own = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = own.encode(LINES, convert_to_tensor=True, batch_size=1).double()
    result = encoder.encode_lines(LINES)
    assert torch.allclose(result, expected, atol=1e-6)
    assert result.shape == (len(LINES), 3 if "dense" in name else 8)
    assert encoder.encode_lines([]).shape == (0, result.shape[1])
    assert encoder.name.startswith(f"model-cls+{name}-")
    if name == "normalize":
        first = torch.stack([states(folder, line)[0] for line in LINES])
        assert torch.allclose(result, first / first.norm(dim=1, keepdim=True), atol=1e-6)


def test_the_other_settings_of_a_folder(tmp_path: Path) -> None:
    folder = published(tmp_path / "model", mode=("cls", "mean"), prompts={"q": "red "})
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"default_prompt_name": "q"}))
    encoder = open_encoder(f"hf:{folder}")
    rows = [states(folder, f"red {line}") for line in LINES[:3]]
    wide = torch.stack([torch.cat([each[0], each.mean(0)]) for each in rows])
    assert torch.allclose(encoder.encode_lines(LINES[:3]), wide, atol=1e-6)
    assert encoder.name.startswith("model-cls+mean-")
    assert torch.equal(encoder.encode_lines(["man \ud800"]), encoder.encode_lines(["man ?"]))


def test_a_plain_folder_has_the_mean(tmp_path: Path) -> None:
    folder = published(tmp_path / "model", mode="cls")
    cls = open_encoder(f"hf:{folder}")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "1_Pooling")
    plain = open_encoder(f"hf:{folder}")
    assert isinstance(plain, PretrainedEncoder)
    expected = torch.stack([states(folder, line).mean(0) for line in LINES])
    assert torch.allclose(plain.encode_lines(LINES), expected, atol=1e-6)
    assert not torch.allclose(cls.encode_lines(LINES), expected, atol=0.1)
    assert plain.name.startswith("model-mean-")


def test_the_name_changes_with_any_module(tmp_path: Path) -> None:
    folder = published(tmp_path / "model", *more("dense"))
    name = open_encoder(f"hf:{folder}").name
    (folder / "README.md").write_text("more words")
    assert open_encoder(f"hf:{folder}").name == name
    path = folder / "2_Dense/model.safetensors"
    weights = load_file(path)
    save_file({key: value + 1 for key, value in weights.items()}, path)
    assert open_encoder(f"hf:{folder}").name != name


def test_random_numbers_are_left_alone(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    torch.manual_seed(3)
    open_encoder(f"hf:{folder}")
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))


# --- what is refused ---


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        open_encoder(f"hf:{folder}")
    message = str(refused.value)
    assert message.startswith(f"encoder = 'hf:{folder}'")
    assert "\n" not in message
    return message


def with_type(kind: str) -> str:
    own = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
    return json.dumps(
        [
            {"idx": 0, "name": "0", "path": "", "type": kind},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": own},
        ]
    )


TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
SPOILT = [
    ("modules.json", "[" * 99999, ""),
    ("modules.json", "{}", ""),
    ("modules.json", '[{"type": 3}]', ""),
    ("modules.json", with_type(TRANSFORMER).replace("1_Pooling", "../b"), "../b"),
    ("modules.json", with_type("explosive.Module"), "explosive.Module"),
    ("modules.json", with_type("os.getcwd"), "os.getcwd"),
    ("modules.json", with_type("sentence_transformers.util.http_get"), ""),
    ("1_Pooling/config.json", "[[", ""),
    ("1_Pooling/config.json", "[]", ""),
    ("1_Pooling/config.json", '{"embedding_dimension": 8, "pooling_mode": "median"}', "median"),
    ("config_sentence_transformers.json", '{"default_prompt_name": "q", "prompts": {}}', "'q'"),
    ("sentence_bert_config.json", '{"model_args": {"trust_remote_code": true}}', "explosive"),
    ("2_Dense/config.json", '{"in_features": 7, "out_features": 3, "bias": true}', ""),
    ("model.safetensors", "", ""),
    ("tokenizer.json", "{}", ""),
]


@pytest.mark.parametrize(("name", "content", "message"), SPOILT)
def test_a_spoilt_folder_is_one_line(name: str, content: str, message: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "model", *more("dense"))
    (folder / "explosive.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    if message == "explosive":
        config = json.loads((folder / "config.json").read_text())
        mapped = {"auto_map": {"AutoModel": "explosive.Model", "AutoConfig": "explosive.Config"}}
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "new"} | mapped))
        message = ""
    (folder / name).write_text(content)
    assert message in refusal(folder)
    assert not (tmp_path / "exploded").exists()


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "there are no weights for" in refusal(folder)
    assert "encoder.layer.1.output.dense.weight" in refusal(folder)


def test_pickles_are_not_opened_and_name_the_way_out(tmp_path: Path) -> None:
    plain = tiny(tmp_path / "old")
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    assert "only in pytorch_model.bin, a pickle" in refusal(plain)
    assert "save_pretrained" in refusal(plain)
    folder = published(tmp_path / "model", *more("dense"))
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    assert "only in pytorch_model.bin, a pickle" in refusal(folder)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    (folder / "1_Pooling/config.json").unlink()
    os.mkfifo(folder / "1_Pooling/config.json")
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(refusal(folder)), daemon=True)
    thread.start()
    thread.join(60)
    assert done and "config.json" in done[0]


def test_the_library_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert "needs sentence-transformers: pip install 'textgan[hf]'" in refusal(folder)


# --- training from such a folder ---


def test_a_network_that_cannot_be_trained_is_to_blame(tmp_path: Path, cli: Cli) -> None:
    folder, text = tiny(tmp_path / "gpt", frame=False), tmp_path / "text.txt"
    text.write_text("".join(f"{word} {other}\n" for word in WORDS for other in WORDS))
    code, _, err = cli(
        "encode", "simcse", "--data", text, "--network", f"hf:{folder}", "--out", tmp_path / "out"
    )
    assert code == 2
    assert err.startswith(
        f"textgan: network = 'hf:{folder}': its tokenizer does not end a sentence"
    )


def test_training_says_that_the_pooling_is_left_out(tmp_path: Path, cli: Cli) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{a} {b} {c}\n" for a in WORDS for b in WORDS for c in WORDS[:3]))
    for folder, message in (
        (tiny(tmp_path / "plain"), False),
        (published(tmp_path / "model"), True),
    ):
        code, shown, err = cli(
            "encode", "simcse", "epochs=1", "batch=64", "--data", text, "--network", f"hf:{folder}",
            "--out", tmp_path / f"{folder.name}-out",
        )  # fmt: skip
        assert code == 0, err
        left_out = f"hf:{folder}: its modules.json is left out; this encoder takes the mean"
        assert (left_out in shown) == (left_out in err) == message
