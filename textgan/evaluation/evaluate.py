"""The evaluation of files and runs, as the command does it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from textgan.core.arguments import checked_arguments
from textgan.core.checks import (
    METRIC_SEEDS,
    RESAMPLINGS,
    SAMPLES,
    SIZES,
    TEMPERATURES,
    names_from,
    path_from,
)
from textgan.core.device import Device
from textgan.core.errors import UserError, option
from textgan.core.files import system_errors
from textgan.core.progress import status
from textgan.core.statistics import SUBSETS
from textgan.data.pre_tokenizer import LineTokens
from textgan.data.texts import PLAIN, FieldName, Form, Format, Labels
from textgan.evaluation.file_inputs import inputs_from_files
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.results import Evaluation, read_evaluation
from textgan.evaluation.run_inputs import decoding, inputs_from_run, texts_of_run, unfinished
from textgan.evaluation.scoring import EXAMPLES, choose_metrics, score
from textgan.evaluation.store import store_evaluation, warn_unkept
from textgan.evaluation.texts import Source, Texts, name_of
from textgan.metrics.base import Metric
from textgan.models.beam import BeamSearch
from textgan.models.tempering import Asked, MixtureParts, asked_for
from textgan.training.measure import asked_rows
from textgan.training.originals import original_pairs
from textgan.training.run import Run, open_run

TEXTS_OR_FILE = "a list of strings, or a file or folder of texts"
EncoderName = Annotated[str, "lm, hf:FOLDER or the folder of an encoder"]
Metrics = Annotated[str | Sequence[str], "at least one name (see textgan list)"]
Decode = Literal["sample", "greedy", "beam"]
SEARCHES: dict[Decode, BeamSearch | None] = {
    "sample": None,
    "greedy": BeamSearch(width=1),
    "beam": BeamSearch(width=5),
}
Target = str | Path | Run | Sequence[str]
"""A run's folder, an open run, a file of texts, or the texts themselves."""


