"""InitialNetwork: the network that the training of an encoder starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from textgan.core.errors import UserError, option
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.settings import DataConfig
from textgan.data.splits import Split
from textgan.data.tokenizers import HF, MASK_WORD, Tokenizer, build_tokenizer, is_pretrained
from textgan.encoders.config import DEFAULT_NETWORK, PRETRAINED_LR, SCRATCH_LR, EncoderConfig
from textgan.encoders.contrast.base import EncoderObjective
from textgan.encoders.folder import load_encoder
from textgan.encoders.pretrained import MODULES
from textgan.encoders.templates import MASK, SENTENCE, pieces_of
from textgan.models.discriminators.base import Discriminator
from textgan.models.pretrained import build_network

# settings of the data that decide the vocabulary; a network that has one leaves no choice
VOCABULARY_KEYS = ("length", "tokens", "spaced", "vocabulary", "min_count")


@dataclass(frozen=True)
class InitialNetwork:
    """A network before training, and what it is made of.

    name, settings: those with which `build_network` makes such a network. encoder: the name of the
    encoder whose weights it has, if any.
    """

    network: Discriminator
    tokenizer: Tokenizer
    name: str
    settings: dict[str, Any]
    encoder: str = ""

    @property
    def pretrained(self) -> bool:
        """Whether it comes from a pretrained folder."""
        return is_pretrained(self.name)

    @property
    def default_lr(self) -> float:
        """The learning rate where the config has none."""
        return PRETRAINED_LR if self.pretrained else SCRATCH_LR


def new_network(
    objective: type[EncoderObjective],
    method: str,
    split: Split,
    path: Path,
    name: str | None,
    config: EncoderConfig,
    classes: int,
) -> InitialNetwork:
    """Build a network that is yet to be trained as an encoder.

    method: the objective's name. path: the file that was split. name: a discriminator's, or
    hf:FOLDER. Raises UserError for what does not fit.
    """
    name, data = name or DEFAULT_NETWORK, config.data
    if objective.needs_masked_words and not is_pretrained(name):
        raise UserError(
            f"{method} begins with a masked language model: give {option('start', 'FOLDER')} of "
            f"textgan encode mlm, or {option('network', 'hf:FOLDER')}"
        )
    if is_pretrained(name):
        _refuse(data, VOCABULARY_KEYS[1:], f"{name} has a tokenizer of its own")
    extra = _template_words(objective, split.train.lines, data)
    of_words = data.model_dump(include=set(VOCABULARY_KEYS))
    try:
        tokenizer = build_tokenizer(name, split.train.lines, extra=extra, **of_words)
    except UserError as error:
        if is_pretrained(name):  # the folder is to blame, not the file
            raise
        raise UserError(f"data.file = {str(path)!r}: {error}") from None
    settings = dict(config.network)
    network = build_network(name, settings, tokenizer, classes)
    return InitialNetwork(network, tokenizer, name, settings)


def network_of_encoder(
    folder: Path, name: str | None, config: EncoderConfig, classes: int
) -> InitialNetwork:
    """Load the network of another encoder; its last layer is new where the classes are others.

    Raises UserError for a folder without an encoder, and for settings that would change nothing.
    """
    encoder = load_encoder(folder)
    owner, network = f"start = {str(folder)!r}", encoder.network
    if name not in (None, encoder.network_name):
        raise UserError(
            f"network = {name!r} does not fit {owner}, which is {encoder.network_name}; leave it "
            "out"
        )
    _refuse(config.data, VOCABULARY_KEYS, f"{owner} has words of its own")
    if config.network:
        key = next(iter(config.network))
        raise UserError(f"network.{key}: {owner} decides what its network is; leave it out")
    if classes != network.space.classes:
        network.space = replace(network.space, classes=classes)
        network.output = nn.Linear(network.output.in_features, max(1, classes))
    return InitialNetwork(
        network, encoder.tokenizer, encoder.network_name, encoder.settings, encoder.name
    )


def pooling_warnings(name: str, objective: EncoderObjective) -> list[str]:
    """Warn where the pooling of a folder of sentence-transformers is not the one that is
    trained."""
    if not is_pretrained(name) or not (Path(name.removeprefix(HF)) / MODULES).is_file():
        return []
    mean = objective.pooling.get("pooling", "features") == "features"
    pooling = "the mean" if mean else f"the state at {MASK}"
    return [f"{name}: its {MODULES} is left out; this encoder takes {pooling} of the states"]


def _template_words(
    objective: type[EncoderObjective], lines: Sequence[str], data: DataConfig
) -> tuple[str, ...]:
    """The words of an objective's templates, and the hidden word, which a vocabulary must have."""
    if not objective.templates:
        return ()
    pre_tokenizer = PreTokenizer.of(lines, data.tokens, data.spaced)
    words = [
        word
        for template in objective.templates
        for text in pieces_of(template)
        if text not in (SENTENCE, MASK)
        for word in pre_tokenizer(text)
    ]
    return (MASK_WORD, *dict.fromkeys(words))


def _refuse(data: DataConfig, keys: Sequence[str], why: str) -> None:
    """UserError for a setting that would change nothing."""
    for key in keys:
        if key in data.model_fields_set:
            raise UserError(f"data.{key} = {getattr(data, key)!r}: {why}; leave it out")
