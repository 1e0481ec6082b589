"""Corpora of the field, recognised by their hashes. None of them is shipped or fetched."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """One corpus: what it is, where it comes from, and how to train on it."""

    name: str
    what: str
    source: str
    licence: str
    use: str
    sha256: str


KNOWN = (
    Known(
        "oracle",
        "texts of a random LSTM that knows how probable they are; made on the spot",
        "SeqGAN, arXiv 1609.05473, section 5.1",
        "none needed",
        "textgan train seqgan",
        "",
    ),
    Known(
        "captions",
        "1,000 English captions from a small grammar, for a first try",
        "data/captions.txt of this repository",
        "MIT",
        "textgan train seqgan --data data/captions.txt",
        "bec0ceae590261127d3cb27bf2b191a0d4d12fca1788c86c6edb3223e1ce813f",
    ),
    Known(
        "coco-train",
        "10,000 MS COCO image captions, English, tokenised",
        "github.com/geek-ai/Texygen, data/image_coco.txt",
        "captions CC BY 4.0",
        "textgan train seqgan --data image_coco.txt --tokens word",
        "21d92a3a9af0478ce63180fe01f6f0f2463c727f516b86b16df33598c12ac4c7",
    ),
    Known(
        "coco-test",
        "10,000 more of them",
        "github.com/geek-ai/Texygen, data/testdata/test_coco.txt",
        "captions CC BY 4.0",
        "references for BLEU",
        "99be29a05a039ad0d43ad88445b88bb885991957db0c8c4ed0c28e9cd9bf6e27",
    ),
    Known(
        "quatrains-5",
        "16,394 Chinese quatrains of 20 characters, the SeqGAN paper's poems",
        "github.com/geek-ai/Texygen, data/shi.txt",
        "classical texts",
        "textgan train seqgan --data shi.txt --tokens char",
        "2c796b48b479cfa9e2e4d0d893f42de6d0ef4f16e4f53a11eed95c596cd33415",
    ),
    Known(
        "emnlp-test",
        "10,000 sentences of EMNLP2017 WMT news, English",
        "github.com/geek-ai/Texygen, data/testdata/test_emnlp.txt",
        "see the source",
        "textgan train seqgan --data test_emnlp.txt --tokens word",
        "a5b3cf321d9db5b5a831a6b488226bf1a23309561eaa2b90710ae8be27de6cac",
    ),
)


def recognise(sha256: str) -> str | None:
    """Return the name of the known corpus with this hash; None for any other file."""
    return next((entry.name for entry in KNOWN if entry.sha256 == sha256), None)
