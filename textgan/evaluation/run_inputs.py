"""The inputs of an evaluation of runs, and of files beside them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from textgan.core.errors import UserError, option
from textgan.core.files import exists
from textgan.core.names import unique_names
from textgan.core.progress import bar
from textgan.core.streams import Purpose, stream
from textgan.data.checks import corpus_warnings
from textgan.data.corpus import Corpus
from textgan.data.pre_tokenizer import UNKNOWN_WORD, LineTokens, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.text import UNCONDITIONAL, Text
from textgan.data.texts import PLAIN, Form
from textgan.data.token_fit import evenly, misfit
from textgan.data.tokenizers import WordTokenizer
from textgan.evaluation.inputs import (
    EvaluationInputs,
    EvaluationOptions,
    Parts,
    RowMaker,
)
from textgan.evaluation.texts import (
    Source,
    Texts,
    copy_warnings,
    drawn_lines,
    fits_some,
    name_texts,
)
from textgan.metrics.aligned import aligned_by_source
from textgan.metrics.base import MetricInputs, Models, Pairs
from textgan.models.beam import BeamSearch
from textgan.models.draw import draw_jointly
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.resample import ResampledGenerator
from textgan.models.tempering import Asked, FittedJoint, JointTemperature, Tempering, label
from textgan.training.checkpoint import checkpoints
from textgan.training.measure import asked_rows, draw_measured
from textgan.training.results import (
    MLE_ROW,
    ORACLE_ROW,
    REAL_ROW,
    RESAMPLED_ROW,
    same_weights,
    texts_seed,
)
from textgan.training.run import Run
from textgan.training.sample import joint_generator


@dataclass(frozen=True)
class Writer:
    """A generator of a run with a name for its row."""

    name: str
    generator: Generator


def writers(run: Run) -> list[Writer]:
    """Return the generators that a run's table has rows for: the best MLE epoch, the resampled one
    where its method has one, and the last state."""
    writers = []
    run.mle_lack()  # raises where there is one that is not this run's
    if exists(run.folder / "mle.safetensors"):
        writers.append(Writer(MLE_ROW, run.load_generator("mle")))
    if n := run.resample:
        writers.append(Writer(f"{RESAMPLED_ROW}, 1 of {n}", run.load_resampled(n)))
    return [*writers, Writer(f"{run.method}, last", run.load_generator())]


def texts_of_run(
    run: Run, samples: int, seed: int, temperature: Asked, search: BeamSearch | None = None
) -> Texts:
    """Draw texts of a run's last state as `textgan sample` writes them, without their labels, or
    search for its answers.

    samples: how many; 0: as many as its config says.
    """
    n = samples or run.config.evaluation.final_samples
    with run.products():
        text = _draw(run, writers(run)[-1], n, seed, temperature, search).text
    lines = run.corpus.decode(replace(text, condition=UNCONDITIONAL))
    about = {
        "run": run.folder.resolve().name,
        "file": None,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "temperature": as_fact(temperature),
        "decode": decoding(search),
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
    temperature: Asked = 1.0,
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
    memory: shared with other layouts of the same corpus. What two rows have in common (a run whose
    last state is its best MLE epoch) is drawn once, and the facts say so ("same"). only: names of
    rows, if not all.
    Texts are written as `textgan sample` writes them, without the unknown word; entropies and
    likelihoods are those of the generator as it is.
    """
    corpus, seed = run.corpus, options.seed
    runs = [run, *(one for one in others if isinstance(one, Run))]
    written = _written(runs)  # first, for a run may have none yet
    if temperature != 1.0 or options.search is not None:  # Z is that of texts that are drawn
        written = [one for one in written if not isinstance(one[0].generator, ResampledGenerator)]
    files = [one for one in others if not isinstance(one, Run)]
    fits_some(form, files)
    given = name_texts(files, form)
    rows_of_test = None
    if corpus.space.source is not None:
        rows_of_test = asked_rows(len(corpus.test), samples)
        samples = len(rows_of_test)
        given = [_answers_to_all(one, run, rows_of_test) for one in given]
    if run.oracle is not None:
        purpose = Purpose.EVALUATION_ORACLE
        fresh = draw_measured(run.oracle, corpus, samples, seed=stream(purpose, seed))
    else:
        fresh = corpus.valid
    fewest = min([samples, *(len(text.lines) for text in given)])
    if options.equal:
        samples = fewest
        given = [replace(one, lines=drawn_lines(one.lines, samples, seed)) for one in given]
    same = _same(written)
    drawn = [
        _draw(author, writer, samples, seed, temperature, options.search)
        for writer, author in written
        if writer.name not in same and (not only or writer.name in only)
    ]
    following = corpus.following.get("test")
    tokenizer, (test, train, real, *measured) = _encode_run(
        run,
        split,
        [
            corpus.test,
            corpus.train,
            fresh,
            *(one.text for one in drawn),
            *([following.text] if following else []),
        ],
        [one.lines for one in given],
        options.quiet,
    )
    after = None
    if following is not None:
        after = _of_rows(measured.pop(len(drawn)), following.rows, len(test))
    make = RowMaker.of(
        options,
        fewest,
        Parts(test, train, real, alone=real),
        tokenizer=tokenizer,
        references=test,
        generator_train=train,
        device=run.device,
        memory={} if memory is None else memory,
        source_tokenizer=corpus.source_tokenizer,
    )
    answering: dict[str, Any] = {}
    if rows_of_test is not None:
        sources = _sources(corpus, corpus.test)
        columns = aligned_by_source(sources, _lines(run, corpus.test))
        some = rows_of_test.tolist()
        conversations = corpus.conversations.get("test")
        people = Pairs(sources, test, after, conversations)[rows_of_test]
        answering = {
            "sources": sources[rows_of_test],
            "aligned": [[column[row] for row in some] for column in columns],
            "conversations": people.conversations,
            "real_pairs": people,
        }
    rows: dict[str, MetricInputs] = {}
    real_row = (ORACLE_ROW if run.oracle is not None else REAL_ROW) if with_real else None
    if real_row is not None:
        of_real = answering
        if answering and run.oracle is None:  # it answers other sources
            of_real = answering | {
                "sources": _sources(corpus, fresh),
                "conversations": corpus.conversations.get("valid"),
                "aligned": (),
            }
        rows[real_row] = make(
            real, _lines(run, fresh), models=_models_of_oracle(run, fresh), **of_real
        )
    for one, predictions in zip(drawn, measured, strict=False):
        row = make(predictions, _lines(run, one.text), models=one.models(run), **answering)
        rows |= {name: row for name, other in same.items() if other == one.writer.name}
        rows[one.writer.name] = row
    for text, predictions in zip(given, measured[len(drawn) :], strict=True):
        rows[text.name] = make(predictions, text.lines, **answering)
    facts: dict[str, Any] = {
        "run": run.folder.resolve().name,
        "objective": run.config.objective.name,
        "checkpoint": checkpoints(run.folder)[-1].stem,
        "data": corpus.facts,
        "tokenizer": tokenizer.kind,
        "temperature": as_fact(temperature),
        "decode": decoding(options.search),
        **make.facts(samples),
        **({"same": same} if same else {}),
        **({"test_sources": len(corpus.test)} if rows_of_test is not None else {}),
    }
    if len(runs) > 1:
        facts["runs"] = [one.folder.resolve().name for one in runs]
    if given:
        facts["texts"] = {one.name: one.about for one in given}
    warnings = warnings_of_runs(runs, given) + [text for one in drawn for text in one.warnings()]
    return EvaluationInputs(rows, real_row, facts, warnings)


