"""Conversations of chitchat-dataset as a file of pairs for textgan.

    pip install --no-deps chitchat-dataset==0.9.0      # 8 MB; or pip download, and --json its wheel
    python experiments/chitchat.py chitchat.tsv
    textgan train mle --pairs chitchat.tsv \\
        data.source_length=20 data.length=20 data.min_length=5 data.min_count=5

7,168 conversations in English, of the BYU PCC lab (MIT). The messages of a turn are joined; letters
become lower-case; words, digits and apostrophes stay together, and every other character is a word
of its own. A turn without a word is left out. Each line is an utterance, a tab, and what answers
it; an empty line ends a conversation.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

SHA256 = "d2a5d0bf6acf354fef51f3af39cbece2220d3b8f6086b658c3d335105798312a"  # of dataset.json
INSIDE = "chitchat_dataset/dataset.json"
WORD = re.compile(r"[a-z0-9']+|[^\sa-z0-9']")
MOST, LEAST = 20, 5  # tokens of the pairs that are counted


def utterances(messages: list[list[dict[str, Any]]]) -> list[str]:
    """Return the turns of a conversation, as words between spaces."""
    turns = (" ".join(message["text"] for message in turn).lower() for turn in messages)
    return [" ".join(words) for turn in turns if (words := WORD.findall(turn))]


def content_of(path: Path | None) -> bytes:
    """Read dataset.json: of a file, of a wheel that holds it, or of the installed package."""
    if path is None:
        package = importlib.util.find_spec("chitchat_dataset")
        if package is None or package.origin is None:
            sys.exit("chitchat-dataset is not installed; install it, or give --json FILE")
        path = Path(package.origin).with_name("dataset.json")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            content = packed.read(INSIDE)
    else:
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{path} is not that of chitchat-dataset 0.9.0")
    return content


def main(out: Path, path: Path | None) -> None:
    """Write the pairs, and print how many there are of usual lengths."""
    if out.exists():
        sys.exit(f"{out} exists; choose a new file")
    conversations = [utterances(one["messages"]) for one in json.loads(content_of(path)).values()]
    blocks = ["".join(f"{a}\t{b}\n" for a, b in pairwise(one)) for one in conversations]
    out.write_text("\n".join(block for block in blocks if block), "utf-8")
    usable = followed = 0
    for one in conversations:
        sizes = [len(utterance.split()) for utterance in one]
        for place, (source, target) in enumerate(pairwise(sizes)):
            if source <= MOST and LEAST <= target <= MOST:
                usable += 1
                followed += place + 2 < len(one)
    pairs = sum(len(one) - 1 for one in conversations if one)
    print(f"{pairs:,} pairs of {len(conversations):,} conversations in {out}")
    print(
        f"{usable:,} of at most {MOST} and {LEAST} to {MOST} tokens, {followed:,} of them followed"
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("out", type=Path, help="a new file")
    options.add_argument("--json", type=Path, help="dataset.json, or the wheel that holds it")
    given = options.parse_args()
    main(given.out, given.json)
