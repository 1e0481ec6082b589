"""Laying out what is at hand so that the rows of a table compare.

A number that depends on how many texts it is taken on is only comparable among rows of as many, so
every row of a table has the same sizes, the row of real text too, and no real sentence is on both
sides of a comparison:

- A run: the real row is its validation part (fresh texts where there is an oracle), references are
  its test part, networks are trained on its training part.
- Files with the training text: the real row is a random part of the training text, at most half of
  it; networks are trained on the rest of it.
- Files with other real text (--real) alone: the real row is a random half of that, networks are
  trained on the other half.
- Files with references alone: these are parted into three at random, one for the real row, one that
  sets of texts are compared with, and one that networks are trained on; into two where there are
  too few of them to train a network on. BLEU takes all references, for the real row all but the
  sentence itself. Where sentences of one source are in several parts (captions of one picture),
  this row flatters real text, and so is a level that no generator can be asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textgan.core.device import choose_device
from textgan.core.errors import UserError
from textgan.core.files import exists
from textgan.core.names import unique_names
from textgan.core.progress import bar
from textgan.core.statistics import SUBSETS
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.data.checks import corpus_warnings
from textgan.data.datasets import recognise
from textgan.data.fit import evenly, misfit
from textgan.data.labelled import check_labels
from textgan.data.pre_tokenizer import UNKNOWN_WORD, LineTokens, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.text import UNCONDITIONAL, Text
from textgan.data.texts import PLAIN, Form, has_fields, read_rows
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs, Models
from textgan.models.draw import draw_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.training.checkpoint import checkpoints
from textgan.training.results import MLE_ROW, ORACLE_ROW, REAL_ROW, stopped_at, texts_seed
from textgan.training.run import Run

FEWEST_TO_TRAIN = 50  # references of a part that networks are trained on, at least
ALIKE = 0.5  # share of the different lines of two texts above which they are one text
LENGTHS = 2.0  # ratio of median lengths above which two texts are of different kinds
MOST_CHARACTERS = 100_000  # of a line; a longer one is no sentence, and networks would read it all


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How texts are evaluated.

    size: texts of a number that depends on how many there are, at most; 0: as many as all rows
    have. resamplings, subsets: of the intervals, 0 for none. equal: of every file as many texts as
    the smallest has, so that all of its numbers compare.
    """

    seed: int = 0
    size: int = 0
    resamplings: int = 1000
    subsets: int = SUBSETS
    quiet: bool = True
    equal: bool = False


Source = str | Path | Sequence[str]
"""A text file, or the texts themselves."""


@dataclass(frozen=True)
class Texts:
    """Texts that are measured, or that others are compared with.

    name: of their row. about: where they come from, for the facts.
    """

    name: str
    lines: list[str]
    about: dict[str, Any]


