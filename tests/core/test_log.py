"""Records of a run, read back."""

import json
from pathlib import Path

from textgan.core.log import read_records


def test_records_that_are_none_are_left_out(tmp_path: Path) -> None:
    good = '{"tick": 1, "phase": "mle"}'
    lines = ["[]", "5", "null", "{}", '{"tick": "x"}', '{"tick": 2}', good, '{"tick": 3, "ph']
    (tmp_path / "metrics.jsonl").write_bytes("\n".join(lines).encode() + b"\xff")
    assert read_records(tmp_path) == [json.loads(good)]
