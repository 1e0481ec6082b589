"""Scores of every row of a table by every metric, and what they warn of."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from textgan.core import registry
from textgan.core.checks import short
from textgan.core.contract import is_own
from textgan.core.errors import UnknownSetting, UserError
from textgan.core.names import suggest
from textgan.core.own_code import Typed
from textgan.core.progress import WorkBar, say_filled
from textgan.core.score import Score, Scores
from textgan.core.settings import check_settings, settings_of
from textgan.core.statistics import Estimate
from textgan.data.sentences import Sentences
from textgan.data.tokenizers import WordTokenizer
from textgan.evaluation.inputs import EvaluationInputs
from textgan.evaluation.results import Evaluation
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.contract import checked_scores
from textgan.metrics.functional.nearest import nearest
from textgan.metrics.scoring import lack_of
from textgan.metrics.warnings import above, warnings_of_row
from textgan.training.results import MLE_ROW

ORDER = (  # of a table's metrics; others, such as one's own, follow by name
    "likelihood", "peakiness", "divergence", "bleu", "self_bleu", "sacrebleu", "chrf", "ter", "jsd",
    "ms_jaccard", "distinct", "unique", "commonest", "novelty", "repetition", "length", "lm_score",
    "reverse_lm", "frechet", "mauve", "discriminator", "adversuc", "machine_vs_random", "ere",
)  # fmt: skip
NO_REFERENCES = "it has no aligned references of its own, and nothing else is measured"
NOTHING_OF_REAL = "nothing that is measured can be measured of it"
ALIKE = 0.55  # accuracy of a discriminator above which two sets of real text are not alike
EXAMPLES = 12  # texts of a row that are shown beside their nearest training sentence


def choose_metrics(
    wanted: Sequence[str] = ("all",),
    settings: Mapping[str, Any] | None = None,
    aligned: bool = False,
    encoder: str | None = None,
    pairs: bool = False,
) -> list[Metric]:
    """Make the metrics of these names, in the order of a table.

    wanted: names, `path/to/file.py:Class`, `quick` for those that train no network, `all`.
    aligned: whether the texts have references of their own; else `quick` and `all` leave out what
    needs them. pairs: whether they answer sources, too.
    settings: of metrics by dotted key, such as {"bleu.largest": 4}; those of metrics that are not
    wanted are refused. encoder: of all metrics that take one. Raises UserError.
    """
    known = registry.names("metric")
    names: list[str] = []
    for name in wanted:
        if name in ("all", "quick"):
            for one in known:
                part = registry.find("metric", one)
                fits = (pairs or not part.pairs_only) and (pairs or aligned or not part.aligned)
                if fits and (name == "all" or not part.trains):
                    names.append(one)
        elif name in known or registry.is_file(name):
            names.append(name)
        else:
            groups = ("quick", "all")
            raise UserError(
                f"there is no metric called {name!r}{suggest(name, [*known, *groups])}; "
                f"known: {', '.join(known)}, quick, all, or path/to/file.py:Class"
            )
    names = sorted(
        dict.fromkeys(names), key=lambda one: ORDER.index(one) if one in ORDER else len(ORDER)
    )
    given = by_metric(settings or {})
    for metric, values in given.items():
        if metric not in names:
            key, value = next(iter(values.items()))
            raise UserError(
                f"{metric}.{key} = {short(value)}: no metric called {metric!r} is measured"
                f"{suggest(metric, names)}; measured: {', '.join(names)}"
            )
    parts = {name: registry.find("metric", name, code=Typed()) for name in names}
    if encoder is not None:
        takers = [name for name, part in parts.items() if _has_setting(part, "encoder")]
        for name in takers:
            given.setdefault(name, {})["encoder"] = encoder
        if not takers:
            raise UserError(
                f"encoder = {short(encoder)}: no metric that takes one is measured; give metrics "
                f"such as frechet; measured: {', '.join(names)}"
            )
    return [
        part(**check_settings("metric", part, given.get(name, {}), name))
        for name, part in parts.items()
    ]


def _has_setting(part: type[Metric], key: str) -> bool:
    return any(setting.name == key for setting in settings_of(part))


def by_metric(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Group settings by metric, from {"bleu.largest": 4} or {"bleu": {"largest": 4}}.

    Raises UserError for a key that names no metric.
    """
    given: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        metric, dot, setting = key.rpartition(".")
        if dot:
            given.setdefault(metric, {})[setting] = value
        elif isinstance(value, Mapping):
            given.setdefault(key, {}).update(value)
        elif key in registry.names("metric"):
            raise UserError(
                f"{key} = {short(value)}: give a dict of its settings (see textgan list {key})"
            )
        else:
            known = {name: registry.find("metric", name) for name in registry.names("metric")}
            of = [name for name, part in known.items() if _has_setting(part, key)]
            such = " or ".join(f"{name}.{key}" for name in of) or "bleu.largest"
            message = (
                f"{key} is not a setting; those of a metric are METRIC.KEY, such as {such} "
                "(see textgan list)"
            )
            # one that a metric has was meant, not an argument that is spelt alike
            raise UserError(message) if of else UnknownSetting(message, key)
    return given