def read_texts(source: Source, called: str, name: str = "", form: Form = PLAIN) -> Texts:
    """The texts of a file, one a line, or of a sequence of strings.

    called: what asked for them, for messages. name: of their row; a file's name if not given.
    form: how a file is read.
    Raises UserError.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        lines, sha256 = _read(path, called, form)
        about = {
            "file": path.name,
            "sha256": sha256,
            "known_as": recognise(sha256),
            "lines": len(lines),
            "empty": sum(not line.strip() for line in lines),
        }
        return Texts(name or path.name, lines, about)
    lines = []
    for number, text in enumerate(source):
        if not isinstance(text, str):
            raise UserError(
                f"{called}: item {number} is {type(text).__name__} {str(text)[:40]}; give a file, "
                "or a list of strings"
            )
        lines.append(" ".join(text.split("\n")).strip())
    if not any(lines):
        raise UserError(f"{called} is empty; give at least one text")
    whole = "".join(line + "\n" for line in lines).encode(errors="surrogatepass")
    about = {
        "file": None,
        "sha256": hashlib.sha256(whole).hexdigest(),
        "known_as": None,
        "lines": len(lines),
        "empty": sum(not line for line in lines),
    }
    return Texts(name or "texts", lines, about)


@dataclass(frozen=True)
class EvaluationInputs:
    """The rows of a table before they are measured.

    real: the name of the row of real text, None where there is too little of it.
    facts: what was read. warnings: what was odd about it.
    """

    rows: dict[str, MetricInputs]
    real: str | None
    facts: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def measured(self) -> dict[str, MetricInputs]:
        """The rows that are not the real one."""
        return {name: row for name, row in self.rows.items() if name != self.real}


def inputs_from_files(
    files: Sequence[Source | Texts],
    references: Source | None,
    options: EvaluationOptions,
    *,
    train: Source | None = None,
    real: Source | None = None,
    aligned: Sequence[Source] = (),
    split: LineTokens = "nltk",
    form: Form = PLAIN,
    device: str = "cpu",
) -> EvaluationInputs:
    """Rows from files or lists of texts, the references from another.

    train: what the texts' generator was trained on. real: other real text for the real row.
    aligned: references of which line i answers line i of every file. form: how all files are read,
    their labels left out; fields are for those that have some. device: that networks are
    trained on. Raises UserError.
    """
    given = [*files, *aligned, *(side for side in (references, train, real) if side is not None)]
    fits_some(form, given)
    texts_given = name_texts(files, form)
    answers = [read_texts(file, "--aligned", form=form).lines for file in aligned]
    for file, answer in zip(aligned, answers, strict=True):
        for text in texts_given:
            if len(answer) != len(text.lines):
                raise UserError(
                    f"--aligned = {_called(file)!r} has {len(answer)} lines and {text.name!r} "
                    f"{len(text.lines)}; give one reference for each text"
                )
    if references is None and not aligned:
        raise UserError("give --references FILE, held-out real text to compare with")
    warnings = [
        f"{text.name}: {text.about['empty']} of {text.about['lines']} lines are empty; they score 0"
        for text in texts_given
        if text.about["empty"]
    ]
    if options.equal and len({len(text.lines) for text in texts_given}) > 1:
        fewest = min(len(text.lines) for text in texts_given)
        many = ", ".join(f"{len(text.lines)} ({text.name})" for text in texts_given)
        warnings.append(f"of {many} texts {fewest} each are measured, drawn at random")
        texts_given = [
            replace(text, lines=drawn_lines(text.lines, fewest, options.seed))
            for text in texts_given
        ]
    sides_facts: dict[str, Any] = {}
    known_lines: dict[str, list[str]] = {}
    for role, path in (("references", references), ("train", train), ("real", real)):
        if path is not None:
            read = read_texts(path, f"--{role}", form=form)
            known_lines[role] = [line for line in read.lines if line.strip()]
            sides_facts[role] = read.about
    if references is None:
        known_lines["references"] = [line for line in answers[0] if line.strip()]

    # real text first, so that its words have the same ids whatever is measured
    named = [*known_lines.items(), *((text.name, text.lines) for text in texts_given)]
    tokenizer, encoded = encode_all(
        WordTokenizer((), PreTokenizer(split, unknown="")),
        (bar(lines, f"splitting {name}", options.quiet) for name, lines in named),
    )
    sides = dict(zip(known_lines, encoded, strict=False))
    measured = encoded[len(sides) :]
    inputs = _arrange(
        {text.name: made for text, made in zip(texts_given, measured, strict=True)},
        {text.name: text.lines for text in texts_given},
        sides,
        options,
        MetricInputs(
            tokenizer=tokenizer,
            predictions=measured[0],
            lines=texts_given[0].lines,
            references=sides["references"],
            sample=measured[0],
            paired_sample=measured[0],
            paired_references=sides["references"],
            aligned=answers,
            seed=options.seed,
            resamplings=options.resamplings,
            subsets=options.subsets,
            quiet=options.quiet,
            device=choose_device(device),
        ),
    )
    facts = {
        "tokenizer": split,
        "texts": {text.name: text.about for text in texts_given},
        **sides_facts,
        **form.facts(),
        **({"aligned": [_called(file) for file in aligned]} if aligned else {}),
        **inputs.facts,
    }
    counts = {text.name: len(text.lines) for text in texts_given}
    smallest = min(counts, key=counts.__getitem__)
    if not options.size and inputs.facts["paired_sample"] == counts[smallest] < max(
        counts.values()
    ):
        warnings.append(
            f"sets of texts are compared on {counts[smallest]} texts of every row, which is what "
            f"{smallest} has; numbers of other sizes do not compare"
        )
    everything = {"the references": (known_lines["references"], sides["references"])}
    everything |= {
        text.name: (text.lines, made) for text, made in zip(texts_given, measured, strict=True)
    }
    for name, (lines, made) in everything.items():
        wrong = misfit(evenly(lines), evenly(made.sizes.tolist()))
        if wrong and split != "char":
            warnings.append(
                f"{name}: {wrong}, so n-grams say nothing: --tokenizer char fits text without "
                "spaces between its words"
            )
            break  # once is enough
    for text in texts_given:
        warnings += copy_warnings(text, known_lines)
    leaks = alike(known_lines)
    if leaks:
        facts["alike"] = leaks
        warnings += [f"{leak}; {LEAK}" for leak in leaks]
    warnings += of_other_lengths(sides)
    return replace(inputs, facts=facts, warnings=warnings)


LEAK = "real text that is measured against itself is no level to reach"


def fits_some(form: Form, given: Sequence[Source | Texts]) -> None:
    """UserError for fields that are given where no file has any."""
    files = [Path(one) for one in given if isinstance(one, (str, Path))]
    if form.facts() and not any(has_fields(file, form) for file in files):
        key, value = next(iter(form.facts().items()))
        raise UserError(
            f"--{key.replace('_', '-')} {value}: none of the files has fields; give one that ends "
            "in .csv or .jsonl, or leave it out"
        )


def name_texts(files: Sequence[Source | Texts], form: Form = PLAIN) -> list[Texts]:
    """Files and lists as texts, each with a name of its own."""
    paths = [Path(file) for file in files if isinstance(file, (str, Path))]
    lists = sum(not isinstance(file, (str, Path, Texts)) for file in files)
    made: list[Texts] = []
    for file in files:
        if isinstance(file, Texts):
            made.append(file)
        elif isinstance(file, (str, Path)):
            made.append(read_texts(file, "samples", _name(Path(file), paths), form))
        else:
            number = 1 + sum(text.about["file"] is None for text in made)
            name = f"texts {number}" if lists > 1 else "texts"
            made.append(read_texts(file, name, name))
    names = unique_names([text.name for text in made])
    return [replace(text, name=name) for text, name in zip(made, names, strict=True)]


def drawn_lines(lines: list[str], n: int, seed: int) -> list[str]:
    """n of the lines, drawn at random unless those are all, in their order."""
    if n >= len(lines):
        return lines
    return [lines[i] for i in _parted(len(lines), n, Purpose.EQUAL_TEXTS, seed)[0].tolist()]


def alike(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """A clause for each two kinds of real text (references, train, real) that are one text by what
    occurs in them: more than half of the different lines of the smaller are the other's too."""
    clauses = []
    for (a, ours), (b, theirs) in combinations(texts.items(), 2):
        both, fewest = _in_common(ours, theirs)
        if both > ALIKE * fewest:
            what = "are one text" if set(ours) == set(theirs) else "are nearly one text"
            clauses.append(f"{b} and {a} {what}: {both} of {fewest} different lines are in both")
    return clauses


