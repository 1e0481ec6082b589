"""Laying out what is at hand so that the rows of a table compare.

A number that depends on how many texts it is taken on is only comparable among rows of as many, so
every row of a table has the same sizes, the row of real text too, and no real sentence is on both
sides of a comparison:

- A run: the real row is its validation part (fresh texts where there is an oracle), references are
  its test part, networks are trained on its training part.
- Files with the training text: the real row is a random part of the training text, at most half of
  it; networks are trained on the rest of it.
- Files without it: the real row is a random half of the references. Sets of texts are compared with
  the other half; BLEU takes all references, for the real row all but the sentence itself. Where
  sentences of one source stand in both halves (captions of one picture), this row flatters real
  text, and so is a level that no generator can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from textgan.checkpoint import checkpoints
from textgan.core.files import file_digest
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.corpus import UNKNOWN, UNKNOWN_WORD, check_labels
from textgan.data.checks import corpus_warnings
from textgan.data.fit import evenly, misfit
from textgan.data.texts import PLAIN, Form, has_fields, read_rows
from textgan.datasets import recognise
from textgan.errors import UserError
from textgan.generators.base import AutoregressiveGenerator, Generator, draw_texts
from textgan.metrics.base import Material, Models
from textgan.monitor import labels_like
from textgan.run import Run, choose_device
from textgan.sampling import Categorical, Choose, greedy, seeded, without
from textgan.sentences import Sentences, Words
from textgan.text import Text
from textgan.tokenizers import Tokenizer, tokenizer

MOST_CHARACTERS = 100_000  # of a line; a longer one is no sentence, and networks would read it all


MLE = "MLE, best epoch"


@dataclass(frozen=True, kw_only=True)
class Told:
    """How texts are judged.

    size: texts of a number that depends on how many there are, at most; 0: as many as all rows
    have. resamplings, subsets: of the intervals, 0 for none.
    """

    seed: int = 0
    size: int = 0
    resamplings: int = 1000
    subsets: int = 40
    quiet: bool = True


@dataclass(frozen=True)
class Layout:
    """The rows of a table before they are judged.

    real: the name of the row of real text, None where there is too little of it.
    facts: what was read. warnings: what was odd about it.
    """

    rows: dict[str, Material]
    real: str | None
    facts: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def judged(self) -> dict[str, Material]:
        """The rows that are not the real one."""
        return {name: row for name, row in self.rows.items() if name != self.real}


def lay_out_files(
    files: Sequence[Path],
    references: Path | None,
    told: Told,
    *,
    train: Path | None = None,
    real: Path | None = None,
    aligned: Sequence[Path] = (),
    split: Tokenizer = "nltk",
    form: Form = PLAIN,
    device: str = "cpu",
) -> Layout:
    """Rows from files of texts, the references from another.

    train: what the texts' generator was trained on. real: other real text for the real row.
    aligned: references of which line i answers line i of every file. form: how all files are read,
    their labels left out; fields are for those that have some. device: that networks are
    trained on. Raises UserError.
    """
    paths = [*files, *aligned, *(path for path in (references, train, real) if path is not None)]
    if form.facts() and not any(has_fields(path, form) for path in paths):
        key, value = next(iter(form.facts().items()))
        raise UserError(
            f"--{key.replace('_', '-')} {value}: none of the files has fields; give one that ends "
            "in .csv or .jsonl, or leave it out"
        )
    texts = [_read(file, "samples", form) for file in files]
    answers = [_read(file, "--aligned", form) for file in aligned]
    for file, answer in zip(aligned, answers, strict=True):
        for other, text in zip(files, texts, strict=True):
            if len(answer) != len(text):
                raise UserError(
                    f"--aligned = {str(file)!r} has {len(answer)} lines and {str(other)!r} "
                    f"{len(text)}; give one reference for each text"
                )
    if references is None and not aligned:
        raise UserError("give --references FILE, held-out real text to compare with")
    told_of: dict[str, Any] = {}
    known_lines: dict[str, list[str]] = {}
    for role, path in (("references", references), ("train", train), ("real", real)):
        if path is not None:
            lines = _read(path, f"--{role}", form)
            known_lines[role] = [line for line in lines if line.strip()]
            told_of[role] = _about(path, len(lines), len(lines) - len(known_lines[role]))
    if references is None:
        known_lines["references"] = [line for line in answers[0] if line.strip()]

    words, cut = Words(), tokenizer(split)

    def encoded(lines: list[str], what: str) -> Sentences:
        shown = tqdm(
            lines, f"splitting {what}", delay=2, leave=False, disable=True if told.quiet else None
        )
        return words.encode(map(cut, shown))

    # real text first, so that its words have the same numbers whatever is judged
    sides = {role: encoded(lines, role) for role, lines in known_lines.items()}
    judged = [encoded(lines, file.name) for file, lines in zip(files, texts, strict=True)]
    layout = _arrange(
        {_name(file, files): made for file, made in zip(files, judged, strict=True)},
        dict(zip((_name(file, files) for file in files), texts, strict=True)),
        sides,
        told,
        Material(
            words=words,
            tokenizer=split,
            hypotheses=judged[0],
            lines=texts[0],
            references=sides["references"],
            alone=judged[0],
            paired=judged[0],
            real=sides["references"],
            aligned=answers,
            seed=told.seed,
            resamplings=told.resamplings,
            subsets=told.subsets,
            quiet=told.quiet,
            device=choose_device(device),
        ),
    )
    facts = {
        "tokenizer": split,
        "texts": {
            _name(file, files): _about(file, len(lines), sum(not line.strip() for line in lines))
            for file, lines in zip(files, texts, strict=True)
        },
        **told_of,
        **form.facts(),
        **({"aligned": [file.name for file in aligned]} if aligned else {}),
        **layout.facts,
    }
    warnings = []
    for name, about in facts["texts"].items():
        if about["empty"]:
            warnings.append(
                f"{name}: {about['empty']} of {about['lines']} lines are empty; they score 0"
            )
    counts = {name: len(lines) for name, lines in zip(facts["texts"], texts, strict=True)}
    smallest = min(counts, key=counts.__getitem__)
    if not told.size and layout.facts["paired"] == counts[smallest] < max(counts.values()):
        warnings.append(
            f"sets of texts are compared on {counts[smallest]} texts of every row, which is what "
            f"{smallest} has; numbers of other sizes do not compare"
        )
    everything = {"the references": (known_lines["references"], sides["references"])}
    everything |= {
        name: (lines, made) for name, lines, made in zip(facts["texts"], texts, judged, strict=True)
    }
    for name, (lines, made) in everything.items():
        wrong = misfit(evenly(lines), evenly(made.sizes.tolist()))
        if wrong and split != "char":
            warnings.append(
                f"{name}: {wrong}, so n-grams say nothing: --tokenizer char fits text without "
                "spaces between its words"
            )
            break  # once is enough
    held = set(known_lines["references"])
    for name, lines in zip(facts["texts"], texts, strict=True):
        same = sum(line in held for line in lines)
        if lines == known_lines["references"]:
            warnings.append(f"{name}: these are the references themselves, so nothing is measured")
        elif same > len(lines) / 2:
            warnings.append(
                f"{name}: {same} of {len(lines)} texts stand word for word in the references"
            )
    return replace(layout, facts=facts, warnings=warnings)


def _arrange(
    judged: dict[str, Sentences],
    lines: dict[str, list[str]],
    sides: dict[str, Sentences],
    told: Told,
    common: Material,
) -> Layout:
    """Rows of equal sizes from what the files hold."""
    references, train, other = sides["references"], sides.get("train"), sides.get("real")
    fewest = min(map(len, judged.values()))
    own: Tensor | None = None
    opposite, rest = references, train  # what sets are compared with; what networks train on
    origin = "other text"
    if other is None and train is not None and len(train) >= 2:
        # the networks must not have read the row of real text
        some, left = _parted(len(train), min(fewest, len(train) // 2), Purpose.REAL_ROW, told.seed)
        other, rest = train[some], train[left]
        origin = "training text"
    elif other is None and train is None and len(references) >= 4:
        own, left = _parted(len(references), len(references) // 2, Purpose.REAL_ROW, told.seed)
        other, opposite = references[own], references[left]
        origin = "half of the references"
    pair = min(fewest, len(opposite), len(other) if other is not None else len(opposite))
    # a number of one set compares with nothing: the real row may take it on all references
    alone = references if own is not None else other
    single = min(fewest, len(alone)) if alone is not None else fewest
    if told.size:
        pair, single = min(pair, told.size), min(single, told.size)
    facing = _some(opposite, pair, Purpose.CHOSEN_REAL, told.seed)
    rows: dict[str, Material] = {}
    real = None
    if other is not None and alone is not None and pair:
        real = f"real ({origin})"
        rows[real] = replace(
            common,
            hypotheses=other,
            lines=[" ".join(words) for words in common.words.decode(other)],
            references=references,
            alone=_some(alone, single, Purpose.CHOSEN_ALONE, told.seed),
            paired=_some(other, pair, Purpose.CHOSEN_PAIRED, told.seed),
            real=facing,
            train=rest,
            known=rest if "real" not in sides else train,
            own=own,
            aligned=[],
        )
    for name, hypotheses in judged.items():
        rows[name] = replace(
            common,
            hypotheses=hypotheses,
            lines=lines[name],
            references=references,
            alone=_some(hypotheses, single, Purpose.CHOSEN_ALONE, told.seed),
            paired=_some(hypotheses, pair, Purpose.CHOSEN_PAIRED, told.seed),
            real=facing,
            train=rest,
            known=train,
        )
    facts = {"alone": single, "paired": pair, "seed": told.seed, "samples": fewest}
    facts["streams"] = SCHEME
    return Layout(rows, real, facts)


@dataclass(frozen=True)
class Writer:
    """A generator of a run with a name for its row."""

    name: str
    generator: Generator


def writers(run: Run) -> list[Writer]:
    """The generators that a run's table has rows for: the best MLE epoch, and the last state."""
    found = []
    run.mle_lack()  # raises where there is one that is not this run's
    if (run.folder / "mle.safetensors").is_file():
        found.append(Writer(MLE, run.load_generator("mle")))
    return [*found, Writer(f"{run.method}, last", run.load_generator())]


