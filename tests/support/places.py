"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED_DATA = ROOT.parent / "shared/data"  # corpora that are not part of the repository