def score(
    inputs: EvaluationInputs, metrics: Sequence[Metric], *, quiet: bool = False
) -> Evaluation:
    """Measure every row by every metric.

    What cannot be measured is reported at once, before anything is. Raises UserError where not a
    single number can be measured.
    """
    began = time.monotonic()
    rows: dict[str, Scores] = {name: {} for name in inputs.rows}
    lacking: dict[str, dict[str, str]] = {}
    work: list[tuple[Metric, str]] = []
    # those of one's own first: what is wrong with them is reported before others take their minutes
    for metric in sorted(metrics, key=lambda one: not is_own(one)):
        for name, row in inputs.rows.items():
            if name in inputs.same:
                continue
            if lack := lack_of(metric, row):
                lacking.setdefault(label_of(metric), {})[name] = lack
            else:
                work.append((metric, name))
    unavailable = _unavailable(lacking, inputs)
    if not any(name in inputs.measured for _, name in work):
        raise UserError(f"nothing can be measured: {_listed(unavailable)}")
    # once, however many evaluations share a memory: a curve's temperatures, compared runs
    reported: set[str] = next(iter(inputs.rows.values())).remember("reported as unavailable", set)
    for label, why in unavailable.items():
        if not quiet and label not in reported:
            say_filled(f"not measured: {label}: {why}")
            reported.add(label)
    measured: dict[tuple[int, str], Scores] = {}
    bar = WorkBar(expected_seconds(work, inputs), quiet)
    for metric, name in work:
        label = label_of(metric)
        bar.begin(f"{label} of {name}")
        try:
            measured[id(metric), name] = checked_scores(metric, inputs.rows[name])
        except Unavailable as reason:
            lacking.setdefault(label, {})[name] = str(reason)
        bar.end()
    bar.close()
    numbers: dict[str, list[str]] = {}
    for metric in metrics:  # in the order of a table
        for name in inputs.rows:
            scores = measured.get((id(metric), name), {})
            rows[name] |= scores
            numbers[label_of(metric)] = [
                *dict.fromkeys([*numbers.get(label_of(metric), ()), *scores])
            ]
    unavailable = _unavailable(lacking, inputs)
    if not any(rows.values()):
        raise UserError(f"nothing can be measured: {_listed(unavailable)}")
    rows |= {name: rows[other] for name, other in inputs.same.items()}
    real = inputs.real
    if real is not None and not rows[real]:
        del rows[real]
        real = None
    facts = inputs.facts | {
        "metrics": [label_of(metric) for metric in metrics],
        "numbers": numbers,
        "seconds": time.monotonic() - began,
        "peak_memory_mib": peak_memory(),
        "examples": {name: examples(row) for name, row in inputs.measured.items()},
    }
    if real != inputs.real:
        aligned = all(metric.aligned for metric in metrics)
        facts["no_real"] = NO_REFERENCES if aligned else NOTHING_OF_REAL
    evaluation = Evaluation(rows, real, unavailable, list(inputs.warnings), facts)
    return replace(evaluation, warnings=[*evaluation.warnings, *warnings_of(evaluation)])