def lay_out_run(
    run: Run,
    told: Told,
    *,
    samples: int,
    temperature: float = 1.0,
    split: Tokenizer | None = None,
    memory: dict[Hashable, Any] | None = None,
    only: Sequence[str] = (),
    with_real: bool = True,
) -> Layout:
    """Rows of a run: real text, its best MLE epoch, its generator as it stands.

    split: None takes the run's own words; else lines are written and split anew.
    memory: shared with other layouts of the same corpus. only: names of rows, if not all.
    Texts are written as `textgan sample` writes them, without the unknown word; entropies and
    likelihoods are those of the generator as it is.
    """
    corpus, seed = run.corpus, told.seed
    written = writers(run)  # before any work, for a run may have none yet
    known = Lines(run, split)
    test, train = known.sentences(corpus.test), known.sentences(corpus.train)
    if run.oracle is not None:
        with seeded(stream(Purpose.EVALUATION_ORACLE, seed), run.device):
            fresh = draw_texts(run.oracle, samples)
    else:
        fresh = corpus.valid
    other = known.sentences(fresh)
    pair = min(samples, len(test), len(other))
    single = min(samples, len(other))
    if told.size:
        pair, single = min(pair, told.size), min(single, told.size)
    facing = _some(test, pair, Purpose.CHOSEN_REAL, seed)
    common = Material(
        words=known.words,
        tokenizer=known.name,
        hypotheses=other,
        lines=known.lines(fresh),
        references=test,
        alone=_some(other, single, Purpose.CHOSEN_ALONE, seed),
        paired=_some(other, pair, Purpose.CHOSEN_PAIRED, seed),
        real=facing,
        train=train,
        known=train,
        models=None
        if run.oracle is None
        else Models(run.oracle, run.oracle, fresh.to(run.device), corpus.test),
        seed=seed,
        resamplings=told.resamplings,
        subsets=told.subsets,
        quiet=told.quiet,
        device=run.device,
        memory={} if memory is None else memory,
    )
    real = "oracle" if run.oracle is not None else "real, held out"
    rows = {real: common} if with_real else {}
    for writer in written:
        if only and writer.name not in only:
            continue
        text, drawn = _write(run, writer.generator, samples, seed, temperature)
        likely = writer.generator if isinstance(writer.generator, AutoregressiveGenerator) else None
        models = None
        if likely is not None or run.oracle is not None:
            models = Models(likely, run.oracle, drawn, corpus.test, temperature)
        hypotheses = known.sentences(text)
        rows[writer.name] = replace(
            common,
            hypotheses=hypotheses,
            lines=known.lines(text),
            alone=_some(hypotheses, single, Purpose.CHOSEN_ALONE, seed),
            paired=_some(hypotheses, pair, Purpose.CHOSEN_PAIRED, seed),
            models=models,
        )
    facts = {
        "run": run.folder.resolve().name,
        "objective": run.config.objective.name,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "data": corpus.facts,
        "tokenizer": known.name,
        "temperature": temperature,
        "samples": samples,
        "alone": single,
        "paired": pair,
        "seed": seed,
        "streams": SCHEME,
    }
    warnings = corpus_warnings(corpus)
    if corpus.vocabulary is not None:
        share = float((corpus.test.tokens == UNKNOWN).sum()) / float(corpus.test.sizes.sum())
        if share > 0.01:
            warnings.append(
                f"{share:.1%} of the references' words are {UNKNOWN_WORD}, which the texts never "
                "are; a smaller data.min_count or a larger data.vocabulary has fewer"
            )
    if lack := run.mle_lack():
        warnings.append(lack)
    return Layout(rows, real if with_real else None, facts, warnings)


