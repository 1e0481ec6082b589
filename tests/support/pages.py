"""Folders of finished runs as a report reads them, and pages as they are read."""

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from textgan.training.config import make_config

HOSTILE = "</script></title><b onload='x'>\"&amp; {{ 7*7 }} שלום 春江花月夜 " + "w" * 300
VOID = {"meta", "br", "hr", "img", "input", "link"}
MLE = "MLE, best epoch (3 of 4)"
ELSEWHERE = "/secret/place"


def score(value: float, title: str, better: str = "lower", half: float = 0.05) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - half,
        "high": value + half,
        "title": title,
        "better": better,
        "unit": "nats per token" if "NLL" in title else "",
        "signature": f"{title.lower()}|hyps:100|v:0.1.0",
    }


def scores(quality: float, coverage: float) -> dict[str, Any]:
    return {
        "nll_oracle": score(quality, "NLL_oracle"),
        "nll_test": score(coverage, "NLL_test"),
        "self_bleu4": score(1 / quality, "Self-BLEU-4"),
        "bleu4": score(1.5 / quality, "BLEU-4", "higher"),
        "length": score(20 + quality / 100, "length", "like real text", half=0.001),
    }


def write_run(
    folder: Path,
    objective: str = "seqgan",
    seed: int = 0,
    quality: float = 4.0,
    *,
    settings: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    text: str = "a man rides a red bicycle",
    warning: str = "collapse of this run",
) -> Path:
    """A finished run's folder as far as a report reads it."""
    folder.mkdir(parents=True)
    config = json.loads(make_config(objective, {"seed": seed, **(settings or {})}).to_json())
    last = f"{objective}, last"

    def estimate(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    near = {"text": text, "nearest": "a man rides a blue bicycle home", "share": 0.62}
    copied = {"text": "the cat sat", "nearest": "the cat sat", "share": 1.0}
    examples = {MLE: [near] * 7, last: [near, copied]}
    heats = [1.25, 1.0, 0.5]

    def at_heat(quality: float, coverage: float, heat: float) -> dict[str, Any]:
        result = scores(quality * heat, coverage / heat)
        result["nll_test"]["title"] += "" if heat == 1 else f" at T={heat}"
        return {"temperature": heat, "scores": result}

    files: dict[str, Any] = {
        "config.json": config,
        "run.json": {
            "textgan": "0.1.0",
            "started": "2026-01-02T03:04:05+0000",
            "command": ["__main__.py", "train", objective, "--out", f"{ELSEWHERE}/x", "a=/b/c.txt"],
            "torch": "2.13.0",
            "python": "3.11.7",
            "machine": "Linux x86_64",
            "data": {"source": "LSTM", "split": {"train": 100}, "oracle_entropy": 2.4},
        },
        "results.json": {
            "rows": {
                "oracle": {"nll_oracle": estimate(2.4), "nll_test": estimate(2.4)},
                "random tokens": {"nll_oracle": estimate(7.1)},
                MLE: {"nll_oracle": estimate(4.5), "nll_test": estimate(3.2)},
                last: {"nll_oracle": estimate(quality), "nll_test": estimate(3.3)},
            },
            "warnings": [f"at the end, {warning}"],
            "alarms": [f"round 2: {warning}"],
            "samples": 100,
        },
        "evaluation.json": {
            "textgan": "0.1.0",
            "rows": {
                "real text": scores(2.4, 2.4),
                MLE: scores(4.5 + seed / 100, 3.2),
                last: scores(quality, 3.3),
            },
            "real": "real text",
            "unavailable": {"chrf": "needs aligned references"},
            "warnings": [f"{last}: memorised, {warning}"],
            "facts": {"samples": 100, "temperature": 1.0, "seconds": 7.0, "examples": examples},
        },
        "curve.json": {
            "textgan": "0.1.0",
            "temperatures": heats,
            "rows": {
                last: [at_heat(quality, 3.3, t) for t in heats],
                MLE: [at_heat(4.5, 3.2, t) for t in heats],
            },
            "real": {"row": "real text", "scores": scores(2.4, 2.4)},
            "findings": [],
            "facts": {"seconds": 9.0},
        },
    }  # fmt: skip
    for name, content in files.items():
        if name not in without:
            (folder / name).write_text(json.dumps(content))
    phases = ["mle"] * 4 + ["discriminator"] + ["adversarial"] * 5
    records = [
        {
            "phase": phase,
            "number": i,
            "tick": i + 1,
            **({"discriminator/accuracy_held_out": 0.6} if phase == "adversarial" else {}),
            **({"eval/nll_oracle": 6 - i / 5} if phase != "discriminator" else {}),
        }
        for i, phase in enumerate(phases)
    ]
    if "metrics.jsonl" not in without:
        (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


class Nesting(HTMLParser):
    """Fails where a tag is closed that was not the last one open; keeps what a reader reads."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.read: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.read.append(data)


def parsed(page: str) -> Nesting:
    parser = Nesting()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def read(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(parsed(page).read))


def cells(page: str, title: str, table: int = 0) -> list[str]:
    """The cells of a metric's line, as they are read."""
    body = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)[table]
    (line,) = [
        row
        for row in re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
        if re.search(rf'<th scope="row"[^>]*>{title}<', row)
    ]
    result = re.findall(r"<td[^>]*>(.*?)</td>", line, flags=re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in result]
