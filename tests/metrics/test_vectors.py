import importlib.util
import json
import pickle
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import PLACES, SPECIAL, WORDS, tiny
from tokenized import sentences_of
from torch import Tensor
from vectors import material_of

from textgan.core.errors import UserError
from textgan.encoders.base import LineEncoder
from textgan.metrics import vectors as encoders
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.embedding import Frechet, Mauve
from textgan.metrics.networks import LanguageModelSettings, encode, real_language_model
from textgan.metrics.vectors import FolderEncoder, LanguageModelEncoder, encoded, find_encoder

LINES = ["a man rides the wave", "", "the man", "a red board on the wave on the board", "board"]

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)


def material_with(lines: list[str], **more: Any) -> MetricInputs:
    tokenizer, (texts,) = sentences_of(lines)
    common = material_of(torch.zeros(1, 1), torch.zeros(1, 1))
    return replace(
        common, tokenizer=tokenizer, paired_sample=texts, paired_references=texts, memory={}, **more
    )


def split(lines: Iterable[str]) -> list[list[str]]:
    return [line.split() for line in lines]


# a transformer in a folder


def hf(folder: Path) -> str:
    return f"hf:{folder}"


def by_hand(folder: Path, line: str) -> Tensor:
    """The mean of the last states of one line, read alone."""
    import transformers

    network = transformers.BertModel.from_pretrained(folder).eval()
    vocabulary = [*SPECIAL, *WORDS]
    ids = [vocabulary.index(word) if word in vocabulary else 1 for word in line.split()]
    with torch.no_grad():
        states = network(torch.tensor([[2, *ids, 3][:PLACES]])).last_hidden_state
    return torch.as_tensor(states)[0].mean(0).double()


@needs_transformers
def test_vectors_are_means_of_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny(tmp_path / "tiny")
    lines = [*LINES, "words unknown to it", "\ud800 man"]
    sentences = split(lines)
    result = FolderEncoder(hf(folder)).encode(sentences)
    assert result.shape == (7, 8)
    assert result.dtype == torch.float64
    expected = torch.stack([by_hand(folder, line) for line in lines])
    assert torch.allclose(result, expected, atol=1e-6)
    # whatever stands beside it
    monkeypatch.setattr(LineEncoder, "at_once", 2)
    assert torch.allclose(result, FolderEncoder(hf(folder)).encode(sentences), atol=1e-6)


