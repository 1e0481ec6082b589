"""The settings that say how files of texts are read: what runs, encoders and classifiers have in
common, and those of runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from textgan.core.errors import UserError
from textgan.core.settings import FROZEN
from textgan.data.subwords import USUAL_SIZE
from textgan.data.texts import Form, Format, Labels
from textgan.data.token_fit import Spaced

LARGEST_SEED = 2**63 - 1


class DataConfig(BaseModel):
    """Settings of the data: where the texts and labels of a file are, how texts are cut into
    tokens, and the split."""

    model_config = FROZEN

    labels: Labels = Field(
        "auto", description="whether lines begin with a label and a tab; auto: those of a .tsv file"
    )
    format: Format = Field(
        "auto", description="text, csv or jsonl; auto: as the name ends, refused if it looks else"
    )
    field: str = Field("", description="of a .csv or .jsonl file: the field of the texts")
    label_field: str = Field("", description="the field of the labels, if there are any")
    tokens: Literal["word", "char"] = Field("word", description="what a token is")
    spaced: Spaced = Field(
        "auto", description="whether spaces separate characters; auto: as most lines have it"
    )
    vocabulary: int = Field(0, ge=0, description="most words to keep; 0: all")
    min_count: int = Field(2, ge=1, description="rarer words become <unk>")
    length: int = Field(64, ge=2, le=100_000, description="tokens at which a sentence is cut")
    valid: float = Field(0.1, gt=0, lt=1, description="share of the sentences for validation")
    test: float = Field(0.1, gt=0, lt=1, description="share of the sentences for the test")
    split_seed: int = Field(0, ge=0, le=LARGEST_SEED, description="which sentences those are")

    @property
    def form(self) -> Form:
        """The form in which the file is read."""
        return Form(self.labels, self.field, self.label_field, self.format)


class RunDataConfig(DataConfig):
    """The user's own sentences, or pairs of source and target; where there is no file the synthetic
    oracle is the language."""

    file: str = Field("", description="UTF-8 text, one sentence (or label, tab, sentence) a line")
    pairs: str = Field("", description="in its place: source, tab, target in every line")
    source: str = Field("", description="the sources of `file`, line by line")
    source_field: str = Field("", description="the field of the sources, in one table with both")
    valid_file: str = Field("", description="the validation part, of the form of the first file")
    valid_source: str = Field("", description="its sources, where `source` has the others")
    test_file: str = Field("", description="the test part, likewise")
    test_source: str = Field("", description="its sources")
    tokens: Literal["word", "char", "bpe"] = Field(  # type: ignore[assignment]  # one more
        "word", description="what a token is; bpe: subwords (extra bpe)"
    )
    vocabulary: int = Field(
        0, ge=0, description=f"most tokens to keep; 0: all, of bpe at most {USUAL_SIZE}"
    )
    length: int = Field(
        0, ge=0, le=100_000, description="most tokens of a sentence; 0: from the data"
    )
    min_length: int = Field(1, ge=1, le=100_000, description="shorter sentences are left out")
    source_length: int = Field(
        0, ge=0, le=100_000, description="most tokens of a source; 0: from the data"
    )
    source_vocabulary: int = Field(
        -1, ge=-1, description="most tokens of sources to keep; 0: all, -1: as `vocabulary`"
    )
    share_vocabulary: bool = Field(False, description="one vocabulary for sources and targets")
    turns: int = Field(
        0,
        ge=0,
        le=1000,
        description="utterances of a dialogue that are a source; 0: as the file has it",
    )
    split_by: Literal["auto", "source", "conversation"] = Field(
        "auto",
        description="what of pairs is in one part; auto: conversations, if lines go on from others",
    )

    @property
    def path(self) -> str:
        """The file of texts or of pairs; empty where there is none."""
        return self.pairs or self.file

    @property
    def has_sources(self) -> bool:
        """Whether texts answer a source."""
        return bool(self.pairs or self.source or self.source_field)

    @property
    def form(self) -> Form:
        """The form in which the file is read."""
        return Form(
            self.labels,
            self.field,
            self.label_field,
            self.format,
            self.source_field,
            pairs=bool(self.pairs),
        )

    def refuse_contradictions(self) -> None:
        """Raise UserError for settings that contradict each other."""

        def refuse(key: str, why: str) -> None:
            raise UserError(f"data.{key} = {getattr(self, key)!r}: {why}")

        files = ("source", "source_field", "valid_file", "valid_source", "test_file", "test_source")
        for key in files:
            if getattr(self, key) and not self.path:
                refuse(key, "it goes with data.file, the texts or targets; give that, too")
        if self.pairs and self.file:
            refuse("pairs", "it has both sides; leave data.file out, or give data.source with it")
        if self.source and (self.pairs or self.source_field):
            other = "data.pairs" if self.pairs else "data.source_field"
            refuse("source", f"{other} has the sources, too; leave one of them out")
        for part in ("valid", "test"):
            file, source = getattr(self, f"{part}_file"), getattr(self, f"{part}_source")
            if source and not (self.source and file):
                refuse(f"{part}_source", f"it goes with data.{part}_file and data.source")
            if self.source and file and not source:
                refuse(f"{part}_file", f"its sources are lacking; give data.{part}_source, too")
        for key in ("source_length", "source_vocabulary", "share_vocabulary", "turns", "split_by"):
            if not self.has_sources and getattr(self, key) != type(self).model_fields[key].default:
                refuse(key, "there are no sources; give data.pairs, or data.source with data.file")
        if self.share_vocabulary and self.source_vocabulary not in (-1, self.vocabulary):
            refuse("source_vocabulary", "data.share_vocabulary has one size; set data.vocabulary")
        if self.length and self.min_length > self.length:
            refuse("min_length", f"it is more than data.length = {self.length}")
        if self.tokens != "char" and self.spaced != "auto":
            raise UserError(
                f"data.spaced = {self.spaced}: it is for data.tokens = char; leave it out"
            )
