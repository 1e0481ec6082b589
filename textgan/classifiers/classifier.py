"""Classifier: a trained network that classifies lines of text, saved in a folder and loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from textgan.classifiers.robustness import in_pieces
from textgan.core.arguments import checked_arguments
from textgan.core.device import Device, choose_device
from textgan.core.errors import UserError
from textgan.core.files import exists
from textgan.core.names import join_names
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.folder import ABOUT, load_encoder, save_encoder
from textgan.models.discriminators.base import Discriminator


@dataclass(frozen=True, repr=False)
class Classifier:
    """A trained network that classifies lines of text.

    names: the labels, in the order of the probabilities.
    """

    network: Discriminator
    tokenizer: Tokenizer
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Classifier({join_names(self.names, 6)}; {type(self.network).__name__})"

    @torch.no_grad()
    def __call__(self, lines: Sequence[str]) -> Tensor:
        """The probability of each label for each line, (N, C) float64."""
        probabilities = torch.zeros(len(lines), len(self.names), dtype=torch.float64)
        text = self.tokenizer(lines)
        for rows, part in in_pieces(text, self.network.output.weight.device):
            probabilities[rows] = self.network.class_logits(part).double().softmax(1).cpu()
        return probabilities


def save_classifier(
    folder: Path,
    classifier: Classifier,
    network_name: str,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Save a classifier for `load_classifier`, over what a killed process left of it.

    network_name, settings: those with which `build_network` makes such a network. facts: where it
    comes from, for JSON.
    """
    shutil.rmtree(folder, ignore_errors=True)
    labelled = {"labels": list(classifier.names), **facts}
    save_encoder(folder, network_name, settings, classifier.network, classifier.tokenizer, labelled)


@checked_arguments
def load_classifier(
    folder: Annotated[str | Path, "the folder of a classifier"], device: Device = "auto"
) -> Classifier:
    """Load a classifier that `textgan classify --keep` saved in one of the folders of a study's
    models.

    Raises UserError where there is none, or a damaged one; for the folder of a study, it names one.

    Example:
        >>> textgan.load_classifier("study/models/fgm-0")(["a sentence ."])
    """
    place = Path(folder)
    if not exists(place / ABOUT):
        kept = sorted(path.parent for path in place.glob(f"models/*/{ABOUT}"))
        if kept:
            raise UserError(
                f"{folder} is a study, whose {len(kept)} classifiers have folders of their own; "
                f"load one, such as {kept[0]}"
            )
        raise UserError(
            f"{folder} holds no classifier (there is no {ABOUT} in it); give a folder that textgan "
            "classify --keep wrote, such as study/models/fgm-0"
        )
    saved = load_encoder(place, choose_device(device))
    if "labels" not in saved.facts:
        raise UserError(f"{folder} holds an encoder, not a classifier; see textgan classify --keep")
    return Classifier(saved.network, saved.tokenizer, tuple(saved.facts["labels"]))