def copy_warnings(text: Texts, real: Mapping[str, Sequence[str]]) -> list[str]:
    """A warning for each kind of real text that the measured texts are."""
    warnings = []
    for role, lines in real.items():
        held = set(lines)
        same = sum(line in held for line in text.lines)
        of_role = {
            "references": "the references",
            "train": "the training text",
            "real": "the other real text",
        }[role]
        if text.lines == lines:
            consequence = ", so comparing them says nothing" if role == "references" else ""
            warnings.append(f"{text.name}: these are {of_role} themselves{consequence}")
        elif same > len(text.lines) / 2 and role != "train":  # of train, novelty tells more
            warnings.append(
                f"{text.name}: {same} of {len(text.lines)} texts are word for word in {of_role}"
            )
    return warnings


def of_other_lengths(sides: Mapping[str, Sentences]) -> list[str]:
    """A warning for each kind of real text that is much shorter or longer than the references."""
    median = {role: max(1.0, float(side.sizes.double().median())) for role, side in sides.items()}
    level = median["references"]
    return [
        f"{role} has {value:.0f} tokens a text, the references {level:.0f} (medians): numbers that "
        "are taken by it (a row of real text, a network trained on it) speak of another kind of "
        "text"
        for role, value in median.items()
        if max(value, level) >= LENGTHS * min(value, level)
    ]


