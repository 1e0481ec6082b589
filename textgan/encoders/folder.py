"""Encoders of lines: those that were trained here, each in a folder, and pretrained ones.

A folder that `save_encoder` wrote holds all that the vectors depend on:

    encoder.json          what the encoder is: network, settings, how it reads, facts
    encoder.safetensors   its weights, the same facts again, and a digest of both
    model/                only of a pretrained network, as transformers saves it

Nothing in it is executed, and what was altered is refused.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pydantic
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from textgan.core import huggingface
from textgan.core.checks import path_from
from textgan.core.errors import UserError
from textgan.core.files import Malformed, exists, file_digest, read_json, write_file
from textgan.core.seeds import fork_rng
from textgan.core.settings import explain
from textgan.core.streams import Purpose, stream
from textgan.core.tensors import load_tensors, restore_module, save_tensors
from textgan.data.pre_tokenizer import PreTokenizer, Tokens
from textgan.data.tokenizers import HF, PretrainedTokenizer, Tokenizer, WordTokenizer
from textgan.encoders.templates import Template
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TokenStates
from textgan.models.pretrained import PretrainedNetwork, build_network

ABOUT = "encoder.json"
WEIGHTS = "encoder.safetensors"
MODEL = "model"
MODULES = "modules.json"  # a folder that has it is one of sentence-transformers
AT_ONCE = 64  # lines
POOLING = ("pooling", "template")  # the facts on which vectors depend

Progress = Callable[[Iterable[Tensor], str], Iterable[Tensor]]


class _Words(pydantic.BaseModel, extra="forbid"):
    """What a `WordTokenizer` is made of."""

    kind: Literal["words"] = "words"
    tokens: Tokens
    separator: str
    length: int
    words: list[str]


class _Pretrained(pydantic.BaseModel, extra="forbid"):
    """What a `PretrainedTokenizer` is made of; the tokenizer is in the model's folder."""

    kind: Literal["pretrained"] = "pretrained"
    length: int = Field(ge=1)  # 0 would stand for the longest


class _About(pydantic.BaseModel, extra="forbid"):
    """What encoder.json says.

    reader: the tokenizer. model: the SHA-256 of each of the files of a pretrained network.
    """

    format: Literal[1] = 1
    network: str
    settings: dict[str, Any]
    classes: int = Field(ge=0)
    reader: _Words | _Pretrained = Field(discriminator="kind")
    model: dict[str, str]
    facts: dict[str, Any]


class LineEncoder(ABC):
    """Whatever makes a vector of each line.

    name: for signatures; it changes whenever the vectors would.
    """

    name: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @abstractmethod
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        """One vector for each line, (N, F) float64, whatever stands beside it."""


@dataclass(frozen=True, repr=False)
class SavedEncoder(LineEncoder):
    """An encoder that was trained here, dropout off.

    Its vectors are as facts["pooling"] says: "features" (also where it says nothing), those of the
    network, the mean over views where it has several; "mask", the state at [MASK] in
    facts["template"]. network_name, settings: what `build_network` is told to make such a network.
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
        found = torch.zeros(len(ids), network.output.in_features, dtype=torch.float64)
        sizes = torch.tensor([len(some) for some in ids], dtype=torch.long)
        for rows in progress(_alike(sizes), f"encoding with {self.name}"):
            found[rows] = vectors([ids[row] for row in rows.tolist()]).double().cpu()
        return found

    def pooling(self) -> Callable[[Sequence[Sequence[int]]], Tensor]:
        """What makes vectors (B, F) of sentences of tokens; UserError for another pooling."""
        network, tokenizer, device = self.network, self.tokenizer, self.network.output.weight.device
        told = self.facts.get("pooling", "features")
        if told == "mask" and isinstance(network, TokenStates):
            template = Template.of(str(self.facts.get("template", "")), tokenizer, "facts.template")
            return partial(template.state, network)
        if told != "features":
            raise UserError(f"facts.pooling = {told!r}: known are features, and mask of a network")

        def features(ids: Sequence[Sequence[int]]) -> Tensor:
            found = network.features(tokenizer.pad(ids).to(device))
            return found.mean(1) if found.dim() == 3 else found

        return features


class PretrainedEncoder(LineEncoder):
    """A pretrained transformer, the mean of its last states over a sentence's tokens.

    called: what asked for the folder, for messages. Raises UserError where transformers is missing
    or the folder has no such model.
    """

    def __init__(self, folder: Path, called: str, device: torch.device | None = None) -> None:
        self.tokenizer = huggingface.load_tokenizer(folder, called)
        self.network = huggingface.load_network(folder, called).to(device or "cpu").eval()
        self.name = f"{folder.resolve().name}-mean-{huggingface.digest(folder)}"

    @torch.no_grad()
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        network, padding = self.network, self.tokenizer.pad_token_id or 0
        found = torch.zeros(len(lines), network.config.hidden_size, dtype=torch.float64)
        if not lines:
            return found
        tokens: list[list[int]] = self.tokenizer(
            [_without_surrogates(line) for line in lines], truncation=True
        )["input_ids"]
        sizes = torch.tensor([len(part) for part in tokens])
        for rows in progress(_alike(sizes), f"encoding with {self.name}"):
            # a model that adds no tokens of its own has nothing to read in an empty line: zeros
            rows = rows[sizes[rows] > 0]
            if not len(rows):
                continue
            read = [torch.tensor(tokens[row]) for row in rows.tolist()]
            ids = pad_sequence(read, batch_first=True, padding_value=padding)
            mask = (torch.arange(ids.shape[1]) < sizes[rows].unsqueeze(1)).to(network.device)
            states = network(ids.to(network.device), attention_mask=mask.long()).last_hidden_state
            kept = states.where(mask.unsqueeze(2), 0.0)
            found[rows] = (kept.sum(1) / mask.sum(1, keepdim=True)).double().cpu()
        return found


class SentenceTransformerEncoder(LineEncoder):
    """A folder of sentence-transformers, encoded by that library: pooled, projected and normalised
    as its `modules.json` says, after the prompt that it names.

    Raises UserError where the library is missing or the folder has no such model.
    """

    def __init__(self, folder: Path, called: str, device: torch.device | None = None) -> None:
        device = device or torch.device("cpu")
        self.model, self.size = huggingface.load_sentence_transformer(folder, called, device)
        digest = huggingface.digest(folder, huggingface.READ_OF_MODULES)
        self.name = f"{folder.resolve().name}-{_modules(self.model)}-{digest}"

    @torch.no_grad()
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        found = torch.zeros(len(lines), self.size, dtype=torch.float64)
        sizes = torch.tensor([len(line) for line in lines])
        for rows in progress(_alike(sizes), f"encoding with {self.name}"):
            some = [_without_surrogates(lines[row]) for row in rows.tolist()]
            vectors = self.model.encode(some, convert_to_tensor=True, show_progress_bar=False)
            found[rows] = vectors.double().cpu()
        return found


def _modules(model: Any) -> str:
    """What a model of sentence-transformers does with a transformer's states, for signatures."""
    done: list[str] = []
    for module in model:
        kind = type(module).__name__.lower()
        modes = getattr(module, "pooling_mode", kind)
        done += [modes] if isinstance(modes, str) else modes
    return "+".join(what for what in done if what != "transformer")