@system_errors()
@checked_arguments
def evaluate(
    *targets: Annotated[Target, TEXTS_OR_FILE],
    references: Annotated[Source | None, TEXTS_OR_FILE] = None,
    train: Annotated[Source | None, TEXTS_OR_FILE] = None,
    real: Annotated[Source | None, TEXTS_OR_FILE] = None,
    aligned: Annotated[Sequence[Source], "files, or lists of strings"] = (),
    source: Annotated[Source | None, TEXTS_OR_FILE] = None,
    tokenizer: LineTokens | None = None,
    field: FieldName = "",
    label_field: FieldName = "",
    labels: Labels = "auto",
    format: Format = "auto",
    metrics: Metrics = "all",
    encoder: EncoderName | None = None,
    samples: Annotated[int, SAMPLES] | None = None,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    mixture: MixtureParts | None = None,
    joint_temperature: Annotated[float, TEMPERATURES] = 1.0,
    decode: Decode = "sample",
    size: Annotated[int, SIZES] = 0,
    resamplings: Annotated[int, RESAMPLINGS] = 1000,
    seed: Annotated[int, METRIC_SEEDS] = 0,
    device: Device | None = None,
    quiet: bool = False,
    memory: dict[Hashable, Any] | None = None,
    trust_code: bool = False,
    equal: bool = False,
    keep: bool = False,
    **settings: Any,
) -> Evaluation:
    """Evaluate runs, files of texts and lists of strings as `textgan evaluate` does, in one table.

    targets: a run's folder (or an open run), a file of one text a line, or the texts themselves.
    references, train, real, aligned: files or lists of strings. Without references, runs are
    measured against the held-out text of the first, which they must share, and files beside them
    against the same; see `evaluate_run` and `evaluate_files`.
    source: the sources that the texts of files answer or translate, line by line, and the
    references too, which are then aligned.
    field, label_field, labels, format: how files are read, see `Form`. encoder: of every metric
    that takes one (see textgan list), as in `frechet={"encoder": ...}`.
    samples: texts to draw of a run; None: as in its config. Where they answer sources, each source
    of its test part is answered once, in their order. temperature: of each token; mixture:
    temperature:weight pairs, each text being drawn whole at one of these temperatures;
    joint_temperature: of whole texts, see `textgan.models.tempering`. decode: how sources are
    answered: sample, greedy, or beam (of 5).
    equal: of every file as many texts as the smallest has.
    keep: store the numbers in the run's folder and show them in TensorBoard, as the command does,
    where they are of one run alone, drawn at temperature 1, against its own held-out text.
    memory: shared by evaluations on one corpus, so that what is trained on it is trained once.
    trust_code: run the code in files of its maker's own that a run's folder keeps.
    settings: of metrics, as in `**{"bleu.largest": 4}`.
    Raises UserError; NotKept, which has the evaluation, where the folder cannot be written.

    Example:
        >>> textgan.evaluate("runs/mine", metrics="bleu,self_bleu")
        >>> textgan.evaluate("samples.txt", references="test.txt", **{"bleu.largest": 4})
    """
    subsets = SUBSETS if resamplings else 0
    options = EvaluationOptions(
        seed=seed,
        size=size,
        resamplings=resamplings,
        subsets=subsets,
        quiet=quiet,
        equal=equal,
        search=SEARCHES[decode],
    )
    form = Form(labels, field, label_field, format)
    for one in aligned:
        _source("aligned", one)
    given = [read_target(target) for target in targets]
    if not given:
        raise UserError("give a run's folder, or files of texts")
    folders = [target for target in given if isinstance(target, RunFolder)]
    of_files = not folders or references is not None
    choose = partial(choose_metrics, names_of_metrics(metrics), settings, encoder=encoder)
    if of_files:
        chosen = choose(aligned=bool(aligned), pairs=source is not None)
    drawn = asked_for(temperature, mixture, joint_temperature)
    if not folders and (samples or drawn != 1.0 or decode != "sample"):
        ways = ", ".join(map(option, ("samples", "temperature", "mixture", "decode")))
        raise UserError(
            f"{ways} are for a run's folder; a file's texts are what they are ({option('size')} "
            "takes fewer of them)"
        )
    if of_files:
        return evaluate_files(
            [one.open(device, trust_code) if isinstance(one, RunFolder) else one for one in given],
            references,
            chosen,
            options,
            train=train,
            real=real,
            aligned=aligned,
            source=source,
            tokenizer=tokenizer or "nltk",
            form=form,
            samples=samples,
            temperature=drawn,
            device=device or "auto",
        )
    files = {
        "train": train is not None,
        "real": real is not None,
        "aligned": bool(aligned),
        "source": source is not None,
    }
    for name in (name for name, is_given in files.items() if is_given):
        raise UserError(
            f"{option(name)} is for files of texts; a run has its own held-out text, unless "
            f"{option('references')} are given"
        )
    if form != PLAIN and len(folders) == len(given):
        ways = ", ".join(map(option, ("field", "labels", "format")))
        raise UserError(f"how files are read ({ways}) is for files of texts")
    alone = len(given) == 1
    first = folders[0].open(device, trust_code)
    _refuse_search(first, options)
    chosen = choose(pairs=first.corpus.space.source is not None)
    kept = keep and alone and drawn == 1.0 and decode == "sample"
    if kept:
        warn_unkept(first.folder)
    elif alone:
        read_evaluation(first.folder)  # one that cannot be added to is refused at once
    made = evaluate_run(
        first,
        chosen,
        options,
        others=[
            one.open(device, trust_code) if isinstance(one, RunFolder) else one
            for one in given
            if one is not folders[0]
        ],
        tokenizer=tokenizer,
        form=form,
        samples=samples,
        temperature=drawn,
        memory=memory,
    )
    return store_evaluation(first.folder, made) if kept else made


def evaluate_run(
    run: Run,
    metrics: Sequence[Metric],
    options: EvaluationOptions,
    *,
    others: Sequence[Run | Source] = (),
    tokenizer: LineTokens | None = None,
    form: Form = PLAIN,
    samples: int | None = None,
    temperature: Asked = 1.0,
    memory: dict[Hashable, Any] | None = None,
) -> Evaluation:
    """Measure a run, and others beside it, against its own held-out text.

    others: further runs on the same corpus, and files or lists of texts. tokenizer: None takes the
    run's own words. The rest is that of `evaluate`. Raises UserError.
    """
    with run.products():
        with status("drawing texts", options.quiet):
            inputs = inputs_from_run(
                run,
                options,
                samples=samples or run.config.evaluation.final_samples,
                temperature=temperature,
                split=tokenizer,
                memory=memory,
                others=others,
                form=form,
            )
        made = score(inputs, metrics, quiet=options.quiet)
    _spell_examples(run, made)
    return made