def _in_common(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """How many different lines are in both, and how many the smaller has."""
    ours, theirs = ({" ".join(line.split()) for line in side} for side in (a, b))
    return len(ours & theirs), min(len(ours), len(theirs))


def _arrange(
    measured: dict[str, Sentences],
    lines: dict[str, list[str]],
    sides: dict[str, Sentences],
    options: EvaluationOptions,
    common: MetricInputs,
) -> EvaluationInputs:
    """Rows of equal sizes from what the files hold."""
    references, train, other = sides["references"], sides.get("train"), sides.get("real")
    fewest = min(map(len, measured.values()))
    own: Tensor | None = None
    opposite, rest = references, train  # what sets are compared with; what networks train on
    origin, learnt = "other text", "train"
    if other is None and train is not None and len(train) >= 2:
        # the networks must not have read the row of real text
        some, left = _parted(
            len(train), min(fewest, len(train) // 2), Purpose.REAL_ROW, options.seed
        )
        other, rest = train[some], train[left]
        origin = "training text"
    elif other is not None and train is None and len(other) >= 2 * FEWEST_TO_TRAIN:
        some, left = _parted(len(other), len(other) // 2, Purpose.REAL_ROW, options.seed)
        other, rest = other[some], other[left]
        origin, learnt = "half of the other text", "real"
    elif other is None and train is None and len(references) >= 3 * FEWEST_TO_TRAIN:
        own, left = _parted(len(references), len(references) // 3, Purpose.REAL_ROW, options.seed)
        facing_part, last = _parted(len(left), len(left) // 2, Purpose.LEARNT_PART, options.seed)
        other, opposite = references[own], references[left[facing_part]]
        rest = references[left[last]]
        origin, learnt = "a third of the references", "references"
    elif other is None and train is None and len(references) >= 4:
        own, left = _parted(len(references), len(references) // 2, Purpose.REAL_ROW, options.seed)
        other, opposite = references[own], references[left]
        origin = "half of the references"
    pair = min(fewest, len(opposite), len(other) if other is not None else len(opposite))
    # a number of one set compares with nothing: the real row may take it on all references
    alone = references if own is not None else other
    single = min(fewest, len(alone)) if alone is not None else fewest
    if options.size:
        pair, single = min(pair, options.size), min(single, options.size)
    facing = _some(opposite, pair, Purpose.CHOSEN_REAL, options.seed)
    rows: dict[str, MetricInputs] = {}
    real = None
    if other is not None and alone is not None and pair:
        real = f"real ({origin})"
        rows[real] = replace(
            common,
            predictions=other,
            lines=[" ".join(words) for words in common.words(other)],
            references=references,
            sample=_some(alone, single, Purpose.CHOSEN_ALONE, options.seed),
            paired_sample=_some(other, pair, Purpose.CHOSEN_PAIRED, options.seed),
            paired_references=facing,
            train=rest,
            train_source=learnt,
            # the row must not be looked for in itself
            generator_train=None if train is None else rest if "real" not in sides else train,
            reference_index=own,
            aligned=[],
        )
    for name, predictions in measured.items():
        rows[name] = replace(
            common,
            predictions=predictions,
            lines=lines[name],
            references=references,
            sample=_some(predictions, single, Purpose.CHOSEN_ALONE, options.seed),
            paired_sample=_some(predictions, pair, Purpose.CHOSEN_PAIRED, options.seed),
            paired_references=facing,
            train=rest,
            train_source=learnt,
            generator_train=train,
        )
    facts: dict[str, Any] = {
        "sample": single,
        "paired_sample": pair,
        "seed": options.seed,
        "samples": fewest,
    }
    facts["streams"] = SCHEME
    if rest is not None:
        facts["networks"] = {"of": learnt, "texts": len(rest)}
    return EvaluationInputs(rows, real, facts)


@dataclass(frozen=True)
class Writer:
    """A generator of a run with a name for its row."""

    name: str
    generator: Generator


def writers(run: Run) -> list[Writer]:
    """The generators that a run's table has rows for: the best MLE epoch, and the last state."""
    writers = []
    run.mle_lack()  # raises where there is one that is not this run's
    if exists(run.folder / "mle.safetensors"):
        writers.append(Writer(MLE_ROW, run.load_generator("mle")))
    return [*writers, Writer(f"{run.method}, last", run.load_generator())]


def texts_of_run(run: Run, samples: int, seed: int, temperature: float) -> Texts:
    """Texts of a run's last state as `textgan sample` writes them, without their labels.

    samples: how many; 0: as many as its config says.
    """
    n = samples or run.config.evaluation.final_samples
    written = writers(run)[-1]
    text, _ = _write(run, written.generator, n, seed, temperature)
    lines = run.corpus.decode(replace(text, condition=UNCONDITIONAL))
    about = {
        "run": run.folder.resolve().name,
        "file": None,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "temperature": temperature,
        "seed": seed,
        "lines": len(lines),
        "empty": sum(not line.strip() for line in lines),
    }
    return Texts(run.folder.resolve().name, lines, about)


def inputs_from_run(
    run: Run,
    options: EvaluationOptions,
    *,
    samples: int,
    temperature: float = 1.0,
    split: LineTokens | None = None,
    memory: dict[Hashable, Any] | None = None,
    only: Sequence[str] = (),
    with_real: bool = True,
    others: Sequence[Run | Source] = (),
    form: Form = PLAIN,
) -> EvaluationInputs:
    """Rows of a run: real text, its best MLE epoch, its generator as it is.

    others: further runs on the same corpus (a row of their last state each, and then of this run's
    too), and files or lists of texts, which are split as the run's own lines are; form: how files
    are read.

    split: None takes the run's own words; else lines are written and split anew.
    memory: shared with other layouts of the same corpus. only: names of rows, if not all.
    Texts are written as `textgan sample` writes them, without the unknown word; entropies and
    likelihoods are those of the generator as it is.
    """
    corpus, seed = run.corpus, options.seed
    written = [(writer, run) for writer in writers(run)]  # first, for a run may have none yet
    more = [one for one in others if isinstance(one, Run)]
    if more:
        runs = [run, *more]
        for rival in more:
            if rival.corpus.facts != corpus.facts:
                raise UserError(
                    f"{run.folder} and {rival.folder} have different data; give --references FILE "
                    "to compare both with one text"
                )
        names = unique_names([rival.folder.resolve().name for rival in runs])
        written = [
            (replace(writers(rival)[-1], name=name), rival)
            for name, rival in zip(names, runs, strict=True)
        ]
    files = [one for one in others if not isinstance(one, Run)]
    fits_some(form, files)
    given = name_texts(files, form)
    if run.oracle is not None:
        fresh = draw_like(
            run.oracle, corpus.conditions, samples, seed=stream(Purpose.EVALUATION_ORACLE, seed)
        )
    else:
        fresh = corpus.valid
    if options.equal and given:
        samples = min(samples, *(len(text.lines) for text in given))
        given = [replace(one, lines=drawn_lines(one.lines, samples, seed)) for one in given]
    chosen = [(writer, author) for writer, author in written if not only or writer.name in only]
    texts = [
        _write(author, writer.generator, samples, seed, temperature) for writer, author in chosen
    ]
    tokenizer, (test, train, other, *measured) = _encode_run(
        run,
        split,
        [corpus.test, corpus.train, fresh, *(text for text, _ in texts)],
        [one.lines for one in given],
    )
    fewest = min(samples, *(len(text.lines) for text in given), samples)
    pair = min(fewest, len(test), len(other))
    single = min(fewest, len(other))
    if options.size:
        pair, single = min(pair, options.size), min(single, options.size)
    facing = _some(test, pair, Purpose.CHOSEN_REAL, seed)
    common = MetricInputs(
        tokenizer=tokenizer,
        predictions=other,
        lines=_lines(run, fresh),
        references=test,
        sample=_some(other, single, Purpose.CHOSEN_ALONE, seed),
        paired_sample=_some(other, pair, Purpose.CHOSEN_PAIRED, seed),
        paired_references=facing,
        train=train,
        generator_train=train,
        models=None
        if run.oracle is None
        else Models(run.oracle, run.oracle, fresh.to(run.device), corpus.test),
        seed=seed,
        resamplings=options.resamplings,
        subsets=options.subsets,
        quiet=options.quiet,
        device=run.device,
        memory={} if memory is None else memory,
    )
    real = ORACLE_ROW if run.oracle is not None else REAL_ROW
    rows = {real: common} if with_real else {}
    for (writer, _), (text, drawn), predictions in zip(chosen, texts, measured, strict=False):
        likely = writer.generator if isinstance(writer.generator, AutoregressiveGenerator) else None
        models = None
        if likely is not None or run.oracle is not None:
            models = Models(likely, run.oracle, drawn, corpus.test, temperature)
        rows[writer.name] = replace(
            common,
            predictions=predictions,
            lines=_lines(run, text),
            sample=_some(predictions, single, Purpose.CHOSEN_ALONE, seed),
            paired_sample=_some(predictions, pair, Purpose.CHOSEN_PAIRED, seed),
            models=models,
        )
    for one, predictions in zip(given, measured[len(texts) :], strict=True):
        rows[one.name] = replace(
            common,
            predictions=predictions,
            lines=one.lines,
            sample=_some(predictions, single, Purpose.CHOSEN_ALONE, seed),
            paired_sample=_some(predictions, pair, Purpose.CHOSEN_PAIRED, seed),
            models=None,
        )
    facts: dict[str, Any] = {
        "run": run.folder.resolve().name,
        "objective": run.config.objective.name,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "data": corpus.facts,
        "tokenizer": tokenizer.kind,
        "temperature": temperature,
        "samples": samples,
        "sample": single,
        "paired_sample": pair,
        "seed": seed,
        "streams": SCHEME,
    }
    warnings = corpus_warnings(corpus)
    if more:
        facts["runs"] = [rival.folder.resolve().name for rival in (run, *more)]
    if given:
        facts["texts"] = {one.name: one.about for one in given}
        held = {"references": _lines(run, corpus.test), "train": _lines(run, corpus.train)}
        for one in given:
            warnings += copy_warnings(one, held)
    if (unknown := corpus.space.unknown) is not None:
        share = float((corpus.test.tokens == unknown).sum()) / float(corpus.test.lengths.sum())
        if share > 0.01:
            warnings.append(
                f"{share:.1%} of the references' words are {UNKNOWN_WORD}, which the texts never "
                "are; a smaller data.min_count or a larger data.vocabulary has fewer"
            )
    if stopped := stopped_at(run):
        warnings.append(
            f"{run.folder} is not finished, as far as its checkpoints go: it is measured as it was "
            f"{stopped}"
        )
    if lack := run.mle_lack():
        warnings.append(lack)
    return EvaluationInputs(rows, real if with_real else None, facts, warnings)


def _lines(run: Run, text: Text) -> list[str]:
    """One line for each text of a run, without its label."""
    return run.corpus.tokenizer.decode(text.tolist())


def _encode_run(
    run: Run, split: LineTokens | None, texts: Sequence[Text], files: Sequence[Sequence[str]]
) -> tuple[WordTokenizer, list[Sentences]]:
    """A run's texts, then lines of files, as sentences, and their tokenizer: the run's own, or for
    a corpus of words another by which its lines are split anew."""
    tokenizer = run.corpus.tokenizer
    if split is not None and tokenizer.special:
        anew = WordTokenizer((), PreTokenizer(split, unknown=""))
        return encode_all(anew, [*(_lines(run, text) for text in texts), *files])
    cpu, eos = torch.device("cpu"), run.corpus.space.eos
    tokenizer, encoded = encode_all(tokenizer, files)
    return tokenizer, [*(Sentences.of(text.to(cpu), eos) for text in texts), *encoded]


def _write(
    run: Run, generator: Generator, n: int, seed: int, temperature: float
) -> tuple[Text, Text]:
    """n texts to be read, without the unknown word, and n as the generator draws them."""
    draw = partial(
        draw_like,
        generator,
        run.corpus.conditions,
        n,
        seed=texts_seed(run, seed),
        temperature=temperature,
    )
    drawn = draw()
    unknown = run.corpus.space.unknown
    if unknown is None or not bool((drawn.tokens == unknown).any()):
        return drawn, drawn
    return draw(forbid=unknown), drawn


def _read(path: Path, called: str, form: Form) -> tuple[list[str], str]:
    """The texts of a file without their labels, none of them longer than a sentence can be, and
    the file's SHA-256."""
    if form.facts() and not has_fields(path, form):
        form = replace(form, field="", label_field="")
    rows, sha256 = read_rows(path, called, form)
    for row in rows:
        if len(row.text) > MOST_CHARACTERS:
            raise UserError(
                f"{called} = {str(path)!r}: line {row.line} has {len(row.text):,} characters, at "
                f"most {MOST_CHARACTERS:,} are taken; give one sentence a line"
            )
    # texts of one label are as good as any here, but labels must be labels
    labels = [row.label for row in rows if row.label is not None]
    check_labels(labels, f"{called} = {str(path)!r}", least=0)
    return [row.text for row in rows], sha256


def _called(source: Source) -> str:
    return Path(source).name if isinstance(source, (str, Path)) else "a list"


def _name(file: Path, files: Sequence[Path]) -> str:
    """A file's name, with its folder where two have the same."""
    return file.name if sum(file.name == other.name for other in files) == 1 else str(file)


def _parted(n: int, first: int, purpose: Purpose, seed: int) -> tuple[Tensor, Tensor]:
    """A random `first` of n indices and the others, both in order."""
    order = np.random.default_rng(stream(purpose, seed)).permutation(n)
    some, others = (torch.from_numpy(np.sort(part)) for part in (order[:first], order[first:]))
    return some, others


def _some(sentences: Sentences, n: int, purpose: Purpose, seed: int) -> Sentences:
    """n of the sentences, drawn at random unless those are all, in their order."""
    if n >= len(sentences):
        return sentences
    return sentences[_parted(len(sentences), n, purpose, seed)[0]]
