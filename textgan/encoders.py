"""Encoders: sentences as vectors, so that sets of them can be compared.

Numbers taken over different encoders do not compare, so an encoder's name says which it is, down to
its weights.
"""

from __future__ import annotations

import hashlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from textgan.errors import UserError
from textgan.metrics.base import Material, Unavailable
from textgan.metrics.networks import encode, real_language_model
from textgan.sampling import seeded
from textgan.sentences import Sentences, Words

MOST_TOKENS = 512  # of a sentence; what follows is not read
AT_ONCE = 64  # sentences
READ = ("config.json", "*.safetensors", "token*", "vocab*", "merges*", "*.model")

Progress = Callable[[Iterable[Tensor], str], Iterable[Tensor]]


class Encoder(ABC):
    """Whatever makes a vector of each sentence.

    name: for signatures; the same for the same vectors.
    """

    name: str

    @abstractmethod
    def encode(self, sentences: Sentences) -> Tensor:
        """One vector for each sentence, (B, F) float64."""


class LanguageModelEncoder(Encoder):
    """The mean state of a language model that was trained here, on the real text.

    It needs no download and reads any language, and its states know the order of words.
    """

    def __init__(self, material: Material) -> None:
        self.model = real_language_model(material)
        assert material.train is not None  # there is a model of it
        facts = self.model.facts
        sha = hashlib.sha256(repr(facts).encode())
        for words in material.words.decode(material.train):  # their numbers may differ elsewhere
            sha.update(f"{' '.join(words)}\n".encode(errors="surrogatepass"))
        size = self.model.network.output.in_features
        self.name = f"lstm{size}-mean@train:{facts['learnt']}-{sha.hexdigest()[:8]}"

    def encode(self, sentences: Sentences) -> Tensor:
        return encode(self.model, sentences)


class TransformerEncoder(Encoder):
    """A pretrained transformer from a folder, its last states averaged over a sentence's tokens.

    What sentence encoders are, such as MiniLM; a plain language model works too. Nothing is
    downloaded, and nothing in the folder is executed: weights are safetensors. Words are joined by
    spaces (characters by nothing) before the model's own tokenizer cuts them.
    Raises UserError where transformers is missing or the folder has no such model.
    """

    def __init__(
        self,
        folder: Path,
        words: Words,
        *,
        space: str = " ",
        device: torch.device | None = None,
        progress: Progress = lambda steps, what: steps,
    ) -> None:
        if not folder.is_dir():
            raise UserError(f"encoder = 'hf:{folder}': there is no folder {folder}")
        self.tokenizer, self.network = _load(folder)
        self.network.to(device or "cpu").eval()
        self.name = f"{folder.resolve().name}-mean-{_digest(folder)}"
        self.words, self.space, self.progress = words, space, progress

    @torch.no_grad()
    def encode(self, sentences: Sentences) -> Tensor:
        lines = [self.space.join(words) for words in self.words.decode(sentences)]
        # half a surrogate pair is no text to a tokenizer
        lines = [line.encode(errors="replace").decode() for line in lines]
        tokens: list[list[int]] = self.tokenizer(lines, truncation=True)["input_ids"]
        sizes = torch.tensor([len(part) for part in tokens])
        network, padding = self.network, self.tokenizer.pad_token_id or 0
        found = torch.zeros(len(lines), network.config.hidden_size, dtype=torch.float64)
        # a model that adds no tokens of its own has nothing to read in an empty line: zeros
        some = sizes.argsort()[(sizes == 0).sum() :]
        parts = [rows for rows in some.split(AT_ONCE) if len(rows)]
        for rows in self.progress(parts, f"encoding with {self.name}"):
            read = [torch.tensor(tokens[row]) for row in rows.tolist()]
            ids = pad_sequence(read, batch_first=True, padding_value=padding)
            mask = (torch.arange(ids.shape[1]) < sizes[rows].unsqueeze(1)).to(network.device)
            states = network(ids.to(network.device), attention_mask=mask.long()).last_hidden_state
            means = (states * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)
            found[rows] = means.double().cpu()
        return found


def find_encoder(told: str, material: Material) -> Encoder:
    """The encoder `lm` or `hf:FOLDER`, made once for all metrics and rows.

    Raises Unavailable, or UserError for a folder that has none.
    """
    if told == "lm":
        return material.remember(("encoder", told), lambda: LanguageModelEncoder(material))
    return material.remember(
        ("encoder", told),
        lambda: TransformerEncoder(
            Path(told.removeprefix("hf:")),
            material.words,
            space="" if material.tokenizer == "char" else " ",
            device=material.device,
            progress=material.progress,
        ),
    )


def encoded(encoder: Encoder, sentences: Sentences, material: Material) -> Tensor:
    """The vectors (B, F) of sentences, made once for all metrics.

    Raises Unavailable where they are not numbers.
    """
    key = ("vectors", encoder.name, sentences.digest())
    vectors = material.remember(key, lambda: encoder.encode(sentences))
    if not bool(vectors.isfinite().all()):
        raise Unavailable(f"needs vectors of numbers; some of {encoder.name} are not finite")
    return vectors


def _load(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the network in a folder."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise UserError(
            f"encoder = 'hf:{folder}' needs transformers: pip install 'textgan[hf]'"
        ) from None
    told: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    # weights that a folder lacks are drawn at random: from numbers of their own, then refused
    with _silent(transformers.utils.logging), seeded(0, torch.device("cpu")):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **told)
            network, found = transformers.AutoModel.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **told
            )
        # transformers raises whatever a reader of one of its hundred models raises
        except Exception as error:
            why = f"{error}".strip().partition("\n")[0] or type(error).__name__
            raise UserError(f"{_wanted(folder)}: {why}") from None
    lacking = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if lacking:
        raise UserError(f"{_wanted(folder)}: there are no weights for {lacking[0]}")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise UserError(f"{_wanted(folder)}: its tokenizer knows no words")
    if network.config.is_encoder_decoder:
        raise UserError(f"{_wanted(folder)}: this one also decodes, give its encoder alone")
    places = network.config.to_dict().get("max_position_embeddings", MOST_TOKENS)
    tokenizer.model_max_length = min(tokenizer.model_max_length, places, MOST_TOKENS)
    return tokenizer, network.float()


def _wanted(folder: Path) -> str:
    return (
        f"encoder = 'hf:{folder}' is not a folder of a sentence encoder (config.json, "
        "model.safetensors, tokenizer.json)"
    )


@contextmanager
def _silent(logging: Any) -> Iterator[None]:
    """Without the bars and warnings of transformers, which are then as they were."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _digest(folder: Path) -> str:
    """Eight digits of all files that make the vectors what they are."""
    sha = hashlib.sha256()
    for path in sorted({path for kind in READ for path in folder.glob(kind) if path.is_file()}):
        sha.update(f"{path.name}\n".encode())
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:8]
