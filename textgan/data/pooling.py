"""How a folder in the layout of sentence-transformers makes one vector of a sentence's states.

`modules.json` names the parts, each with a folder of settings: a transformer, a pooling, perhaps a
normalisation. They are read here, without that library, and what is not known is refused: a vector
pooled in another way than the folder says is another vector. What the poolings are was read in
UKPLab/sentence-transformers, sentence_transformers/models/Pooling.py, commit 01d5ae3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textgan.core.errors import UserError

MODULES = "modules.json"
# the files that a folder's vectors depend on, beside those of transformers
READ = (MODULES, "sentence_bert_config.json", "config_sentence_transformers.json")
# key of a pooling's settings to what it does, in the order in which several are put together
MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Pooling:
    """What becomes of the last states of a sentence's tokens, and of its text before.

    modes: names of MODES' values; their vectors are put side by side. normalise: to length 1.
    folder: where the transformer is. length: of a sentence, 0 for what the network can read. lower:
    texts are put into lower case. prompt: what stands before every text.
    """

    folder: Path
    modes: tuple[str, ...] = ("mean",)
    normalise: bool = False
    length: int = 0
    lower: bool = False
    prompt: str = ""

    @property
    def name(self) -> str:
        """For signatures."""
        return "+".join([*self.modes, *(["norm"] if self.normalise else [])])

    def __call__(self, states: Tensor, sizes: Tensor) -> Tensor:
        """Vectors (B, F) of states (B, T, H) of sentences of sizes (B,) tokens, at least 1."""
        places = torch.arange(states.shape[1], device=states.device)
        mask = (places < sizes.unsqueeze(1)).unsqueeze(2)
        kept = states.where(mask, 0.0)
        many = sizes.unsqueeze(1).to(states.dtype)
        found = []
        for mode in self.modes:
            if mode == "cls":
                found.append(states[:, 0])
            elif mode == "max":
                found.append(states.masked_fill(~mask, -torch.inf).amax(1))
            elif mode == "mean":
                found.append(kept.sum(1) / many)
            elif mode == "mean_sqrt_len":
                found.append(kept.sum(1) / many.sqrt())
            elif mode == "weightedmean":  # by places from 1: SGPT, arXiv 2202.08904, equation 2
                weights = (places + 1).to(states.dtype).unsqueeze(1)
                found.append((kept * weights).sum(1) / (many * (many + 1) / 2))
            else:
                found.append(states[torch.arange(len(states), device=states.device), sizes - 1])
        vectors = torch.cat(found, 1)
        return torch.nn.functional.normalize(vectors, dim=1) if self.normalise else vectors


def read_pooling(folder: Path, called: str) -> Pooling:
    """The pooling of a folder: as its `modules.json` says, the mean where it has none.

    called: what asked for the folder, for messages. Raises UserError for a part or a setting that
    is not known here.
    """
    if not (folder / MODULES).is_file():
        return Pooling(folder)
    modules = _json(folder / MODULES, called)
    if not isinstance(modules, list) or not all(isinstance(part, dict) for part in modules):
        raise UserError(f"{called}: {MODULES} is no list of modules")
    kinds = [str(part.get("type", "")).rpartition(".")[2] for part in modules]
    known = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    if kinds not in known:
        wrong = next((kind for kind in kinds if kind not in known[1]), " then ".join(kinds))
        raise UserError(
            f"{called}: its {MODULES} has {wrong}, which is not supported; give a folder of a "
            "Transformer, a Pooling and perhaps a Normalize, or one without a modules.json for the "
            "mean of its states"
        )
    places = [_inside(folder, part.get("path", ""), called) for part in modules]
    modes = _modes(_json(places[1] / "config.json", called), called)
    told = _settings(places[0] / "sentence_bert_config.json", called)
    about = _settings(folder / "config_sentence_transformers.json", called)
    return Pooling(
        folder=places[0],
        modes=modes,
        normalise=kinds[-1] == "Normalize",
        length=_length(told.get("max_seq_length"), called),
        lower=told.get("do_lower_case") is True,
        prompt=_prompt(about, _json(places[1] / "config.json", called), called),
    )


def _modes(told: Any, called: str) -> tuple[str, ...]:
    """What a pooling's settings ask for, in MODES' order."""
    if not isinstance(told, dict):
        raise UserError(f"{called}: the config.json of its Pooling is no object")
    unknown = [
        key
        for key, value in told.items()
        if key.startswith("pooling_mode_") and key not in MODES and value
    ]
    if "pooling_mode" in told:  # how later versions write it
        value = told["pooling_mode"]
        names = value if isinstance(value, list) else str(value).split("+")
        unknown += [str(name) for name in names if name not in MODES.values()]
        modes = tuple(mode for mode in MODES.values() if mode in names)
    else:
        # what is not said is as the library has it: only the mean
        said = {"pooling_mode_mean_tokens": True} | told
        modes = tuple(mode for key, mode in MODES.items() if said.get(key) is True)
    if unknown or not modes:
        what = f"asks for {unknown[0]}" if unknown else "asks for nothing"
        raise UserError(
            f"{called}: its Pooling {what}; known are {', '.join(MODES.values())}, alone or "
            "together"
        )
    return modes


def _length(told: Any, called: str) -> int:
    if told is None:
        return 0
    if not isinstance(told, int) or isinstance(told, bool) or told < 1:
        raise UserError(f"{called}: max_seq_length = {told!r} in sentence_bert_config.json")
    return told


def _prompt(about: dict[str, Any], pooling: Any, called: str) -> str:
    """What the folder puts before every text, if it is not told otherwise."""
    name = about.get("default_prompt_name")
    if name is None:
        return ""
    prompts = about.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) else None
    if not isinstance(prompt, str):
        raise UserError(f"{called}: its default_prompt_name {name!r} is none of its prompts")
    if prompt and pooling.get("include_prompt", True) is not True:
        raise UserError(
            f"{called}: its Pooling leaves out the prompt (include_prompt), which is not supported"
        )
    return prompt


def _inside(folder: Path, told: Any, called: str) -> Path:
    """The folder of a part, which must lie in the whole one."""
    path = folder / str(told)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{called}: {MODULES} names {str(told)!r}, which lies outside the folder")
    return path


def _settings(path: Path, called: str) -> dict[str, Any]:
    """Settings of a file that need not be there."""
    told = _json(path, called) if path.is_file() else {}
    if not isinstance(told, dict):
        raise UserError(f"{called}: {path.name} is no object")
    return told


def _json(path: Path, called: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{called}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{called}: {path} does not read as JSON") from None
