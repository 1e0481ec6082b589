"""The settings that say how a file of texts is read: the same of runs, encoders, classifiers."""

from __future__ import annotations

from pydantic import BaseModel, Field

from textgan.data.texts import Form, Format, Labels


class TextFile(BaseModel):
    """Where the texts and the labels of a file are."""

    labels: Labels = Field(
        "auto", description="whether lines begin with a label and a tab; auto: those of a .tsv file"
    )
    format: Format = Field(
        "auto", description="text, csv or jsonl; auto: as the name ends, refused if it looks else"
    )
    field: str = Field("", description="of a .csv or .jsonl file: the field of the texts")
    label_field: str = Field("", description="the field of the labels, if there are any")

    @property
    def form(self) -> Form:
        """How the file is read."""
        return Form(self.labels, self.field, self.label_field, self.format)
