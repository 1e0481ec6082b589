"""The settings that say how a file of texts is read: the same of runs, encoders, classifiers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from textgan.core.settings import FROZEN
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
