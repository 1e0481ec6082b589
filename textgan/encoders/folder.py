"""Trained encoders, each in a folder.

A folder that `save_encoder` wrote holds all that the vectors depend on:

    encoder.json          what the encoder is: network, settings, how it reads, facts
    encoder.safetensors   its weights, the same facts again, and a digest of both
    model/                only of a pretrained network, as transformers saves it

Nothing in it is executed, and what was altered is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from textgan.core.arguments import checked_arguments
from textgan.core.device import Device, choose_device
from textgan.core.errors import UserError
from textgan.core.files import Malformed, exists, file_digest, read_json, write_file
from textgan.core.seeds import fork_rng
from textgan.core.settings import explain
from textgan.core.streams import Purpose, stream
from textgan.core.tensors import RESTORE, load_tensors, restore_module, save_tensors
from textgan.data.pre_tokenizer import PreTokenizer, Tokens
from textgan.data.tokenizers import HF, PretrainedTokenizer, Tokenizer, WordTokenizer, is_pretrained
from textgan.encoders.base import LineEncoder, Progress, by_size
from textgan.encoders.pretrained import open_pretrained
from textgan.encoders.templates import Template
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TokenStates
from textgan.models.pretrained import PretrainedNetwork, build_network

ABOUT = "encoder.json"
WEIGHTS = "encoder.safetensors"
MODEL = "model"
POOLING = ("pooling", "template")  # the facts on which vectors depend


class _Words(pydantic.BaseModel, extra="forbid"):
    """The content of a `WordTokenizer`."""

    kind: Literal["words"] = "words"
    tokens: Tokens
    separator: str
    length: int
    words: list[str]


class _Pretrained(pydantic.BaseModel, extra="forbid"):
    """The content of a `PretrainedTokenizer`; the tokenizer is in the model's folder."""

    kind: Literal["pretrained"] = "pretrained"
    length: int = Field(ge=1)  # 0 would mean the longest


class _About(pydantic.BaseModel, extra="forbid"):
    """The content of encoder.json.

    tokenizer: "reader" in files of version 0.1. model: the SHA-256 of each of the files of a
    pretrained network.
    """

    format: Literal[1] = 1
    network: str
    settings: dict[str, Any]
    classes: int = Field(ge=0)
    tokenizer: _Words | _Pretrained = Field(
        discriminator="kind", validation_alias=pydantic.AliasChoices("tokenizer", "reader")
    )
    model: dict[str, str]
    facts: dict[str, Any]


@dataclass(frozen=True, repr=False)
class SavedEncoder(LineEncoder):
    """An encoder that was trained here, dropout off.

    Its vectors are as facts["pooling"] says: "features" (also where it says nothing), those of the
    network, the mean over views where it has several; "mask", the state at [MASK] in
    facts["template"]. network_name, settings: the arguments of `build_network` for such a network.
    """

    name: str
    network: Discriminator
    tokenizer: Tokenizer
    facts: dict[str, Any]
    network_name: str
    settings: dict[str, Any]

    @torch.no_grad()
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        network, vectors = self.network.eval(), self.pooling()
        ids = self.tokenizer.encode(lines)
        encoded = torch.zeros(len(ids), network.output.in_features, dtype=torch.float64)
        sizes = torch.tensor([len(some) for some in ids], dtype=torch.long)
        for rows in progress(by_size(sizes, self.at_once), f"encoding with {self.name}"):
            encoded[rows] = vectors([ids[row] for row in rows.tolist()]).double().cpu()
        return encoded

    def pooling(self) -> Callable[[Sequence[Sequence[int]]], Tensor]:
        """Return the function that makes vectors (B, F) of tokenized sentences. Raises UserError
        for an unknown pooling."""
        network, tokenizer, device = self.network, self.tokenizer, self.network.output.weight.device
        pooling = self.facts.get("pooling", "features")
        if pooling == "mask" and isinstance(network, TokenStates):
            template = Template.of(str(self.facts.get("template", "")), tokenizer, "facts.template")
            return partial(template.state, network)
        if pooling != "features":
            raise UserError(
                f"facts.pooling = {pooling!r}: known are features, and mask of a network"
            )

        def features(ids: Sequence[Sequence[int]]) -> Tensor:
            vectors = network.features(tokenizer.pad(ids).to(device))
            return vectors.mean(1) if vectors.dim() == 3 else vectors

        return features


@checked_arguments
def open_encoder(
    source: Annotated[str | Path, "hf:FOLDER, or the folder of an encoder"],
    device: Device | torch.device | None = None,
) -> LineEncoder:
    """Open the encoder `hf:FOLDER`, or that in a folder which `textgan encode` wrote.

    Raises UserError for a folder that has none.

    Example:
        >>> textgan.open_encoder("encoders/mine").encode_lines(["a sentence ."])
    """
    source = str(source)
    if isinstance(device, str):
        device = choose_device(device)
    if is_pretrained(source):
        return open_pretrained(Path(source.removeprefix(HF)), f"encoder = {source!r}", device)
    return load_encoder(Path(source), device)


