"""A folder of sentence-transformers is pooled as it says, or refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import PLACES, SPECIAL, WORDS, tiny
from toys import Cli

from textgan.core.errors import UserError
from textgan.data.pooling import MODES, Pooling, read_pooling
from textgan.encoders.folder import PretrainedEncoder, open_encoder

STATES = torch.tensor([[[1.0, -2], [3, 4], [5, 6]], [[1, -8], [100, 100], [-100, -100]]])
SIZES = torch.tensor([3, 1])
LINES = ["a man rides the wave", "the man", "red board on the wave"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", [[1, -2], [1, -8]]),
        ("max", [[5, 6], [1, -8]]),
        ("mean", [[3, 8 / 3], [1, -8]]),
        ("mean_sqrt_len", [[9 / math.sqrt(3), 8 / math.sqrt(3)], [1, -8]]),
        ("weightedmean", [[(1 + 6 + 15) / 6, (-2 + 8 + 18) / 6], [1, -8]]),
        ("lasttoken", [[5, 6], [1, -8]]),
    ],
)
def test_each_pooling_by_hand(mode: str, expected: list[list[float]], tmp_path: Path) -> None:
    found = Pooling(tmp_path, (mode,))(STATES.double(), SIZES)
    assert torch.allclose(found, torch.tensor(expected).double())
    unit = Pooling(tmp_path, (mode,), normalise=True)(STATES.double(), SIZES)
    assert torch.allclose(unit, found / found.norm(dim=1, keepdim=True))
    both = Pooling(tmp_path, (mode, "cls"))(STATES.double(), SIZES)
    assert torch.allclose(both, torch.cat([found, STATES[:, 0].double()], 1))


def modules(folder: Path, pooling: dict[str, Any], *more: str, path: str = "") -> Path:
    """A folder in that layout; more: kinds of modules behind the pooling."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [("Transformer", path), ("Pooling", "1_Pooling")]
    kinds += [(kind, f"{i}_{kind}") for i, kind in enumerate(more, start=2)]
    told = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(told))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.parametrize(
    ("told", "modes"),
    [
        (CLS, "cls"),
        ({"word_embedding_dimension": 8}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max+mean"),
        (dict.fromkeys(reversed(MODES), True), "+".join(MODES.values())),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode": ["mean", "cls"]}, "cls+mean"),
        ({"pooling_mode": "mean+cls"}, "cls+mean"),
    ],
)
def test_what_the_settings_ask_for(told: dict[str, Any], modes: str, tmp_path: Path) -> None:
    assert read_pooling(modules(tmp_path / "a", told), "x").name == modes
    both = modules(tmp_path / "b", told, "Normalize")
    assert read_pooling(both, "x").name == modes + "+norm"


def test_a_plain_folder_has_the_mean(tmp_path: Path) -> None:
    assert read_pooling(tmp_path, "x") == Pooling(tmp_path)


def spoilt(folder: Path, name: str, content: str) -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("pooling", "more", "spoil", "said"),
    [
        (CLS, ["Dense", "Normalize"], {}, "modules.json has Dense, which is not supported"),
        (CLS, ["Normalize", "Pooling"], {}, "Transformer then Pooling then Normalize then Pooling"),
        (
            {"pooling_mode_mean_tokens": False},
            [],
            {},
            "its Pooling asks for nothing; known are cls",
        ),
        ({"pooling_mode_median": True}, [], {}, "its Pooling asks for pooling_mode_median; known"),
        ({"pooling_mode": "median"}, [], {}, "its Pooling asks for median; known"),
        (CLS, [], {"1_Pooling/config.json": "[["}, "does not read as JSON"),
        (CLS, [], {"1_Pooling/config.json": "[]"}, "is no object"),
        (CLS, [], {"modules.json": "[" * 99999}, "does not read as JSON"),
        (CLS, [], {"modules.json": "{}"}, "is no list of modules"),
        (CLS, [], {"sentence_bert_config.json": '{"max_seq_length": -1}'}, "max_seq_length = -1"),
        (CLS, [], {"config_sentence_transformers.json": '{"default_prompt_name": "q"}'}, "'q' is"),
        (
            CLS | {"include_prompt": False},
            [],
            {
                "config_sentence_transformers.json": json.dumps(
                    {"default_prompt_name": "q", "prompts": {"q": "query: "}}
                )
            },
            "leaves out the prompt",
        ),
    ],
)
def test_what_is_not_known_is_refused(
    pooling: dict[str, Any], more: list[str], spoil: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = modules(tmp_path / "a", pooling, *more)
    for name, content in spoil.items():
        spoilt(folder, name, content)
    with pytest.raises(UserError, match=said) as refused:
        read_pooling(folder, "encoder = 'hf:a'")
    assert str(refused.value).startswith("encoder = 'hf:a': ")
    assert "\n" not in str(refused.value)


def test_parts_lie_inside_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which lies outside the folder"):
        read_pooling(modules(tmp_path / "a", CLS, path="../b"), "x")


def states(folder: Path, line: str) -> torch.Tensor:
    import transformers

    network = transformers.BertModel.from_pretrained(folder).eval()
    vocabulary = [*SPECIAL, *WORDS]
    ids = [2, *(vocabulary.index(word) for word in line.split()), 3][:PLACES]
    with torch.no_grad():
        return torch.as_tensor(network(torch.tensor([ids])).last_hidden_state[0]).double()


def test_vectors_are_pooled_as_the_folder_says(tmp_path: Path) -> None:
    plain = tiny(tmp_path / "plain")
    cls = shutil.copytree(plain, tmp_path / "cls")
    modules(cls, CLS, "Normalize")
    encoder = open_encoder(f"hf:{cls}")
    expected = torch.stack([states(plain, line)[0] for line in LINES])
    expected = expected / expected.norm(dim=1, keepdim=True)
    assert torch.allclose(encoder.encode_lines(LINES), expected, atol=1e-6)
    assert encoder.name.startswith("cls-cls+norm-")
    assert not torch.allclose(open_encoder(f"hf:{plain}").encode_lines(LINES), expected, atol=0.1)
    # another pooling is another name, and twice as wide
    modules(cls, CLS | {"pooling_mode_mean_tokens": True})
    both = open_encoder(f"hf:{cls}")
    assert both.name.startswith("cls-cls+mean-")
    wide = [torch.cat([s[0], s.mean(0)]) for s in (states(plain, line) for line in LINES)]
    assert torch.allclose(both.encode_lines(LINES), torch.stack(wide), atol=1e-6)


def test_the_other_settings_of_a_folder(tmp_path: Path) -> None:
    plain = tiny(tmp_path / "plain")
    folder = tmp_path / "st"
    shutil.copytree(plain, folder / "0_Transformer")
    modules(folder, CLS, path="0_Transformer")
    spoilt(folder, "0_Transformer/sentence_bert_config.json", '{"max_seq_length": 4}')
    cut = PretrainedEncoder(folder, "x").encode_lines(LINES)
    heads = [" ".join(line.split()[:2]) for line in LINES]
    assert torch.allclose(cut, PretrainedEncoder(folder, "x").encode_lines(heads), atol=1e-6)
    told = {"max_seq_length": None, "do_lower_case": True}
    spoilt(folder, "0_Transformer/sentence_bert_config.json", json.dumps(told))
    about = {"default_prompt_name": "q", "prompts": {"q": "red "}}
    spoilt(folder, "config_sentence_transformers.json", json.dumps(about))
    found = PretrainedEncoder(folder, "x").encode_lines(["A Man", "man"])
    expected = torch.stack([states(plain, line)[0] for line in ("red a man", "red man")])
    assert torch.allclose(found, expected, atol=1e-6)


def test_pickles_are_not_opened_and_name_the_way_out(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "old")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"only in pytorch_model.bin, a pickle.*save_pretrained"):
        open_encoder(f"hf:{folder}")


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


def test_training_says_what_pooling_it_leaves_out(tmp_path: Path, cli: Cli) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{a} {b} {c}\n" for a in WORDS for b in WORDS for c in WORDS[:3]))
    for name, pooling, more, said in (
        ("mean", {}, [], ""),
        ("cls", CLS, ["Normalize"], "pools by cls+norm; this encoder takes the mean of its states"),
        ("dense", CLS, ["Dense"], "has Dense, which is not supported"),
    ):
        folder = modules(tiny(tmp_path / name), pooling, *more)
        out = tmp_path / f"{name}-out"
        code, shown, err = cli(
            "encode", "simcse", "epochs=1", "batch=64", "--data", text, "--network", f"hf:{folder}",
            "--out", out,
        )  # fmt: skip
        assert code == 0, err
        assert (said in err and said in shown) if said else "pools by" not in err
