"""Encoders in folders: what is saved is what is loaded, and nothing else is believed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from encoded import LINES, SMALL, saved
from safetensors import safe_open
from tiny import tiny
from toys import Cli, refused

from textgan.core.errors import UserError
from textgan.core.tensors import save_tensors
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.tokenizers import MASK_WORD, WordTokenizer, build_tokenizer
from textgan.encoders.folder import SavedEncoder, load_encoder, open_encoder, save_encoder
from textgan.encoders.templates import Template
from textgan.metrics.vectors import FolderEncoder
from textgan.models.discriminators.transformer import TransformerDiscriminator
from textgan.models.pretrained import build_network


@pytest.mark.parametrize("name", SMALL)
def test_what_was_saved_is_loaded_to_the_bit(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder", name)
    torch.manual_seed(0)
    tokenizer = WordTokenizer.train(LINES, min_count=1, length=9, extra=(MASK_WORD, "it", "means"))
    expected = build_network(name, SMALL[name], tokenizer, classes=2).eval()
    before = torch.get_rng_state()
    result = load_encoder(folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert (result.network_name, result.settings) == (name, SMALL[name])
    assert result.facts == {"by": "a test"}
    assert result.tokenizer.name == tokenizer.name and result.tokenizer.space == tokenizer.space
    assert result.network.space == expected.space
    for (key, weight), (other, own) in zip(
        result.network.state_dict().items(), expected.state_dict().items(), strict=True
    ):
        assert key == other and torch.equal(weight, own)
    vectors = result.encode_lines(LINES)
    assert vectors.dtype == torch.float64
    for line, vector in zip(LINES, vectors, strict=True):
        with torch.no_grad():
            alone = expected.features(tokenizer([line]))
        alone = alone.mean(1) if alone.dim() == 3 else alone
        assert torch.allclose(vector, alone[0].double(), atol=1e-6)
    assert result.encode_lines([]).shape == (0, vectors.shape[1])


def test_characters_are_kept(tmp_path: Path) -> None:
    result = load_encoder(saved(tmp_path / "encoder", "rnn", tokens="char"))
    assert isinstance(result.tokenizer, WordTokenizer)
    assert result.tokenizer.pre_tokenizer == PreTokenizer("char", "")
    about = json.loads((tmp_path / "encoder/encoder.json").read_text())
    assert about["tokenizer"]["tokens"] == "char"


def test_a_name_changes_with_the_vectors(tmp_path: Path) -> None:
    name = load_encoder(saved(tmp_path / "encoder")).name
    assert name.startswith("encoder-")
    assert load_encoder(saved(tmp_path / "b/encoder", note="other facts")).name == name
    shutil.copytree(tmp_path / "encoder", tmp_path / "c/encoder")
    assert load_encoder(tmp_path / "c/encoder").name == name
    other = saved(tmp_path / "d/encoder", seed=1)
    settings = {"pooling": "mask", "template": "it [X] means [MASK]"}
    masked = saved(tmp_path / "e/encoder", **settings)
    again = saved(tmp_path / "f/encoder", **settings | {"template": "[MASK] means [X]"})
    names = {name, *(load_encoder(folder).name for folder in (other, masked, again))}
    assert len(names) == 4


def test_the_vector_may_be_that_of_a_template(tmp_path: Path) -> None:
    told = "it [X] means [MASK]"
    result = load_encoder(saved(tmp_path / "encoder", pooling="mask", template=told))
    network, tokenizer = result.network, result.tokenizer
    assert isinstance(network, TransformerDiscriminator)
    template = Template.of(told, tokenizer)
    for line, vector in zip(LINES, result.encode_lines(LINES), strict=True):
        with torch.no_grad():
            expected = template.state(network, tokenizer.encode([line]))[0].double()
        assert torch.allclose(vector, expected, atol=1e-6)
    plain = load_encoder(saved(tmp_path / "plain")).encode_lines(LINES)
    assert not torch.allclose(plain, result.encode_lines(LINES), atol=1e-3)


def test_an_encoder_may_go_on_from_another(tmp_path: Path) -> None:
    first = load_encoder(saved(tmp_path / "first"))
    arguments = first.network_name, first.settings, first.network, first.tokenizer
    save_encoder(tmp_path / "second", *arguments, {})
    second = load_encoder(tmp_path / "second")
    assert torch.equal(second.encode_lines(LINES), first.encode_lines(LINES))


# --- what is refused ---


def refusal(told: Callable[[], object]) -> str:
    with pytest.raises(UserError) as stopped:
        told()
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "encoder.json exists; choose a new folder" in refusal(lambda: saved(folder, seed=1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (tmp_path / "file").write_text("")
    assert "cannot be saved in" in refusal(lambda: saved(tmp_path / "file/encoder"))
    (tmp_path / "log").mkdir()
    (tmp_path / "log/metrics.jsonl").write_text("")
    assert load_encoder(saved(tmp_path / "log")).name.startswith("log-")


def test_folders_of_no_encoder(tmp_path: Path) -> None:
    assert "nowhere/encoder.json; give a folder" in refusal(lambda: open_encoder("nowhere"))
    assert "there is no folder nowhere" in refusal(lambda: open_encoder("hf:nowhere"))
    folder = saved(tmp_path / "encoder")
    (folder / "encoder.safetensors").unlink()
    assert "encoder.safetensors: there is no such file; restore it" in refusal(
        lambda: load_encoder(folder)
    )


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_altered_and_truncated_files(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "encoder", "rnn") / name
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
    ):
        path.write_bytes(damaged)
        assert name in refusal(lambda: load_encoder(path.parent))
    path.write_bytes(whole)
    load_encoder(path.parent)
    about = path.parent / "encoder.json"
    about.write_text(about.read_text().replace("a test", "nobody"))
    assert "encoder.json was altered" in refusal(lambda: load_encoder(path.parent))


WORDS_CUT_TO_ONE = {"kind": "words", "tokens": "word", "separator": " ", "length": 1, "words": []}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "mine.py:Mine"}, "there is no such discriminator; known: cnn"),
        ({"network": "cn"}, "there is no such discriminator; did you mean 'cnn'?"),
        ({"network": "cnn", "settings": {}}, "does not hold the weights of such a network"),
        ({"network": "hf:/elsewhere"}, "does not read the tokens of"),
        (
            {"settings": {"embedding": 4, "hidden": 2}},
            "does not hold the weights of such a network",
        ),
        ({"settings": {"hiden": 3}}, "network.hiden is not a setting; did you mean 'hidden'?"),
        ({"format": 2}, "format = 2: give 1"),
        ({"classes": -1}, "classes = -1"),
        ({"classes": None}, "classes"),
        ({"more": 1}, "more is not a setting"),
        ({"tokenizer": {"kind": "letters"}}, "tokenizer"),
        ({"tokenizer": {"kind": "words", "length": 3}}, "tokenizer.words.tokens"),
        ({"tokenizer": {"kind": "pretrained", "length": 3}}, "model"),
        ({"tokenizer": WORDS_CUT_TO_ONE}, "length = 1: give at least 2"),
        ({"model": {"config.json": "0"}}, "was altered after it was written"),
        ({"facts": {"pooling": "first"}}, "facts.pooling = 'first'"),
        ({"facts": {"pooling": "mask"}}, "facts.pooling = 'mask'"),
    ],
)
def test_what_a_stranger_wrote_is_read_with_care(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Files whose digests are right, but that say what cannot be."""
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    folder = saved(tmp_path / "encoder", "rnn")
    with safe_open(folder / "encoder.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = json.loads((folder / "encoder.json").read_text()) | change
    settings = {key: value for key, value in settings.items() if value is not None}
    save_tensors(folder / "encoder.safetensors", tensors, settings)
    (folder / "encoder.json").write_text(json.dumps(settings))
    result = refusal(lambda: load_encoder(folder))
    assert message in result
    assert str(folder) in result
    assert not (tmp_path / "exploded").exists()


# --- pretrained networks ---


def saved_pretrained(folder: Path, source: Path, kind: str = "bert") -> SavedEncoder:
    """What a pretrained network becomes that has learnt something, saved and loaded."""
    folder_name = f"hf:{tiny(source, kind, head=True)}"
    tokenizer = build_tokenizer(folder_name, [], length=7)
    network = build_network(folder_name, {}, tokenizer, classes=3)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1)
    save_encoder(folder, folder_name, {}, network, tokenizer, {})
    shutil.rmtree(source)  # the folder stands alone
    result = load_encoder(folder)
    own = network.state_dict()
    assert result.network.state_dict().keys() == own.keys()
    for name, weight in result.network.state_dict().items():
        assert torch.equal(weight, own[name])
    text = tokenizer(["a man rides the wave on the red board", ""])
    assert torch.equal(
        result.tokenizer(["a man rides the wave on the red board", ""]).tokens, text.tokens
    )
    with torch.no_grad():
        assert torch.equal(result.network.class_logits(text), network.eval().class_logits(text))
    return result


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_pretrained_network_stands_alone(kind: str, tmp_path: Path) -> None:
    result = saved_pretrained(tmp_path / "encoder", tmp_path / "tiny", kind)
    lines = ["a man", "", "a man rides the wave on the red board"]
    vectors = result.encode_lines(lines)
    # transformers reads it, too, and a mean of its states is the same vector
    through = open_encoder(f"hf:{tmp_path / 'encoder/model'}")
    assert torch.allclose(through.encode_lines(lines)[:2], vectors[:2], atol=1e-6)
    # from one folder to the next
    save_encoder(tmp_path / "next", result.network_name, {}, result.network, result.tokenizer, {})
    assert torch.equal(load_encoder(tmp_path / "next").encode_lines(lines), vectors)


