"""The runs of a report: settings, data, machines, warnings, and the commands that make what is
missing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from textgan.core.format import (
    basename,
    format_number,
    strip_paths,
    without_paths,
)
from textgan.core.names import join_names
from textgan.core.settings import flatten
from textgan.evaluation.report.runs import (
    RunRecord,
    System,
)


def overview(runs: Sequence[RunRecord], methods: Sequence[System]) -> list[str]:
    """Summarise in two lines which runs there are."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for method in methods:
        seeds = tuple(sorted({run.seed for run in method.runs}))
        by_seeds.setdefault(seeds, []).append(method.short)
    who = [
        f"{join_names(names, 6)} with {'seed' if len(seeds) == 1 else 'seeds'} "
        f"{join_names(seeds, 6)}"
        for seeds, names in by_seeds.items()
    ]
    dates = sorted(str(run.facts["started"])[:10] for run in runs if "started" in run.facts)
    when = list(dict.fromkeys(dates[:1] + dates[-1:]))
    versions = dict.fromkeys(str(run.facts["textgan"]) for run in runs if "textgan" in run.facts)
    done = sum(run.results is not None for run in runs)
    parts = [f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {'; '.join(who)}"]
    parts += [f"textgan {join_names(list(versions), 3)}"] if versions else []
    parts += [" to ".join(when)] if when else []
    parts += ["finished" if done == len(runs) else f"{done} finished"]
    return ["; ".join(parts), describe_data(runs[0].data)]


def describe_data(data: Mapping[str, Any]) -> str:
    """Describe the data in one line."""
    sources = data.get("sources")
    if isinstance(sources, Mapping):
        return _describe_pairs(data, sources)
    parts = [f"Text: {without_paths(str(data.get('source', 'of unknown origin')))}"]
    for key, phrase in (
        ("vocabulary", "{} different words"),
        ("length", "at most {} in a sentence"),
        ("source_length", "each for a source of {} words"),
    ):
        if key in data:
            parts.append(phrase.format(format_number(data[key])))
    return ", ".join([*parts, *_sizes(data, "sentences")])


def _describe_pairs(data: Mapping[str, Any], sources: Mapping[str, Any]) -> str:
    """Describe pairs: their files, and for sources and targets words and lengths."""
    parts = [f"Pairs: {_files(data)}"]
    test = data.get("files", {}).get("test", {})
    if "source" in test:
        parts.append(f"tested on {_files(test)}")
    if sources.get("shares_vocabulary") and "vocabulary" in data:
        parts.append(f"{format_number(data['vocabulary'])} different words on both sides")
    elif "vocabulary" in data and "vocabulary" in sources:
        of_sources, of_targets = (format_number(one["vocabulary"]) for one in (sources, data))
        parts.append(f"{of_sources} different words in sources and {of_targets} in targets")
    if "length" in data and "length" in sources:
        of_sources, of_targets = (format_number(one["length"]) for one in (sources, data))
        parts.append(f"at most {of_sources} tokens in a source and {of_targets} in a target")
    parts += _sizes(data, "pairs")
    if "split_by" in data:
        parts.append(f"divided by {data['split_by']}")
    return ", ".join(parts)


def _files(data: Mapping[str, Any]) -> str:
    """The file of texts or pairs, or those of sources and targets."""
    target = without_paths(str(data.get("source", "of unknown origin")))
    sources = data.get("sources")
    source = sources.get("source") if isinstance(sources, Mapping) else None
    return f"{without_paths(str(source))} to {target}" if source else target


def _sizes(data: Mapping[str, Any], what: str) -> list[str]:
    split = data.get("split")
    if not isinstance(split, Mapping) or not split:
        return []
    sizes = join_names([f"{format_number(size)} {part}" for part, size in split.items()], 4)
    return [f"{sizes} {what}"]


def data_name(run: RunRecord) -> str:
    """Return the name of a run's data."""
    data = run.data
    of_config = run.config.get("data", {})
    if not (of_config.get("file") or of_config.get("pairs")):
        return "the synthetic oracle"
    return str(data.get("known_as") or (_files(data) if "source" in data else "unknown text"))


def collect_warnings(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Collect the warnings of the runs' ends, then those of their training; equal ones once."""
    runs_warned: dict[tuple[str, bool], list[str]] = {}
    for run in runs:
        at_end = [*(run.evaluation.warnings if run.evaluation else [])]
        at_end += run.results.warnings if run.results else []
        at_end += [run.fault] if run.fault else []
        for warning in dict.fromkeys(at_end):
            runs_warned.setdefault((strip_paths(warning), False), []).append(run.name)
    for run in runs:
        for alarm in run.results.alarms if run.results else ():
            runs_warned.setdefault((strip_paths(alarm), True), []).append(run.name)
    return [
        {"text": text, "training": in_training, "runs": names}
        for (text, in_training), names in runs_warned.items()
    ]


def describe_runs(method: System) -> dict[str, Any]:
    """Describe how a method's runs were made."""
    return {
        "name": method.short,
        "settings": flatten(
            without_paths({k: v for k, v in method.runs[0].config.items() if k != "seed"})
        ),
        "runs": [_facts(run) for run in method.runs],
    }


def _facts(run: RunRecord) -> dict[str, Any]:
    facts = run.facts
    command = [basename(str(word)) for word in facts.get("command") or []]
    command[:1] = ["textgan" if word == "__main__.py" else word for word in command[:1]]
    shown = {
        "seed": run.seed,
        "started": facts.get("started"),
        "textgan": facts.get("textgan"),
        "torch": facts.get("torch"),
        "python": facts.get("python"),
        "machine": facts.get("machine"),
        "GPU": facts.get("gpu"),
        "threads": facts.get("threads"),
    }
    seconds = {
        "evaluation": run.evaluation.facts.get("seconds") if run.evaluation else None,
        "curve": run.curve.facts.get("seconds") if run.curve else None,
    }
    shown |= {f"{key} took": f"{value:.1f} s" for key, value in seconds.items() if value}
    return {
        "name": run.name,
        "state": "finished" if run.results else "unfinished",
        "facts": {key: str(value) for key, value in shown.items() if value is not None},
        "command": shlex.join(command),
    }


def suggested_commands(what: str, names: Sequence[str]) -> list[str]:
    """Suggest commands that make what some runs lack, three at most."""
    quoted = [shlex.quote(name) for name in names]
    if what == "curve":  # which takes several
        return [f"textgan curve {' '.join(quoted if len(names) <= 9 else ['RUN...'])}"]
    return [f"textgan {what} {name}" for name in quoted[:3]]
