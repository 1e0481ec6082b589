"""The inputs of an evaluation, laid out so that the rows of a table compare.

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
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textgan.core.device import choose_device
from textgan.core.errors import UserError, option
from textgan.core.files import exists
from textgan.core.names import unique_names
from textgan.core.progress import bar
from textgan.core.statistics import SUBSETS
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.data.checks import corpus_warnings
from textgan.data.datasets import recognise
from textgan.data.labelled import check_labels
from textgan.data.pre_tokenizer import UNKNOWN_WORD, LineTokens, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.text import UNCONDITIONAL, Text
from textgan.data.texts import PLAIN, Form, has_fields, read_rows
from textgan.data.token_fit import evenly, misfit
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs, Models
from textgan.models.draw import draw_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.training.checkpoint import checkpoints
from textgan.training.results import MLE_ROW, ORACLE_ROW, REAL_ROW, texts_seed
from textgan.training.run import Run

FEWEST_TO_TRAIN = 50  # references of a part that networks are trained on, at least
ALIKE = 0.5  # share of the different lines of two texts above which they are one text
LENGTHS = 2.0  # ratio of median lengths above which two texts are of different kinds
MOST_CHARACTERS = 100_000  # of a line; a longer one is no sentence, and networks would read it all


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation.

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
    """Read the texts of a file, one a line, or of a sequence of strings.

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
    """Make rows of files or lists of texts, with the references from another.

    train: what the texts' generator was trained on. real: other real text for the real row.
    aligned: references of which line i answers line i of every file. form: how all files are read,
    their labels left out; fields are for those that have some. device: that networks are
    trained on. Raises UserError.
    """
    given = [*files, *aligned, *(side for side in (references, train, real) if side is not None)]
    fits_some(form, given)
    texts = name_texts(files, form)
    answers = _read_aligned(aligned, texts, form)
    if references is None and not aligned:
        raise UserError(f"give {option('references', 'FILE')}, held-out real text to compare with")
    texts, warnings = _looked_over(texts, options)
    held_out = {
        role: read_texts(source, role, form=form)
        for role, source in (("references", references), ("train", train), ("real", real))
        if source is not None
    }
    lines = {role: _without_empty(text.lines) for role, text in held_out.items()}
    if references is None:
        lines["references"] = _without_empty(answers[0])
    tokenizer, sides, measured = _encode_files(split, lines, texts, options.quiet)

    fewest = min(len(text.lines) for text in texts)
    parts = _parts(sides, fewest, options.seed)
    make = _RowMaker.of(
        options,
        fewest,
        parts,
        tokenizer=tokenizer,
        references=sides["references"],
        device=choose_device(device),
    )
    rows = {}
    real_row = None
    if parts.real is not None and make.paired_sample:
        real_row = f"real ({parts.origin})"
        rows[real_row] = make(
            parts.real,
            [" ".join(tokenizer.convert_ids_to_tokens(ids)) for ids in parts.real.tolist()],
            alone=parts.alone,
            # the row must not be looked for in itself
            generator_train=parts.train if "train" in sides else None,
            reference_index=parts.own,
        )
    for text, predictions in zip(texts, measured, strict=True):
        rows[text.name] = make(
            predictions, text.lines, generator_train=sides.get("train"), aligned=answers
        )
    leaks = alike(lines)
    facts = {
        "tokenizer": split,
        "texts": {text.name: text.about for text in texts},
        **{role: text.about for role, text in held_out.items()},
        **form.facts(),
        **({"aligned": [_called(file) for file in aligned]} if aligned else {}),
        **make.facts(fewest),
        **parts.facts(),
        **({"alike": leaks} if leaks else {}),
    }
    if not options.size:
        warnings += _warnings_of_sizes(texts, make.paired_sample)
    named = {"the references": lines["references"]} | {text.name: text.lines for text in texts}
    if split != "char":
        warnings += _without_spaces(named, [sides["references"], *measured])
    for text in texts:
        warnings += copy_warnings(text, lines)
    warnings += [f"{leak}; {LEAK}" for leak in leaks]
    warnings += of_other_lengths(sides)
    return EvaluationInputs(rows, real_row, facts, warnings)


