"""Encoders: sentences as vectors, so that sets of them can be compared.

Numbers taken over different encoders do not compare, so an encoder's name says which it is, down to
its weights.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from textgan.data.sentences import Sentences, Words
from textgan.encoders.folder import Progress, open_encoder
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.networks import encode, real_language_model


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

    def __init__(self, material: MetricInputs) -> None:
        self.model = real_language_model(material)
        assert material.train is not None  # there is a model of it
        facts = self.model.facts
        sha = hashlib.sha256(repr(facts).encode())
        for words in material.words.decode(material.train):  # their numbers may differ elsewhere
            sha.update(f"{' '.join(words)}\n".encode(errors="surrogatepass"))
        size = self.model.network.output.in_features
        self.name = f"lstm{size}-mean@{material.learnt}:{facts['learnt']}-{sha.hexdigest()[:8]}"

    def encode(self, sentences: Sentences) -> Tensor:
        return encode(self.model, sentences)


class FolderEncoder(Encoder):
    """An encoder of lines from a folder, for sentences: a pretrained one, or one trained here.

    told: `hf:FOLDER`, or a FOLDER that `textgan encode` wrote. Words are joined by spaces
    (characters by nothing) before the encoder cuts them its own way.
    Raises UserError where the folder has no encoder.
    """

    def __init__(
        self,
        told: str,
        words: Words,
        *,
        space: str = " ",
        device: torch.device | None = None,
        progress: Progress = lambda steps, what: steps,
    ) -> None:
        self.lines = open_encoder(told, device)
        self.name = self.lines.name
        self.words, self.space, self.progress = words, space, progress

    def encode(self, sentences: Sentences) -> Tensor:
        lines = [self.space.join(words) for words in self.words.decode(sentences)]
        return self.lines.encode_lines(lines, self.progress)


def find_encoder(told: str, material: MetricInputs) -> Encoder:
    """The encoder `lm`, `hf:FOLDER` or FOLDER, made once for all metrics and rows.

    Raises Unavailable, or UserError for a folder that has none.
    """
    if told == "lm":
        return material.remember(("encoder", told), lambda: LanguageModelEncoder(material))
    return material.remember(
        ("encoder", told),
        lambda: FolderEncoder(
            told,
            material.words,
            space="" if material.tokenizer == "char" else " ",
            device=material.device,
            progress=material.progress,
        ),
    )


def encoded(encoder: Encoder, sentences: Sentences, material: MetricInputs) -> Tensor:
    """The vectors (B, F) of sentences, made once for all metrics.

    Raises Unavailable where they are not numbers.
    """
    key = ("vectors", encoder.name, sentences.digest())
    vectors = material.remember(key, lambda: encoder.encode(sentences))
    if not bool(vectors.isfinite().all()):
        raise Unavailable(f"needs vectors of numbers; some of {encoder.name} are not finite")
    return vectors
