"""Encoders: sentences as vectors, so that sets of them can be compared.

Numbers taken over different encoders do not compare, so an encoder's name says which it is, down to
its weights.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from textgan.data.sentences import Sentences
from textgan.encoders.base import Progress
from textgan.encoders.folder import open_encoder
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.networks import encode, real_language_model


class Encoder(ABC):
    """An encoder, which computes a vector of each sentence.

    name: for signatures; the same for the same vectors.
    """

    name: str

    @abstractmethod
    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Encode each sentence of words as a vector, (B, F) float64."""


class LanguageModelEncoder(Encoder):
    """The mean state of a language model that was trained here, on the real text.

    It needs no download and reads any language, and its states know the order of words.
    """

    def __init__(self, inputs: MetricInputs) -> None:
        self.model = real_language_model(inputs)
        assert inputs.train is not None  # there is a model of it
        facts = self.model.facts
        sha = hashlib.sha256(repr(facts).encode())
        for words in inputs.words(inputs.train):
            sha.update(f"{' '.join(words)}\n".encode(errors="surrogatepass"))
        size = self.model.network.output.in_features
        self.name = f"lstm{size}-mean@{inputs.train_source}:{facts['learnt']}-{sha.hexdigest()[:8]}"

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        return encode(self.model, sentences)


class FolderEncoder(Encoder):
    """An encoder of lines from a folder, for sentences: a pretrained one, or one trained here.

    encoder: `hf:FOLDER`, or a FOLDER that `textgan encode` wrote. separator: what joins words
    before the encoder cuts them its own way. Raises UserError where the folder has no encoder.
    """

    def __init__(
        self,
        encoder: str,
        *,
        separator: str = " ",
        device: torch.device | None = None,
        progress: Progress = lambda steps, what: steps,
    ) -> None:
        self.lines = open_encoder(encoder, device)
        self.name = self.lines.name
        self.separator, self.progress = separator, progress

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        return self.lines.encode_lines(list(map(self.separator.join, sentences)), self.progress)


def find_encoder(name: str, inputs: MetricInputs) -> Encoder:
    """Return the encoder `lm`, `hf:FOLDER` or FOLDER, made once for all metrics and rows.

    Raises Unavailable, or UserError for a folder that has none.
    """
    if name == "lm":
        return inputs.remember(("encoder", name), lambda: LanguageModelEncoder(inputs))
    return inputs.remember(
        ("encoder", name),
        lambda: FolderEncoder(
            name,
            separator="" if inputs.tokenizer.kind == "char" else " ",
            device=inputs.device,
            progress=inputs.progress,
        ),
    )


def encoded(encoder: Encoder, sentences: Sentences, inputs: MetricInputs) -> Tensor:
    """Return the vectors (B, F) of sentences, made once for all metrics.

    Raises Unavailable where they are not numbers.
    """
    key = ("vectors", encoder.name, sentences.digest())
    vectors = inputs.remember(key, lambda: encoder.encode(inputs.words(sentences)))
    if not bool(vectors.isfinite().all()):
        raise Unavailable(f"needs vectors of numbers; some of {encoder.name} are not finite")
    return vectors