def as_fact(temperature: Asked) -> float | str:
    """Return how texts are drawn as a fact of a table: a temperature, or a word for what is
    none."""
    return temperature if isinstance(temperature, int | float) else label(temperature)


def decoding(search: BeamSearch | None) -> str:
    """Return how answers to sources are decoded."""
    if search is None:
        return "sample"
    if search.width == 1:
        return "greedy"
    diversity = f", diversity {search.diversity:g}" if search.diversity else ""
    return f"beam {search.width}, length penalty {search.length_penalty:g}{diversity}"


def _sources(corpus: Corpus, text: Text) -> Sentences:
    """The sources of texts."""
    source, space = text.condition.require_source(), corpus.space.source
    assert space is not None
    return Sentences.of(source.to(torch.device("cpu")), space.eos)


def _of_rows(sentences: Sentences, rows: Tensor, n: int) -> Sentences:
    """n sentences of which these are at some rows, in ascending order, and the others are empty."""
    sizes = torch.zeros(n, dtype=torch.long)
    sizes[rows.cpu()] = sentences.sizes
    return Sentences(sentences.words, sizes)


def _answers_to_all(text: Texts, run: Run, rows: Tensor) -> Texts:
    """Given texts at the rows of a run's test part that are measured. Raises UserError unless there
    is one for each."""
    total = len(run.corpus.test)
    if len(text.lines) != total:
        raise UserError(
            f"{text.name} has {len(text.lines)} texts, and {run.folder} is measured by its answers "
            f"to the {total} sources of its test part; give one for each, in their order"
        )
    return replace(text, lines=[text.lines[row] for row in rows.tolist()])


