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


def _multi30k(part: str, file: str, n: str, sides: dict[str, str]) -> tuple[Known, ...]:
    """Both sides of a part of Multi30k, by the hashes of the files."""
    names = {"en": "English captions of Flickr30k", "de": "the same in German"}
    train = "train.lc.norm.tok"
    return tuple(
        Known(
            f"multi30k-{part}-{side}",
            f"{n} {names[side]}, lower-cased, normalised, tokenised",
            f"github.com/multi30k/dataset, data/task1/tok/{file}.lc.norm.tok.{side}",
            "research, non-commercial (Flickr30k)",
            f"textgan train mle --data {train}.en --source {train}.de",
            sha256,
        )
        for side, sha256 in sides.items()
    )


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
    Known(
        "questions",
        "2,000 questions with their answers from a small grammar, for a first try of pairs",
        "data/questions.tsv of this repository",
        "MIT",
        "textgan train seqgan --pairs data/questions.tsv",
        "3d3e4a0f6f15a3cbff270c44d353004f6755314d499f5b92776827f64bb2984f",
    ),
    Known(
        "dialogues",
        "250 conversations in a shop from a small grammar",
        "data/dialogues.tsv of this repository",
        "MIT",
        "textgan train seqgan --pairs data/dialogues.tsv data.turns=2",
        "50e74e65adfb2bf741ad9f0baaf03295c9673542965aae22a1d9b7babcc60692",
    ),
    *_multi30k(
        "train",
        "train",
        "29,000",
        {
            "en": "08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119",
            "de": "cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505",
        },
    ),
    *_multi30k(
        "valid",
        "val",
        "1,014",
        {
            "en": "46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec",
            "de": "97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00",
        },
    ),
    *_multi30k(
        "test",
        "test_2016_flickr",
        "1,000",
        {
            "en": "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2",
            "de": "c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4",
        },
    ),
    Known(
        "chitchat",
        "131,557 pairs of 7,168 English conversations, as experiments/chitchat.py writes them",
        "PyPI, chitchat-dataset 0.9.0 (sha256 of its wheel "
        "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e)",
        "MIT",
        "textgan train mle --pairs chitchat.tsv data.source_length=20 "
        "data.length=20 data.min_length=5 data.min_count=5",
        "b752621197bae679a81755865efabe4bf1ad9b1db33c4eb41e9c65cec37bb251",
    ),
)


def recognise(sha256: str) -> str | None:
    """Return the name of the known corpus with this hash; None for any other file."""
    return next((entry.name for entry in KNOWN if entry.sha256 == sha256), None)