def save_encoder(
    folder: Path,
    network_name: str,
    settings: Mapping[str, Any],
    network: Discriminator,
    tokenizer: Tokenizer,
    facts: Mapping[str, Any],
) -> None:
    """Write an encoder into a folder, which is made where there is none.

    network_name, settings: the arguments of `build_network`. facts: where it comes from, for JSON.
    Raises UserError, nothing written, where there is an encoder already or nothing can be written.
    """
    taken = [name for name in (ABOUT, WEIGHTS, MODEL) if (folder / name).exists()]
    if taken:
        raise UserError(f"{folder / taken[0]} exists; choose a new folder for the encoder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model: dict[str, str] = {}
        if isinstance(network, PretrainedNetwork) and isinstance(tokenizer, PretrainedTokenizer):
            network.save_model(folder / MODEL)
            tokenizer.save(folder / MODEL)
            model = _hashes(folder / MODEL)
        about = _About(
            network=HF + MODEL if model else network_name,
            settings=dict(settings),
            classes=network.space.classes,
            tokenizer=_about_tokenizer(tokenizer),
            model=model,
            facts=dict(facts),
        ).model_dump(mode="json")
        save_tensors(folder / WEIGHTS, _own_tensors(network), about)
        content = json.dumps(about, ensure_ascii=False, indent=1, sort_keys=True)
        # last of all: a folder without it is none of an encoder
        write_file(folder / ABOUT, content.encode(errors="surrogatepass"))
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"an encoder cannot be saved in {folder}: {why}") from None


def load_encoder(folder: Path, device: torch.device | None = None) -> SavedEncoder:
    """Load the encoder that `save_encoder` wrote, to the bit.

    Raises UserError that names the folder or the file where there is none, or where something was
    altered, is missing or is not understood.
    """
    path, model = folder / ABOUT, folder / MODEL
    if not exists(path):
        raise UserError(
            f"encoder = {str(folder)!r}: there is no {path}; give a folder that textgan encode "
            f"wrote, or {HF}FOLDER of a pretrained network"
        )
    tensors, header = load_tensors(folder / WEIGHTS)
    try:
        same = _canonical(read_json(path)) == _canonical(header)
    except Malformed:
        same = False
    except UserError as error:
        raise UserError(f"{error}; {RESTORE}") from None
    if not same:
        raise UserError(f"{path} was altered after it was written; {RESTORE}")
    try:
        about = _About.model_validate(header)
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {explain(error, _About)}") from None
    if about.model and about.model != _hashes(model):
        raise UserError(
            f"{model} was altered after it was written (its hashes do not match); {RESTORE}"
        )
    name = HF + str(model) if is_pretrained(about.network) else about.network
    try:
        tokenizer = _tokenizer(about.tokenizer, model)
        if not about.model:  # before memory is asked for: of a file that has these weights
            with torch.device("meta"):
                _refuse_others(
                    tensors, partial(build_network, name, about.settings, tokenizer, about.classes)
                )
        # the weights that are drawn here, and then loaded, are none of the caller's random numbers
        with fork_rng(stream(Purpose.DISCARDED, 0), torch.device("cpu")):
            network = build_network(name, about.settings, tokenizer, about.classes)
        if tensors.keys() != _own_tensors(network).keys():
            raise UserError(f"{WEIGHTS} does not hold the weights of {about.network}")
        encoder = SavedEncoder(
            name=f"{folder.resolve().name}-{_digest(about, tensors)}",
            network=network,
            tokenizer=tokenizer,
            facts=about.facts,
            network_name=name,
            settings=about.settings,
        )
        encoder.pooling()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    restore_module(network, network.state_dict() | tensors, folder / WEIGHTS)
    network.to(device or "cpu").eval()
    return encoder


def _refuse_others(tensors: Mapping[str, Tensor], build: Callable[[], Discriminator]) -> None:
    """UserError unless the weights are those of the network that is built, on a device without
    memory: what a file claims to need may be more than there is."""
    try:
        own = _own_tensors(build())
    except (RuntimeError, TypeError, OverflowError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"settings make no network: {why}") from None
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
        raise UserError(f"{WEIGHTS} does not hold the weights of such a network")


def _own_tensors(network: Discriminator) -> dict[str, Tensor]:
    """The weights of a network, but for those that transformers saves."""
    tensors = network.state_dict()
    if isinstance(network, PretrainedNetwork):
        saved = network.saved_with_the_model()
        tensors = {name: tensor for name, tensor in tensors.items() if name not in saved}
    return tensors


def _about_tokenizer(tokenizer: Tokenizer) -> _Words | _Pretrained:
    if isinstance(tokenizer, WordTokenizer):
        return _Words.model_validate(
            {
                "tokens": tokenizer.kind,
                "separator": tokenizer.pre_tokenizer.separator,
                "length": tokenizer.length,
                "words": list(tokenizer.words),
            }
        )
    return _Pretrained(length=tokenizer.space.length)


def _tokenizer(about: _Words | _Pretrained, model: Path) -> Tokenizer:
    if isinstance(about, _Pretrained):
        return PretrainedTokenizer(model, about.length)
    pre_tokenizer = PreTokenizer(about.tokens, about.separator)
    return WordTokenizer(tuple(about.words), pre_tokenizer, about.length)


def _hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder, by its path there."""
    hashes: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hashes[path.relative_to(folder).as_posix()] = file_digest(path)
    return hashes


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(about: _About, tensors: Mapping[str, Tensor]) -> str:
    """Eight digits of all that makes the vectors what they are: not of where they come from."""
    content = about.model_dump(mode="json")
    content["reader"] = content.pop("tokenizer")  # as in version 0.1, for digests to stay
    content["facts"] = {key: value for key, value in about.facts.items() if key in POOLING}
    sha = hashlib.sha256(_canonical(content).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()[:8]