def expected_seconds(work: Sequence[tuple[Metric, str]], inputs: EvaluationInputs) -> list[float]:
    """Estimate the seconds of each metric on each row; what rows share is counted where it is done
    first, and not at all where an earlier evaluation with the same memory did it."""
    expected = []
    for metric, name in work:
        row = inputs.rows[name]
        done: set[str] = row.remember("expected to be done", set)
        costs = metric.cost(row)
        expected.append(sum(cost for what, cost in costs.items() if what not in done))
        done |= costs.keys() - {""}
    return expected


def label_of(metric: Metric) -> str:
    """Return the name of a metric, or of its class where it has none."""
    return metric.name or type(metric).__name__


def _unavailable(
    lacking: Mapping[str, Mapping[str, str]], inputs: EvaluationInputs
) -> dict[str, str]:
    """Return why each metric is not available, but for what real text alone lacks, such as a
    generator."""
    return {
        label: next(why for name, why in of_rows.items() if name != inputs.real)
        for label, of_rows in lacking.items()
        if any(name != inputs.real for name in of_rows)
    }


def _listed(unavailable: Mapping[str, str]) -> str:
    """All that is missing, metrics with one reason together."""
    metrics: dict[str, list[str]] = {}
    for label, why in unavailable.items():
        metrics.setdefault(why, []).append(label)
    return "; ".join(f"{', '.join(labels)} {why}" for why, labels in metrics.items())


def examples(inputs: MetricInputs) -> list[dict[str, Any]]:
    """Return the first texts; with the source and the first reference of each where they answer
    any, and the sentence nearest to each where the training text is known."""
    few = inputs.predictions[:EXAMPLES]
    made: list[dict[str, Any]] = [
        {"text": line, "nearest": None, "share": None} for line in inputs.lines[:EXAMPLES]
    ]
    if inputs.sources is not None and inputs.source_tokenizer is not None:
        asked = _lines(inputs.source_tokenizer, inputs.sources[:EXAMPLES])
        for one, source in zip(made, asked, strict=True):
            one["source"] = source
        for one, reference in zip(made, next(iter(inputs.aligned), ()), strict=False):
            one["reference"] = reference
    if inputs.generator_train is not None and len(inputs.generator_train):
        index, share = nearest(few, inputs.generator_train)
        near = _lines(inputs.tokenizer, inputs.generator_train[index])
        for one, sentence, of_words in zip(made, near, share.tolist(), strict=True):
            one |= {"nearest": sentence, "share": of_words}
    return made


def _lines(tokenizer: WordTokenizer, sentences: Sentences) -> list[str]:
    glue = "" if tokenizer.kind == "char" else " "
    return [glue.join(tokenizer.convert_ids_to_tokens(ids)) for ids in sentences.tolist()]


def warnings_of(evaluation: Evaluation) -> list[str]:
    """Warn of collapse, of memorising, and of scores too good to be better."""
    real, warnings = evaluation.real_scores, []
    alike = Score("", Estimate(ALIKE, ALIKE, ALIKE), "", "lower")
    if "d_accuracy" in real and above(real["d_accuracy"], alike):
        warnings.append(
            f"{evaluation.real}: a discriminator tells it from the references with accuracy "
            f"{real['d_accuracy'].value:.3f}, so they are not one language, and every "
            "row's distances hold that difference too"
        )
    entropy = evaluation.rows.get(MLE_ROW, {}).get("entropy")
    for name, scores in evaluation.rows.items():
        if name != evaluation.real and name not in evaluation.same:
            of_row = warnings_of_row(
                scores,
                real,
                mle_entropy=None if entropy is None else entropy.value,
                aligned=bool(evaluation.facts.get("aligned")),
            )
            warnings += [f"{name}: {warning}" for warning in of_row]
    return warnings


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB; 0 where the system does not report
    it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10
