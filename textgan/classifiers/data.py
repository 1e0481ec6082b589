"""ClassifierData: a labelled file in three parts, and its test sentences with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from textgan.classifiers.config import ClassifierConfig, NoiseConfig
from textgan.classifiers.results import CLEAN
from textgan.core.errors import UserError
from textgan.data.noise import disturb_lines
from textgan.data.settings import DataConfig
from textgan.data.splits import Part, Split, split_file
from textgan.data.text import Condition, Text
from textgan.data.tokenizers import Tokenizer, build_tokenizer, is_pretrained


@dataclass(frozen=True)
class ClassifierData:
    """The texts that classifiers are trained, chosen and measured on.

    tests: the test sentences by what was done to them, CLEAN first.
    """

    split: Split
    tokenizer: Tokenizer
    train: Text
    valid: Text
    tests: dict[str, Text]

    @property
    def majority(self) -> float:
        """The share of the most frequent label among the test sentences."""
        labels = self.tests[CLEAN].labels
        assert labels is not None
        return int(labels.bincount().max()) / len(labels)


def read_classifier_data(path: Path, network: str, config: ClassifierConfig) -> ClassifierData:
    """Read a labelled file for a network. Raises UserError."""
    data = config.data
    split = split_file(path, form=data.form, valid=data.valid, test=data.test, seed=data.split_seed)
    if not split.names:
        raise UserError(
            f"data.file = {str(path)!r} has no labels for a classifier to learn; give "
            "lines of label, tab, sentence in a .tsv file, or data.label_field = NAME of a table"
        )
    tokenizer = _tokenizer(network, split, data)
    disturbed = _disturbed(split, config.noise, data)
    return ClassifierData(
        split,
        tokenizer,
        _text(tokenizer, split.train),
        _text(tokenizer, split.valid),
        {
            name: _text(tokenizer, Part(lines, split.test.labels))
            for name, lines in disturbed.items()
        },
    )


def _tokenizer(network: str, split: Split, data: DataConfig) -> Tokenizer:
    """The network's tokenizer. Raises UserError for settings that a pretrained one ignores."""
    settings = data.model_dump(include={"tokens", "spaced", "vocabulary", "min_count", "length"})
    if is_pretrained(network):
        useless = data.model_fields_set & (settings.keys() - {"length"})
        if useless:
            raise UserError(
                f"data.{min(useless)}: {network} reads by its own tokenizer; leave it out"
            )
        settings = {"length": data.length}
    return build_tokenizer(network, split.train.lines, **settings)


def _disturbed(split: Split, noise: NoiseConfig, data: DataConfig) -> dict[str, list[str]]:
    """The test sentences under each kind and rate of noise, CLEAN first.

    Raises UserError for a kind that was asked for and changes no line.
    """
    words = sorted({word for line in split.train.lines for word in line.split()})
    if data.tokens == "char":
        words = sorted({*"".join(words)})
    clean = split.test.lines
    lines = {CLEAN: clean}
    for kind in noise.kind:
        for rate in noise.rate:
            noisy = disturb_lines(clean, rate, kind, words, noise.seed, tokens=data.tokens)
            # a typo needs two letters, which a character has not
            if rate and all(a.split() == b.split() for a, b in zip(clean, noisy, strict=True)):
                if "kind" in noise.model_fields_set:
                    raise UserError(
                        f"noise.kind = {kind!r}: it changes no line at a rate of {rate:g}; leave "
                        "it out"
                    )
                continue
            lines[f"{kind} {rate:g}"] = noisy
    return lines


def _text(tokenizer: Tokenizer, part: Part) -> Text:
    return replace(tokenizer(part.lines), condition=Condition(part.labels))
