"""Finished runs with what was measured of them, to be spoilt."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from toys import TOY, TOY_TEXT, in_0_1s_way

import textgan
from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.evaluation.results import Evaluation
from textgan.evaluation.store import store_evaluation
from textgan.evaluation.temperature_sweep import curve

DISTINCT: dict[str, Any] = {"metrics": ["distinct"], "resamplings": 100, "quiet": True}

SMALL = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 20}

WORDS = TOY_TEXT | {"schedule.rounds": 1, "evaluation.final_samples": 20, "data.min_count": 1}


def trained(folder: Path, **settings: Any) -> Path:
    """A finished run, evaluated, with a curve."""
    textgan.train("seqgan", out=folder, quiet=True, **settings)
    store_evaluation(folder, textgan.evaluate(folder, **DISTINCT))
    curve(folder, temperatures=[1.0], metrics=["distinct"], quiet=True)
    return folder


def copied(twin_runs: Path, kind: str, tmp_path: Path, new: bool = True) -> tuple[Path, Path]:
    """A run to be spoilt, and one whose files do not belong to it."""
    shutil.copytree(twin_runs / kind, tmp_path / "run")
    shutil.copytree(twin_runs / f"{kind}-other", tmp_path / "other")
    if not new:
        in_0_1s_way(tmp_path / "run")
        in_0_1s_way(tmp_path / "other")
    return tmp_path / "run", tmp_path / "other"


def numbers(name: str, value: float, seed: int = 0) -> Evaluation:
    """An evaluation of one score, with replicates."""
    replicates = np.random.default_rng(seed).normal(value, 0.1, 50)
    score = Score(
        name, Estimate(value, value - 1, value + 1), f"{name}|x", "higher", "", replicates
    )
    return Evaluation({"seqgan, last": {name: score}}, None, facts={"metrics": [name]})
