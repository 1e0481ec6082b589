"""The contracts of metrics, perturbations and ways to train an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch

from textgan.contracts.outcome import Broken, Check, LeftOut, Refused, may_refuse
from textgan.contracts.worlds import Trial, resumes_exactly, sentences, train
from textgan.core.registry import remarks
from textgan.core.score import Score
from textgan.core.settings import check_settings, make_settings
from textgan.core.streams import Purpose, stream
from textgan.encoders.config import EncoderConfig
from textgan.encoders.contrast.base import EncoderObjective
from textgan.encoders.contrast.contract import check_encoder_objective
from textgan.encoders.train import encode
from textgan.encoders.trainer import prepare
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.run_inputs import inputs_from_run
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.contract import checked_scores
from textgan.perturb.base import Perturbation

Rows = Callable[[], dict[str, MetricInputs]]
TEXTS = 260  # of each side that a metric is tried on; some take at least 256


def checks_of_metric(
    part: type[Metric], trial: Trial, settings: Mapping[str, Any]
) -> list[tuple[str, Check]]:
    """Return the promises of a metric and how each is checked."""
    metric = part(**check_settings("metric", part, dict(settings)))
    rows = cache(partial(_rows, trial))  # laid out by the first check, inside its time
    return [
        ("numbers of texts and of real text", partial(_measured, metric, rows)),
        ("the same texts, the same numbers", partial(_again, metric, rows)),
        ("its numbers say how they were taken", partial(_signed, metric, rows)),
    ]


def _rows(trial: Trial) -> dict[str, MetricInputs]:
    sizes: dict[str, Any] = {"oracle__positives": TEXTS, "oracle__held_out": TEXTS}
    run = trial.run(schedule__mle_epochs=1, schedule__rounds=0, **sizes)
    train(run)
    return inputs_from_run(run, EvaluationOptions(resamplings=20, subsets=4), samples=TEXTS).rows


def _scores(metric: Metric, rows: Rows) -> dict[str, dict[str, Score]]:
    scores = {}
    for name, inputs in rows().items():
        try:
            # what metrics keep for each other is kept for nobody here
            scores[name] = checked_scores(metric, replace(inputs, memory={}))
        except Unavailable as lack:
            why = str(lack)
    if not scores:
        raise Refused(why)
    return scores


def _measured(metric: Metric, rows: Rows) -> str:
    first = next(iter(_scores(metric, rows).values()))
    return ", ".join(f"{name} {score.estimate}" for name, score in first.items())


def _again(metric: Metric, rows: Rows) -> None:
    """Twice the same, whatever was drawn before."""
    rows()
    runs = []
    for seed in (1, 2):
        torch.manual_seed(stream(Purpose.DRY_RUN, seed))
        runs.append(_scores(metric, rows))
    for row, scores in runs[0].items():
        for name, score in scores.items():
            other = runs[1][row][name].estimate
            if score.estimate.value != other.value:
                raise Broken(
                    f"{name} of the same texts is {score.estimate.value:g}, then {other.value:g}; "
                    "draw from inputs.seed alone"
                )


def _signed(metric: Metric, rows: Rows) -> str:
    signatures = {
        score.signature for scores in _scores(metric, rows).values() for score in scores.values()
    }
    if not all(signatures):
        raise Broken("a score has no signature: say all that would change it (inputs.sign)")
    return sorted(signatures)[0]


def checks_of_perturbation(part: type[Perturbation], trial: Trial) -> list[tuple[str, Check]]:
    """Return the promises of a perturbation and how each is checked; its runs perturb both
    networks."""
    return [
        ("a gradient, a loss, no other change", partial(_perturbed, part, trial)),
        ("a batch in two shards", partial(_sharded, trial)),
        ("killed and resumed, the same bits", partial(resumes_exactly, trial)),
    ]


def _perturbed(part: type[Perturbation], trial: Trial) -> str:
    trial.run()
    trial.run("variable")
    return "; ".join(remarks(part))


def _sharded(trial: Trial) -> None:
    with may_refuse("mine"):
        run = trial.run(schedule__shards=2)
    train(run)


def checks_of_contrast(
    part: type[EncoderObjective], name: str, trial: Trial, settings: Mapping[str, Any]
) -> list[tuple[str, Check]]:
    """Return the promises of a way to train an encoder and how each is checked."""
    dotted = {f"contrast.{key}": value for key, value in settings.items()}
    return [
        ("a gradient, a loss, a measure", partial(_contrasted, part, name, trial, dotted)),
        ("trained twice, the same bits", partial(_encoded, part, name, trial, dotted)),
    ]


SMALL = {"network.embedding": 8, "network.heads": 2, "network.layers": 1}


def _arguments(
    part: type[EncoderObjective], trial: Trial, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Data, and the encoder to begin with where it needs one."""
    path = trial.folder / ("lines.tsv" if part.needs_labels else "lines.txt")
    lines = sentences(80, part.needs_labels)
    path.write_text("\n".join(f"{line} {i}" for i, line in enumerate(lines)) + "\n", "utf-8")
    given: dict[str, Any] = {"data": path}
    small: dict[str, Any] = {"epochs": 1, "batch": 16, "data.min_count": 1}
    if not part.needs_masked_words:
        return given | small | dict(settings) | SMALL
    given["start"] = trial.folder / "start"
    if not given["start"].exists():
        encode("mlm", data=path, out=given["start"], device="cpu", quiet=True, **small | SMALL)
    given |= small | dict(settings)
    return {key: value for key, value in given.items() if key != "data.min_count"}


def _contrasted(
    part: type[EncoderObjective], name: str, trial: Trial, settings: Mapping[str, Any]
) -> None:
    given = {
        key: value for key, value in _arguments(part, trial, settings).items() if value is not None
    }
    path, start = given.pop("data"), given.pop("start", None)
    config = make_settings(EncoderConfig, given)
    trainer = prepare(name, path, None, start, config, 0, torch.device("cpu"), True)
    check_encoder_objective(trainer.objective, trainer.data.train[torch.arange(8)])


def _encoded(
    part: type[EncoderObjective], name: str, trial: Trial, settings: Mapping[str, Any]
) -> None:
    given = {
        key: value for key, value in _arguments(part, trial, settings).items() if value is not None
    }
    kept = []
    for number in (1, 2):
        out = trial.folder / f"encoder-{number}"
        encode(name, out=out, device="cpu", quiet=True, **given)
        kept.append({path.name: path.read_bytes() for path in out.glob("*.safetensors")})
    if not kept[0]:
        raise LeftOut("it keeps no weights")
    if kept[0] != kept[1]:
        raise Broken("the same command trains other weights; draw from torch's random numbers")