@needs_transformers
def test_long_sentences_are_cut(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny", frame=False)
    result = FolderEncoder(hf(folder)).encode([["man"] * 12, ["man"] * 12 + ["a"] * 900])
    assert torch.allclose(result[0], result[1])


@needs_transformers
@pytest.mark.parametrize("pads", [True, False])
def test_an_empty_line_with_nothing_to_read(tmp_path: Path, pads: bool) -> None:
    sentences = split(LINES)
    encoder = FolderEncoder(hf(tiny(tmp_path / "tiny", frame=False, pads=pads)))
    result = encoder.encode(sentences)
    assert not result[1].any()
    assert result[[0, 2, 3, 4]].any(1).all()
    assert not encoder.encode([sentences[1]] * 2).any()
    alone = torch.cat([encoder.encode([sentence]) for sentence in sentences])
    assert torch.allclose(result, alone, atol=1e-6)


@needs_transformers
def test_name_says_which_weights(tmp_path: Path) -> None:
    one, other = tiny(tmp_path / "tiny"), tiny(tmp_path / "there" / "tiny", seed=1)
    first, second = (FolderEncoder(hf(folder)).name for folder in (one, other))
    assert first.startswith("tiny-mean-")
    assert first != second
    shutil.copytree(one, tmp_path / "copy" / "tiny")
    (tmp_path / "copy" / "tiny" / "README.md").write_text("about it")
    assert FolderEncoder(hf(tmp_path / "copy" / "tiny")).name == first


@needs_transformers
def test_loading_leaves_no_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import transformers

    folder = without_pooler(tiny(tmp_path / "tiny"))  # what lacks is drawn at random
    logging = transformers.utils.logging
    logging.set_verbosity_warning()  # the default
    before = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    FolderEncoder(hf(folder))
    now = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    assert torch.equal(before[0], now[0])
    assert before[1:] == now[1:]
    assert capfd.readouterr() == ("", "")


def without_pooler(folder: Path) -> Path:
    """The same model as one that was trained without what only classifiers read."""
    import safetensors.torch

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    safetensors.torch.save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


class Bomb:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@needs_transformers
def test_nothing_in_the_folder_is_executed(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UserError, match=r"only in pytorch_model.bin, a pickle, and those"):
        FolderEncoder(hf(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match=r"tiny' is not a folder of a sentence encoder .*safetens"):
        FolderEncoder(hf(folder))
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModel"), "mine.Mine"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    with pytest.raises(UserError, match="is not a folder of a sentence encoder"):
        FolderEncoder(hf(folder))
    assert not (tmp_path / "exploded").exists()


@needs_transformers
def test_folders_without_a_model(tmp_path: Path) -> None:
    import safetensors.torch

    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a folder of a sentence encoder"):
        FolderEncoder(hf(tmp_path / "empty"))
    folder = tiny(tmp_path / "tiny")
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not a folder of a sentence encoder"):
        FolderEncoder(hf(folder))
    path.write_bytes(whole)
    weights = safetensors.torch.load_file(path)
    kept = {name: weight for name, weight in weights.items() if "layer.1" not in name}
    safetensors.torch.save_file(kept, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"there are no weights for encoder\.layer\.1"):
        FolderEncoder(hf(folder))
    path.write_bytes(whole)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="is not a folder of a sentence encoder"):
        FolderEncoder(hf(folder))


@needs_transformers
def test_metrics_over_a_folder(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny")
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(WORDS), (120, 6), generator=random).tolist()
    material = material_with([" ".join(WORDS[i] for i in row) for row in drawn])
    scores = Frechet(encoder=f"hf:{folder}").measure(material)
    assert scores["frechet"].estimate.value == pytest.approx(0, abs=1e-9)
    assert "|enc:tiny-mean-" in scores["frechet"].signature
    assert Mauve(encoder=f"hf:{folder}").measure(material)["mauve"].estimate.value > 0.999


def test_without_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs transformers: pip install 'textgan\[hf\]'"):
        FolderEncoder(hf(tmp_path))
    with pytest.raises(UserError, match="there is no folder"):
        FolderEncoder(hf(tmp_path / "nowhere"))


# a language model of the training text


def test_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LanguageModelSettings(embedding=4, hidden=6, sentences=60, reads=60, longest=8)
    monkeypatch.setattr(
        encoders, "real_language_model", lambda material: real_language_model(material, settings)
    )
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(WORDS), (80, 4), generator=random).tolist()
    lines = [" ".join(WORDS[i] for i in row) for row in drawn]
    material = material_with(lines)
    material = replace(material, train=material.paired_sample)
    encoder = find_encoder("lm", material)
    assert isinstance(encoder, LanguageModelEncoder)
    assert encoder is find_encoder("lm", material)
    assert encoder.name.startswith("lstm6-mean@train:60-")
    vectors = encoded(encoder, material.paired_sample, material)
    assert vectors.shape == (80, 6)
    assert vectors.dtype == torch.float64
    assert torch.equal(vectors, encode(real_language_model(material, settings), split(lines)))
    assert vectors is encoded(encoder, material.paired_sample[:], material)
    # the name is that of the text, whatever numbers its words have
    tokenizer, (same,) = sentences_of(lines, known=["other", "words", "first"])
    again = replace(material, tokenizer=tokenizer, train=same, paired_sample=same, memory={})
    assert find_encoder("lm", again).name == encoder.name
    fewer = replace(material, train=material.paired_sample[:70], memory={})
    assert find_encoder("lm", fewer).name != encoder.name
    backwards = material.paired_sample[torch.arange(80).flip(0)]  # as many of the same sizes
    other = replace(material, train=backwards, memory={})
    assert find_encoder("lm", other).name != encoder.name


def test_language_model_needs_text() -> None:
    with pytest.raises(Unavailable, match="train=FILE"):
        find_encoder("lm", material_with(LINES))