class Lines:
    """A run's texts as sentences: by its own words, or written out and split anew."""

    def __init__(self, run: Run, split: Tokenizer | None) -> None:
        self.corpus = run.corpus
        self.words = Words()
        self.split: Callable[[str], list[str]] | None = None
        vocabulary = run.corpus.vocabulary
        if split is not None and vocabulary is not None:
            self.name: str = split
            self.split = tokenizer(split)
            return
        self.name = "id" if vocabulary is None else vocabulary.tokens
        if vocabulary is None:
            spelt = [str(token) for token in range(run.corpus.space.vocabulary)]
        else:
            spelt = ["\0padding", "\0end", UNKNOWN_WORD, *vocabulary.words]
        self.words.encode([spelt])  # so that a word's number is its token

    def lines(self, text: Text) -> list[str]:
        """One line for each text, without its label."""
        return self.corpus.decode(replace(text, labels=None))

    def sentences(self, text: Text) -> Sentences:
        """The same texts as numbers of `words`."""
        if self.split is not None:
            return self.words.encode(map(self.split, self.lines(text)))
        return Sentences.of(text.to(torch.device("cpu")), self.corpus.space.eos)


def _write(
    run: Run, generator: Generator, n: int, seed: int, temperature: float
) -> tuple[Text, Text]:
    """n texts to be read, without the unknown word, and n as the generator draws them."""
    choose: Choose = Categorical(temperature)
    if temperature == 1.0 and not isinstance(generator, AutoregressiveGenerator):
        choose = greedy  # its usual way
    with seeded(stream(Purpose.EVALUATION_TEXTS, seed, run.config.seed), run.device):
        labels = labels_like(run.corpus.train, n)
        drawn = draw_texts(generator, n, choose, labels)
    if run.corpus.vocabulary is None or not bool((drawn.tokens == UNKNOWN).any()):
        return drawn, drawn
    with seeded(stream(Purpose.EVALUATION_TEXTS, seed, run.config.seed), run.device):
        labels = labels_like(run.corpus.train, n)
        return draw_texts(generator, n, without(UNKNOWN, choose), labels), drawn


def _read(path: Path, called: str, form: Form) -> list[str]:
    """The texts of a file without their labels, none of them longer than a sentence can be."""
    if form.facts() and not has_fields(path, form):
        form = replace(form, field="", label_field="")
    rows = read_rows(path, called, form)
    for row in rows:
        if len(row.text) > MOST_CHARACTERS:
            raise UserError(
                f"{called} = {str(path)!r}: line {row.line} has {len(row.text):,} characters, at "
                f"most {MOST_CHARACTERS:,} are taken; give one sentence a line"
            )
    # texts of one label are as good as any here, but labels must be labels
    labels = [row.label for row in rows if row.label is not None]
    check_labels(labels, f"{called} = {str(path)!r}", least=0)
    return [row.text for row in rows]


def _about(path: Path, lines: int, empty: int) -> dict[str, Any]:
    sha256 = file_digest(path)
    known = recognise(sha256)
    return {"file": path.name, "sha256": sha256, "known_as": known, "lines": lines, "empty": empty}


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