def _without_surrogates(line: str) -> str:
    """The line as a tokenizer takes it: half a surrogate pair is no text."""
    return line.encode(errors="replace").decode()


def open_encoder(told: str | Path, device: torch.device | None = None) -> LineEncoder:
    """The encoder `hf:FOLDER`, or that in a folder which `textgan encode` wrote.

    Raises UserError for a folder that has none.

    Example:
        >>> textgan.open_encoder("encoders/mine").encode_lines(["a sentence ."])
    """
    told = str(path_from("encoder", told, "hf:FOLDER, or the folder of an encoder"))
    if told.startswith(HF):
        folder = Path(told.removeprefix(HF))
        kind = SentenceTransformerEncoder if exists(folder / MODULES) else PretrainedEncoder
        return kind(folder, f"encoder = {told!r}", device)
    return load_encoder(Path(told), device)


def save_encoder(
    folder: Path,
    network_name: str,
    settings: Mapping[str, Any],
    network: Discriminator,
    tokenizer: Tokenizer,
    facts: Mapping[str, Any],
) -> None:
    """Write an encoder into a folder, which is made where there is none.

    network_name, settings: what `build_network` was told. facts: where it comes from, for JSON.
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
            reader=_about_tokenizer(tokenizer),
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
    """The encoder that `save_encoder` wrote, to the bit.

    Raises UserError that names the folder or the file where there is none, or where something was
    altered, is missing or is not understood.
    """
    path, model = folder / ABOUT, folder / MODEL
    if not exists(path):
        raise UserError(
            f"encoder = {str(folder)!r}: there is no {path}; give a folder that textgan encode "
            f"wrote, or {HF}FOLDER of a pretrained network"
        )
    tensors, told = load_tensors(folder / WEIGHTS)
    try:
        same = _canonical(read_json(path)) == _canonical(told)
    except Malformed:
        same = False
    if not same:
        raise UserError(f"{path} was altered after it was written")
    try:
        about = _About.model_validate(told)
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from None
    if about.model and about.model != _hashes(model):
        raise UserError(f"{model} was altered after it was written (its hashes do not match)")
    name = HF + str(model) if about.network.startswith(HF) else about.network
    try:
        tokenizer = _tokenizer(about.reader, model)
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
    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found[path.relative_to(folder).as_posix()] = file_digest(path)
    return found


def _canonical(told: Any) -> str:
    return json.dumps(told, sort_keys=True)


def _digest(about: _About, tensors: Mapping[str, Tensor]) -> str:
    """Eight digits of all that makes the vectors what they are: not of where they come from."""
    told = about.model_dump(mode="json")
    told["facts"] = {key: value for key, value in about.facts.items() if key in POOLING}
    sha = hashlib.sha256(_canonical(told).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()[:8]


def _alike(sizes: Tensor) -> list[Tensor]:
    """The indices of all lines in pieces of similar sizes."""
    return [rows for rows in sizes.argsort(stable=True).split(AT_ONCE) if len(rows)]