def _without_empty(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _encode_files(
    split: LineTokens, sides: Mapping[str, Sequence[str]], texts: Sequence[Texts], quiet: bool
) -> tuple[WordTokenizer, dict[str, Sentences], list[Sentences]]:
    """Encode all that was read: return its tokenizer, the kinds of real text, and the measured
    texts.

    Real text comes first, so that its words have the same ids whatever is measured.
    """
    named = [*sides.items(), *((text.name, text.lines) for text in texts)]
    tokenizer, encoded = encode_all(
        WordTokenizer((), PreTokenizer(split, unknown="")),
        (bar(lines, f"splitting {name}", quiet) for name, lines in named),
    )
    return tokenizer, dict(zip(sides, encoded, strict=False)), encoded[len(sides) :]


def _warnings_of_sizes(texts: Sequence[Texts], paired_sample: int) -> list[str]:
    """Warn where the smallest file decides how many texts of every row are compared."""
    counts = {text.name: len(text.lines) for text in texts}
    smallest = min(counts, key=counts.__getitem__)
    if not paired_sample == counts[smallest] < max(counts.values()):
        return []
    return [
        f"sets of texts are compared on {paired_sample} texts of every row, which is what "
        f"{smallest} has; numbers of other sizes do not compare"
    ]


def _read_aligned(aligned: Sequence[Source], texts: Sequence[Texts], form: Form) -> list[list[str]]:
    """The lines of aligned references; UserError where they are not one for each text."""
    answers = [read_texts(file, "aligned", form=form).lines for file in aligned]
    for file, answer in zip(aligned, answers, strict=True):
        for text in texts:
            if len(answer) != len(text.lines):
                raise UserError(
                    f"aligned = {_called(file)!r} has {len(answer)} lines and {text.name!r} "
                    f"{len(text.lines)}; give one reference for each text"
                )
    return answers


def _looked_over(
    texts: Sequence[Texts], options: EvaluationOptions
) -> tuple[list[Texts], list[str]]:
    """The texts, as many of each where the options ask for it, and warnings."""
    warnings = [
        f"{text.name}: {text.about['empty']} of {text.about['lines']} lines are empty; they score 0"
        for text in texts
        if text.about["empty"]
    ]
    fewest = min(len(text.lines) for text in texts)
    if not options.equal or all(len(text.lines) == fewest for text in texts):
        return list(texts), warnings
    many = ", ".join(f"{len(text.lines)} ({text.name})" for text in texts)
    warnings.append(f"of {many} texts {fewest} each are measured, drawn at random")
    return [
        replace(text, lines=drawn_lines(text.lines, fewest, options.seed)) for text in texts
    ], warnings


def _without_spaces(named: Mapping[str, Sequence[str]], encoded: Sequence[Sentences]) -> list[str]:
    """A warning for the first text whose words no spaces separate; once is enough."""
    for (name, lines), sentences in zip(named.items(), encoded, strict=True):
        if wrong := misfit(evenly(lines), evenly(sentences.sizes.tolist())):
            return [
                f"{name}: {wrong}, so n-grams say nothing: {option('tokenizer', 'char')} fits "
                "text without spaces between its words"
            ]
    return []


LEAK = "real text that is measured against itself is no level to reach"


def fits_some(form: Form, given: Sequence[Source | Texts]) -> None:
    """Raise UserError for fields that are given although no file has any."""
    files = [Path(one) for one in given if isinstance(one, (str, Path))]
    if form.facts() and not any(has_fields(file, form) for file in files):
        key, value = next(iter(form.facts().items()))
        raise UserError(
            f"{option(key, value)}: none of the files has fields; give one that ends "
            "in .csv or .jsonl, or leave it out"
        )


def name_texts(files: Sequence[Source | Texts], form: Form = PLAIN) -> list[Texts]:
    """Read files and lists as texts, each with a name of its own."""
    paths = [Path(file) for file in files if isinstance(file, (str, Path))]
    lists = sum(not isinstance(file, (str, Path, Texts)) for file in files)
    made: list[Texts] = []
    for file in files:
        if isinstance(file, Texts):
            made.append(file)
        elif isinstance(file, (str, Path)):
            made.append(read_texts(file, "targets", _name(Path(file), paths), form))
        else:
            number = 1 + sum(text.about["file"] is None for text in made)
            name = f"texts {number}" if lists > 1 else "texts"
            made.append(read_texts(file, name, name))
    names = unique_names([text.name for text in made])
    return [replace(text, name=name) for text, name in zip(made, names, strict=True)]


def drawn_lines(lines: list[str], n: int, seed: int) -> list[str]:
    """Draw n of the lines at random; where there are no more, return all in their order."""
    if n >= len(lines):
        return lines
    return [lines[i] for i in _parted(len(lines), n, Purpose.EQUAL_TEXTS, seed)[0].tolist()]


def alike(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a clause for each two kinds of real text (references, train, real) that are one text
    by their content: more than half of the different lines of the smaller are in the other too."""
    clauses = []
    for (a, ours), (b, theirs) in combinations(texts.items(), 2):
        both, fewest = _in_common(ours, theirs)
        if both > ALIKE * fewest:
            what = "are one text" if set(ours) == set(theirs) else "are nearly one text"
            clauses.append(f"{b} and {a} {what}: {both} of {fewest} different lines are in both")
    return clauses


def copy_warnings(text: Texts, real: Mapping[str, Sequence[str]]) -> list[str]:
    """Warn of each kind of real text that the measured texts are copies of."""
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
    """Warn of each kind of real text that is much shorter or longer than the references."""
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
    """Return how many different lines are in both, and how many the smaller has."""
    ours, theirs = ({" ".join(line.split()) for line in side} for side in (a, b))
    return len(ours & theirs), min(len(ours), len(theirs))


@dataclass(frozen=True)
class _Parts:
    """The roles of real text where files hold it.

    real: the row of real text, None where there is too little; origin: its name. own: where its
    texts are among the references. opposite: what sets are compared with. train: what networks are
    trained on; train_source: what that is a part of. alone: what the real row's numbers of one set
    are of, which compare with nothing: all references, where the row is a part of them.
    """

    opposite: Sentences
    train: Sentences | None
    real: Sentences | None = None
    origin: str = "other text"
    train_source: str = "train"
    own: Tensor | None = None
    alone: Sentences | None = None

    def facts(self) -> dict[str, Any]:
        """Return the training data of metrics' networks, for the facts of the table."""
        if self.train is None:
            return {}
        return {"networks": {"of": self.train_source, "texts": len(self.train)}}


def _parts(sides: Mapping[str, Sentences], fewest: int, seed: int) -> _Parts:
    """Part the real text of files, as this module's docstring has it."""
    references, train, other = sides["references"], sides.get("train"), sides.get("real")
    if other is None and train is not None and len(train) >= 2:
        # the networks must not have read the row of real text
        some, left = _parted(len(train), min(fewest, len(train) // 2), Purpose.REAL_ROW, seed)
        real = train[some]
        return _Parts(references, train[left], real, "training text", alone=real)
    if other is not None and train is None and len(other) >= 2 * FEWEST_TO_TRAIN:
        some, left = _parted(len(other), len(other) // 2, Purpose.REAL_ROW, seed)
        real = other[some]
        origin = "half of the other text"
        return _Parts(references, other[left], real, origin, "real", alone=real)
    if other is None and train is None and len(references) >= 3 * FEWEST_TO_TRAIN:
        own, left = _parted(len(references), len(references) // 3, Purpose.REAL_ROW, seed)
        facing, last = _parted(len(left), len(left) // 2, Purpose.NETWORK_PART, seed)
        return _Parts(
            references[left[facing]],
            references[left[last]],
            references[own],
            "a third of the references",
            "references",
            own,
            references,
        )
    if other is None and train is None and len(references) >= 4:
        own, left = _parted(len(references), len(references) // 2, Purpose.REAL_ROW, seed)
        return _Parts(
            references[left],
            None,
            references[own],
            "half of the references",
            own=own,
            alone=references,
        )
    return _Parts(references, train, other, alone=other)


@dataclass(frozen=True)
class _RowMaker:
    """Makes the rows of one table, whose numbers are taken on equally many texts.

    sample: texts of a number of one set. paired_sample: of each of two sets that are compared.
    make: MetricInputs with what all rows share.
    """

    seed: int
    sample: int
    paired_sample: int
    make: Callable[..., MetricInputs]

    @classmethod
    def of(
        cls,
        options: EvaluationOptions,
        fewest: int,
        parts: _Parts,
        **common: Any,
    ) -> _RowMaker:
        """fewest: texts of the smallest row that is not real."""
        most = min(fewest, options.size or fewest)
        sample = most if parts.alone is None else min(most, len(parts.alone))
        paired_sample = min(most, len(parts.opposite))
        if parts.real is not None:
            paired_sample = min(paired_sample, len(parts.real))
        make = partial(
            MetricInputs,
            paired_references=_some(
                parts.opposite, paired_sample, Purpose.CHOSEN_REAL, options.seed
            ),
            train=parts.train,
            train_source=parts.train_source,
            seed=options.seed,
            resamplings=options.resamplings,
            subsets=options.subsets,
            quiet=options.quiet,
            **{"memory": {}} | common,
        )
        return cls(options.seed, sample, paired_sample, make)

    def __call__(
        self,
        predictions: Sentences,
        lines: list[str],
        *,
        alone: Sentences | None = None,
        **others: Any,
    ) -> MetricInputs:
        """A row of these texts. alone: what numbers of one set are of, where not of these."""
        pool = predictions if alone is None else alone
        return self.make(
            predictions=predictions,
            lines=lines,
            sample=_some(pool, self.sample, Purpose.CHOSEN_ALONE, self.seed),
            paired_sample=_some(predictions, self.paired_sample, Purpose.CHOSEN_PAIRED, self.seed),
            **others,
        )

    def facts(self, samples: int) -> dict[str, Any]:
        """Describe how the rows were made, for the facts of the table."""
        return {
            "samples": samples,
            "sample": self.sample,
            "paired_sample": self.paired_sample,
            "seed": self.seed,
            "streams": SCHEME,
        }


@dataclass(frozen=True)
class Writer:
    """A generator of a run with a name for its row."""

    name: str
    generator: Generator


def writers(run: Run) -> list[Writer]:
    """Return the generators that a run's table has rows for: the best MLE epoch, and the last
    state."""
    writers = []
    run.mle_lack()  # raises where there is one that is not this run's
    if exists(run.folder / "mle.safetensors"):
        writers.append(Writer(MLE_ROW, run.load_generator("mle")))
    return [*writers, Writer(f"{run.method}, last", run.load_generator())]


def texts_of_run(run: Run, samples: int, seed: int, temperature: float) -> Texts:
    """Draw texts of a run's last state as `textgan sample` writes them, without their labels.

    samples: how many; 0: as many as its config says.
    """
    n = samples or run.config.evaluation.final_samples
    with run.products():
        text = _draw(run, writers(run)[-1], n, seed, temperature).text
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
    """Make the rows of a run: real text, its best MLE epoch, its generator as it is.

    others: further runs on the same corpus (a row of their last state each, and then of this run's
    too), and files or lists of texts, which are split as the run's own lines are; form: how files
    are read.

    split: None takes the run's own words; else lines are written and split anew.
    memory: shared with other layouts of the same corpus. only: names of rows, if not all.
    Texts are written as `textgan sample` writes them, without the unknown word; entropies and
    likelihoods are those of the generator as it is.
    """
    corpus, seed = run.corpus, options.seed
    runs = [run, *(one for one in others if isinstance(one, Run))]
    written = _written(runs)  # first, for a run may have none yet
    files = [one for one in others if not isinstance(one, Run)]
    fits_some(form, files)
    given = name_texts(files, form)
    if run.oracle is not None:
        fresh = draw_like(
            run.oracle, corpus.conditions, samples, seed=stream(Purpose.EVALUATION_ORACLE, seed)
        )
    else:
        fresh = corpus.valid
    fewest = min([samples, *(len(text.lines) for text in given)])
    if options.equal:
        samples = fewest
        given = [replace(one, lines=drawn_lines(one.lines, samples, seed)) for one in given]
    drawn = [
        _draw(author, writer, samples, seed, temperature)
        for writer, author in written
        if not only or writer.name in only
    ]
    tokenizer, (test, train, real, *measured) = _encode_run(
        run,
        split,
        [corpus.test, corpus.train, fresh, *(one.text for one in drawn)],
        [one.lines for one in given],
        options.quiet,
    )
    make = _RowMaker.of(
        options,
        fewest,
        _Parts(test, train, real, alone=real),
        tokenizer=tokenizer,
        references=test,
        generator_train=train,
        device=run.device,
        memory={} if memory is None else memory,
    )
    rows: dict[str, MetricInputs] = {}
    real_row = (ORACLE_ROW if run.oracle is not None else REAL_ROW) if with_real else None
    if real_row is not None:
        rows[real_row] = make(real, _lines(run, fresh), models=_models_of_oracle(run, fresh))
    for one, predictions in zip(drawn, measured, strict=False):
        models = one.models(run, temperature)
        rows[one.writer.name] = make(predictions, _lines(run, one.text), models=models)
    for text, predictions in zip(given, measured[len(drawn) :], strict=True):
        rows[text.name] = make(predictions, text.lines)
    facts: dict[str, Any] = {
        "run": run.folder.resolve().name,
        "objective": run.config.objective.name,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "data": corpus.facts,
        "tokenizer": tokenizer.kind,
        "temperature": temperature,
        **make.facts(samples),
    }
    if len(runs) > 1:
        facts["runs"] = [one.folder.resolve().name for one in runs]
    if given:
        facts["texts"] = {one.name: one.about for one in given}
    return EvaluationInputs(rows, real_row, facts, _warnings_of_run(run, given))


def _models_of_oracle(run: Run, fresh: Text) -> Models | None:
    """Return the models for likelihoods of the row of real text; None where no oracle writes it."""
    if run.oracle is None:
        return None
    return Models(run.oracle, run.oracle, fresh.to(run.device), run.corpus.test)


@dataclass(frozen=True)
class _Drawn:
    """Texts of a writer: without the unknown word, to be measured, and as it draws them."""

    writer: Writer
    text: Text
    as_drawn: Text

    def models(self, run: Run, temperature: float) -> Models | None:
        """Return the models for likelihoods of the row of these texts; None where there are
        none."""
        generator = self.writer.generator
        likely = generator if isinstance(generator, AutoregressiveGenerator) else None
        if likely is None and run.oracle is None:
            return None
        return Models(likely, run.oracle, self.as_drawn, run.corpus.test, temperature)


def _draw(run: Run, writer: Writer, n: int, seed: int, temperature: float) -> _Drawn:
    """Draw n texts of a writer, as `textgan sample` writes them."""
    draw = partial(
        draw_like,
        writer.generator,
        run.corpus.conditions,
        n,
        seed=texts_seed(run, seed),
        temperature=temperature,
    )
    drawn = draw()
    unknown = run.corpus.space.unknown
    if unknown is None or not bool((drawn.tokens == unknown).any()):
        return _Drawn(writer, drawn, drawn)
    return _Drawn(writer, draw(forbid=unknown), drawn)


def _written(runs: Sequence[Run]) -> list[tuple[Writer, Run]]:
    """The writers of a run; of several runs the last state of each. UserError for unlike data."""
    run, *rivals = runs
    written = [(writer, run) for writer in writers(run)]
    if not rivals:
        return written
    for rival in rivals:
        if rival.corpus.facts != run.corpus.facts:
            raise UserError(
                f"{run.folder} and {rival.folder} have different data; give "
                f"{option('references', 'FILE')} to compare both with one text"
            )
    names = unique_names([one.folder.resolve().name for one in runs])
    last = [written[-1][0], *(writers(rival)[-1] for rival in rivals)]
    return [
        (replace(writer, name=name), one)
        for writer, name, one in zip(last, names, runs, strict=True)
    ]


def _warnings_of_run(run: Run, given: Sequence[Texts]) -> list[str]:
    """Warn of what is odd about a run's corpus, its state, and the texts that are measured beside
    it."""
    corpus = run.corpus
    warnings = corpus_warnings(corpus)
    if given:
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
    if stopped := run.stopped_at():
        warnings.append(
            f"{run.folder} is not finished, as far as its checkpoints go: it is measured as it was "
            f"{stopped}"
        )
    if lack := run.mle_lack():
        warnings.append(lack)
    return warnings


def _lines(run: Run, text: Text) -> list[str]:
    """One line for each text of a run, without its label."""
    return run.corpus.tokenizer.decode(text.tolist())


def _encode_run(
    run: Run,
    split: LineTokens | None,
    texts: Sequence[Text],
    files: Sequence[Sequence[str]],
    quiet: bool,
) -> tuple[WordTokenizer, list[Sentences]]:
    """A run's texts, then lines of files, as sentences, and their tokenizer: the run's own, or for
    a corpus of words another by which its lines are split anew."""
    tokenizer = run.corpus.tokenizer
    if split is not None and tokenizer.special:
        anew = WordTokenizer((), PreTokenizer(split, unknown=""))
        every = [*(_lines(run, text) for text in texts), *files]
        return encode_all(anew, (bar(lines, "splitting texts", quiet) for lines in every))
    cpu, eos = torch.device("cpu"), run.corpus.space.eos
    reading = (bar(lines, "splitting texts", quiet) for lines in files)
    tokenizer, encoded = encode_all(tokenizer, reading)
    return tokenizer, [*(Sentences.of(text.to(cpu), eos) for text in texts), *encoded]


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