def test_an_altered_model_is_refused(tmp_path: Path) -> None:
    saved_pretrained(tmp_path / "encoder", tmp_path / "tiny")
    model = tmp_path / "encoder/model"
    (model / "more.py").write_text("")
    assert "model was altered" in refusal(lambda: load_encoder(tmp_path / "encoder"))
    (model / "more.py").unlink()
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "model was altered" in refusal(lambda: load_encoder(tmp_path / "encoder"))
    weights.write_bytes(whole)
    load_encoder(tmp_path / "encoder")
    shutil.rmtree(model)
    assert "model was altered" in refusal(lambda: load_encoder(tmp_path / "encoder"))


# --- what evaluates with them ---


def test_words_become_lines(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    encoder = FolderEncoder(str(folder))
    assert encoder.name == load_encoder(folder).name
    assert torch.equal(
        encoder.encode([line.split() for line in LINES]), load_encoder(folder).encode_lines(LINES)
    )
    chars = FolderEncoder(str(saved(tmp_path / "chars", tokens="char")), separator="")
    expected = load_encoder(tmp_path / "chars").encode_lines(["catdog", "sees"])
    assert torch.equal(chars.encode([list("catdog"), list("sees")]), expected)


def test_evaluating_with_a_saved_encoder(cli: Cli, tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    pool = ["the", "cat", "sees", "a", "dog", "house", "unheard", "of"]
    for name, step in (("samples", 3), ("references", 5)):
        lines = [" ".join(pool[(i * j + step) % 8] for j in range(1, 6)) for i in range(330)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    arguments = (tmp_path / "samples.txt", "--references", tmp_path / "references.txt")
    ask = ("evaluate", *arguments, "--metrics", "frechet", "--json", "--encoder")
    code, out, err = cli(*ask, folder)
    assert code == 0, err
    row = next(row for name, row in json.loads(out)["rows"].items() if "samples" in name)
    assert f"|enc:{load_encoder(folder).name}|" in row["frechet"]["signature"]
    assert "Traceback" not in err
    message = refused(cli, *ask, tmp_path / "nowhere")
    assert "there is no" in message and "textgan encode wrote" in message
    (folder / "encoder.safetensors").write_bytes(b"")
    assert "encoder.safetensors" in refused(cli, *ask, folder)