def _models_of_oracle(run: Run, fresh: Text) -> Models | None:
    """Return the models for likelihoods of the row of real text; None where no oracle writes it."""
    if run.oracle is None:
        return None
    return Models(run.oracle, run.oracle, fresh.to(run.device), run.corpus.test)


@dataclass(frozen=True)
class _Drawn:
    """Texts of a writer: without the unknown word, to be measured, and as it draws them, of which
    `copies` are of one text."""

    writer: Writer
    text: Text
    as_drawn: Text
    temperature: Tempering
    copies: Tensor | None = None

    def warnings(self) -> list[str]:
        """Warn of texts that are worth fewer than they are."""
        joint, n = self.temperature, len(self.text)
        if not isinstance(joint, FittedJoint) or joint.effective >= n:
            return []
        return [
            f"{self.writer.name}: its {n:,} texts of {joint} were resampled from "
            f"{joint.proposals:,}, which are worth {joint.effective:,.0f} (effective sample size), "
            "so some are copies; numbers that count different texts show it"
        ]

    def models(self, run: Run) -> Models | None:
        """Return the models for likelihoods of the row of these texts; None where there are
        none."""
        generator = self.writer.generator
        likely = generator if isinstance(generator, AutoregressiveGenerator) else None
        resampled = generator if isinstance(generator, ResampledGenerator) else None
        if likely is None and run.oracle is None and resampled is None:
            return None
        return Models(
            likely,
            run.oracle,
            self.as_drawn,
            run.corpus.test,
            self.temperature,
            copies=self.copies,
            resampled=resampled,
        )


def _draw(
    run: Run,
    writer: Writer,
    n: int,
    seed: int,
    temperature: Asked,
    search: BeamSearch | None = None,
) -> _Drawn:
    """Draw n texts of a writer, as `textgan sample` writes them, or search for them."""
    if isinstance(temperature, JointTemperature):
        generator = joint_generator(run, writer.generator)
        as_drawn, written = draw_jointly(
            generator, n, temperature, seed=texts_seed(run, seed),
            forbids=(None, run.corpus.space.unknown),
        )  # fmt: skip
        return _Drawn(writer, written.text, as_drawn.text, as_drawn.temperature, as_drawn.proposal)
    draw = partial(
        draw_measured,
        writer.generator,
        run.corpus,
        n,
        seed=texts_seed(run, seed),
        temperature=temperature,
    )
    drawn = draw()
    if search is not None:
        return _Drawn(writer, draw(search=search), drawn, temperature)
    unknown = run.corpus.space.unknown
    if unknown is None or not bool((drawn.tokens == unknown).any()):
        return _Drawn(writer, drawn, drawn, temperature)
    return _Drawn(writer, draw(forbid=unknown), drawn, temperature)


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


def _same(written: Sequence[tuple[Writer, Run]]) -> dict[str, str]:
    """The best MLE epoch of one run by its name, with that of its last state, where both are one
    and the same."""
    if [writer.name for writer, _ in written[:-1]] != [MLE_ROW]:
        return {}
    (mle, _), (last, _) = written
    return {mle.name: last.name} if same_weights(mle.generator, last.generator) else {}


def warnings_of_runs(runs: Sequence[Run], given: Sequence[Texts] = ()) -> list[str]:
    """Warn of what is odd about the corpus that runs share, their states, and the texts that are
    measured beside them."""
    run, *others = runs
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
    warnings += unfinished(runs)
    if not others and (lack := run.mle_lack()):  # several runs have no MLE row
        warnings.append(lack)
    return warnings


def unfinished(runs: Sequence[Run]) -> list[str]:
    """Warn of runs that are measured before their end."""
    return [
        f"{run.folder} is not finished, as far as its checkpoints go: it is measured as it was "
        f"{stopped}"
        for run in runs
        if (stopped := run.stopped_at())
    ]


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
    a corpus of words another by which its lines are split anew; subwords are no words, so lines of
    them always are."""
    tokenizer = run.corpus.tokenizer
    if split is None and tokenizer.kind == "bpe":
        lines = evenly(_lines(run, run.corpus.test))
        split = "char" if misfit(lines, [len(line.split()) for line in lines]) else "whitespace"
    if split is not None and tokenizer.special:
        anew = WordTokenizer((), PreTokenizer(split, unknown=""))
        every = [*(_lines(run, text) for text in texts), *files]
        return encode_all(anew, (bar(lines, "splitting texts", quiet) for lines in every))
    cpu, eos = torch.device("cpu"), run.corpus.space.eos
    reading = (bar(lines, "splitting texts", quiet) for lines in files)
    tokenizer, encoded = encode_all(tokenizer, reading)
    return tokenizer, [*(Sentences.of(text.to(cpu), eos) for text in texts), *encoded]