def _spell_examples(run: Run, evaluation: Evaluation) -> None:
    """Write the sources and references of examples as the run's file has them."""
    if run.corpus.source_tokenizer is None:
        return
    rows = asked_rows(len(run.corpus.test), evaluation.facts["samples"])[:EXAMPLES].tolist()
    pairs = original_pairs(run, rows)
    for examples in evaluation.facts["examples"].values():
        for example, (source, reference) in zip(examples, pairs, strict=False):
            example |= {"source": source, "reference": reference}


def evaluate_files(
    targets: Sequence[Run | Source],
    references: Source | None,
    metrics: Sequence[Metric],
    options: EvaluationOptions,
    *,
    train: Source | None = None,
    real: Source | None = None,
    aligned: Sequence[Source] = (),
    source: Source | None = None,
    tokenizer: LineTokens = "nltk",
    form: Form = PLAIN,
    samples: int | None = None,
    temperature: Asked = 1.0,
    device: str = "auto",
) -> Evaluation:
    """Measure files and lists of texts, and texts of runs, against references.

    references: held-out real text; None where `aligned` serve as such. train: what the texts'
    generator was trained on. real: other real text, for the row of real text. aligned: references
    of which line i answers line i of every target. source: what line i of all of them, and of the
    references, answers. Raises UserError.
    """
    texts: list[Source | Texts] = []
    for target in targets:
        if isinstance(target, Run):
            if source is not None:
                folder, asked = target.folder, option("source", name_of(source))
                raise UserError(
                    f"{option('source')} is what files answer; write the answers of {folder} to a "
                    f"file first: textgan sample {folder} {asked}"
                )
            _refuse_search(target, options)
            with status(f"drawing texts of {target.folder}", options.quiet):
                drawn = texts_of_run(
                    target, samples or 0, options.seed, temperature, options.search
                )
            texts.append(drawn)
        else:
            texts.append(target)
    with status("reading texts", options.quiet):
        inputs = inputs_from_files(
            texts,
            references,
            options,
            train=train,
            real=real,
            aligned=aligned,
            source=source,
            split=tokenizer,
            form=form,
            device=device,
            align=any(metric.aligned for metric in metrics),
        )
    warnings = unfinished([target for target in targets if isinstance(target, Run)])
    inputs = replace(inputs, warnings=[*warnings, *inputs.warnings])
    return score(inputs, metrics, quiet=options.quiet)


def _refuse_search(run: Run, options: EvaluationOptions) -> None:
    """UserError for a search by a run whose texts answer no sources."""
    if options.search is not None and run.corpus.space.source is None:
        raise UserError(
            f"{option('decode', decoding(options.search))} is for runs whose texts answer sources; "
            f"{run.folder} is measured by what it draws ({option('temperature')} makes that "
            "likelier)"
        )


@dataclass(frozen=True)
class RunFolder:
    """A run that is given by its folder, or already open."""

    folder: Path
    run: Run | None = None

    def open(self, device: str | None, trust_code: bool) -> Run:
        """Return the run; open it if it is not open yet."""
        return self.run or open_run(self.folder, device, trust_code=trust_code)


def read_target(target: Target) -> RunFolder | Source:
    """Return a target as a run, a file or a list of texts. Raises UserError for anything else."""
    if isinstance(target, Run):
        return RunFolder(target.folder, target)
    source = _source("target", target)
    if not isinstance(source, Path):
        return source
    if not source.exists():
        raise UserError(f"{str(source)!r} does not exist; give a run's folder, or files of texts")
    return RunFolder(source) if source.is_dir() else source


def _source(name: str, value: object) -> Path | Sequence[str]:
    """A path, or a list of texts. Raises UserError for anything else."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | os.PathLike):
        return value  # type: ignore[return-value]  # its lines are looked at where they are read
    return path_from(name, value, TEXTS_OR_FILE)


def names_of_metrics(metrics: str | Sequence[str]) -> list[str]:
    """Split names of metrics, one by one or separated by commas. Raises UserError for none."""
    return names_from("metrics", metrics, "at least one name (see textgan list)")
