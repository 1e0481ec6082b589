"""Answers of a run's generator to sources of one's own: translations, or what is said next."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from textgan.core.arguments import checked_arguments
from textgan.core.checks import BEAMS, DIVERSITIES, LENGTH_PENALTIES, SIZES, short
from textgan.core.device import Device
from textgan.core.errors import UserError, option
from textgan.core.files import system_errors
from textgan.core.progress import bar, say
from textgan.core.streams import Purpose, stream
from textgan.data.corpus import Corpus
from textgan.data.lines import read_lines
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.text import Condition, Text, TextSpace
from textgan.data.texts import refuse_n_best
from textgan.data.token_fit import MANY_UNKNOWN
from textgan.data.tokenizers import Tokenizer
from textgan.models.beam import BeamSearch, Hypotheses, Progress
from textgan.models.draw import answers
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import log_probs
from textgan.models.tempering import Mixture
from textgan.training.run import Run, Weights, open_run

AnyRun = Annotated[Run | str | Path, "a run's folder"]
Sources = Annotated[str | Path | Sequence[str], "a file of sources, one a line, or a list of them"]

WIDTHS = (1, BEAMS[1])
LEAST = -1e4  # mean log P; finite, so that a text which a model never writes has a place, too
ENOUGH = 1000  # pairs to compare the words of two runs by
OTHER_LANGUAGE = 0.5  # share of unknown words from which a text is none of a run's kind


class Answer(NamedTuple):
    """A text and its score: log P / n^length_penalty, or a rerank's; 0 where it was drawn."""

    text: str
    score: float


@dataclass(frozen=True, repr=False)
class Translator:
    """A run's generator, loaded once, that answers sources: it translates, or goes on in a
    dialogue.

    backward: of a run that was trained on swapped pairs; it reranks what a beam search ends with
    (MMI-bidi, see `textgan.models.beam`).

    Example:
        >>> translate = textgan.load_translator("runs/german-english")
        >>> translate(["ein mann mit einem hut ."])
    """

    run: Run
    generator: Generator
    backward: Translator | None = None

    def __post_init__(self) -> None:
        folder = self.run.folder
        if self.run.corpus.source_tokenizer is None:
            raise UserError(
                f"{folder} was trained on texts without sources, so it answers none; leave "
                f"{option('source')} out, or give a run of pairs (textgan train --pairs FILE)"
            )
        if self.backward is not None:
            _require_swapped(self.run, self.backward.run)

    def __repr__(self) -> str:
        return f"Translator({self.run!r})"

    @checked_arguments
    def __call__(
        self,
        lines: Annotated[Sequence[str], "one string for each source"],
        beam: Annotated[int, WIDTHS] = 5,
        *,
        label: Annotated[str | None, "one of the run's labels"] = None,
        length_penalty: Annotated[float, LENGTH_PENALTIES] = 1.0,
        diversity: Annotated[float, DIVERSITIES] = 0.0,
        min_length: Annotated[int, SIZES] = 0,
        max_length: Annotated[int, SIZES] = 0,
        allow_unknown: bool = False,
        quiet: bool = False,
    ) -> list[str]:
        """Return the best text for each line, in order, of a beam search (1: greedy decoding).

        label: of all answers, where the run has labels. length_penalty and the others: as of
        `textgan.models.beam.BeamSearch`. quiet: no warnings of sources that the run does not know,
        and no progress. Raises UserError.
        """
        search = search_of(
            width=beam, length_penalty=length_penalty, diversity=diversity, min_length=min_length,
            max_length=max_length, allow_unknown=allow_unknown,
        )  # fmt: skip
        number = None if label is None else self.run.corpus.label(label)
        found = self.answer(read_sources(lines), search=search, label=number, quiet=quiet)
        return [best.text for [best] in found]

    def answer(
        self,
        lines: Sequence[str],
        n: int = 1,
        *,
        search: BeamSearch | None = None,
        seed: int = 0,
        temperature: float | Mixture = 1.0,
        allow_unknown: bool = False,
        label: int | None = None,
        quiet: bool = False,
    ) -> list[list[Answer]]:
        """Write n answers to each line: the best of a search, the best first, or, without one,
        drawn by the seed.

        To an empty line all are empty. Where a search has fewer than n, copies of the best follow,
        whose score is minus infinity. allow_unknown: of texts that are drawn. label: the number of
        that of all answers, where the run has labels. quiet: no warnings, no bar. Raises UserError.
        """
        corpus = self.run.corpus
        if corpus.space.classes and label is None:
            known = ", ".join(corpus.label_names[:10])
            raise UserError(
                f"{self.run.folder} has labels; give {option('label', 'NAME')}, one of {known}"
            )
        rows, source = self._encode(lines, quiet)
        labels = None if label is None else torch.full_like(source.lengths, label)
        condition, progress = Condition(labels, source), partial(bar, quiet=quiet)
        with self.run.products():
            if not rows:
                text, scores = source, []
            elif search is None:
                forbid = None if allow_unknown else corpus.space.unknown
                text = answers(
                    self.generator, condition, n, seed=stream(Purpose.SAMPLE, seed, self.run.seed),
                    temperature=temperature, forbid=forbid, progress=progress,
                )  # fmt: skip
                scores = [0.0] * len(text)
            else:
                found = self._search(search, condition, n, [lines[row] for row in rows], progress)
                text, scores = found.text, found.score.flatten().tolist()
        every = list(map(Answer, corpus.tokenizer.decode(text.tolist()), scores))
        result = [[Answer("", 0.0)] * n for _ in lines]
        for place, row in enumerate(rows):
            result[row] = every[place * n : (place + 1) * n]
        return result

    def _search(
        self,
        search: BeamSearch,
        condition: Condition,
        n: int,
        lines: Sequence[str],
        progress: Progress,
    ) -> Hypotheses:
        """The n best answers, reranked where there is a backward model; lines: the sources."""
        generator = searchable(self.run, self.generator)
        if self.backward is None:
            return search(generator, condition, n, progress)
        found = search(generator, condition, search.width, progress)
        return found.rerank(self.backward._explain(lines, self.run.corpus, found)).best(n)

    def _encode(self, lines: Sequence[str], quiet: bool) -> tuple[list[int], Text]:
        """Which of the lines are not empty, and these as sources. Warns of those that are cut or
        full of unknown words."""
        tokenizer = self.run.corpus.source_tokenizer
        assert tokenizer is not None  # see __post_init__
        ids, cut = encode(tokenizer, lines)
        rows = [row for row, some in enumerate(ids) if some]
        share = _unknown_share(tokenizer, ids)
        if not quiet:
            if len(rows) < len(ids):
                empty = f"{len(ids) - len(rows)} of {len(ids)} sources are empty"
                say(f"warning: {empty}, and so are their answers")
            if cut:
                say(
                    f"warning: {len(cut)} of {len(ids)} sources are longer than all of the run's "
                    f"({tokenizer.space.length} tokens) and are cut there, the first in line "
                    f"{cut[0] + 1}"
                )
            if share >= MANY_UNKNOWN:
                say(
                    f"warning: {share:.0%} of the sources' words are unknown to the run "
                    f"({tokenizer.unknown_word})"
                )
        return rows, tokenizer.pad(ids[row] for row in rows).to(self.run.device)

    def _explain(self, lines: Sequence[str], corpus: Corpus, found: Hypotheses) -> Tensor:
        """The mean log P of each line's tokens (B, n) given the texts that were found for it."""
        own, n = self.run.corpus, found.score.shape[1]
        reads = own.source_tokenizer
        assert reads is not None  # see __post_init__
        ids, _ = encode(own.tokenizer, lines)
        written, _ = encode(reads, corpus.tokenizer.decode(found.text.tolist()))
        source = reads.pad(written).to(self.run.device)
        text = replace(
            own.tokenizer.pad(ids).to(self.run.device).repeat(n), condition=Condition(source=source)
        )
        with self.run.products():
            values = log_probs(searchable(self.run, self.generator), text) / text.lengths
        return values.clamp(min=LEAST).view(-1, n).to(found.score)


def search_of(**settings: float) -> BeamSearch:
    """Make a beam search. Raises UserError for settings that are none, or out of range."""
    try:
        return BeamSearch(**settings)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from None


@system_errors()
@checked_arguments
def load_translator(
    run: AnyRun,
    *,
    rerank: AnyRun | None = None,
    weights: Weights = "final",
    device: Device | None = None,
    trust_code: bool = False,
) -> Translator:
    """Load the generator of a run of pairs, to answer many sources.

    rerank: a run that was trained on the same pairs swapped. weights: "final", or "mle" for the
    best MLE epoch. trust_code: run the code in files of its maker's own that a run's folder keeps.
    Raises UserError.

    Example:
        >>> translate = textgan.load_translator("runs/german-english")
        >>> translate(["ein mann mit einem hut ."], beam=5)
    """
    opened, backward = (
        folder if isinstance(folder, Run) or folder is None
        else open_run(folder, device, trust_code=trust_code)
        for folder in (run, rerank)
    )  # fmt: skip
    assert opened is not None
    reranks = None if backward is None else Translator(backward, backward.load_generator())
    return Translator(opened, opened.load_generator(weights), reranks)


def read_sources(source: str | Path | Sequence[str]) -> list[str]:
    """Read sources from a file, one a line, or check those of a list.

    A file may be a pipe, or "-", the standard input. Raises UserError, with the line, for what is
    no text, for lines with a tab, which are probably pairs, and for a string of several lines.
    """
    if isinstance(source, str | Path):
        lines = read_lines(Path(source), "source", pipes=True)
        name = f"source = {str(source)!r}"
    else:
        lines, name = list(source), "source"
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise UserError(f"{name}: {short(line)} is no text; give a list of strings")
        if "\n" in line.strip():
            raise UserError(f"{name}: {short(line)} has several lines; give one string for each")
        if "\t" in line:
            refuse_n_best([line], name)
            raise UserError(
                f"{name}: line {number} has a tab; give the sources alone (cut -f1 FILE.tsv)"
            )
    return lines


def encode(tokenizer: Tokenizer, lines: Sequence[str]) -> tuple[list[list[int]], list[int]]:
    """Encode lines; return the ids of each, without special tokens, of as many as leave room for
    those, and which lines were cut to that."""
    space = tokenizer.space
    if space.eos is None:  # the numbers of an oracle
        return [_numbers(line, number, space) for number, line in enumerate(lines, start=1)], []
    ids = tokenizer.encode(lines)
    room = space.length - len(tokenizer.add_special_tokens([]))
    cut = [row for row, some in enumerate(ids) if len(some) > room]
    return [some[:room] for some in ids], cut


def _numbers(line: str, number: int, space: TextSpace) -> list[int]:
    words = line.split()
    known = {str(word) for word in range(space.vocabulary)}
    if len(words) == space.length and known.issuperset(words):
        return list(map(int, words))
    raise UserError(
        f"source: line {number} is {short(line)}; an oracle's sources are {space.length} numbers "
        f"from 0 to {space.vocabulary - 1}"
    )


def _require_swapped(run: Run, backward: Run) -> None:
    """UserError for a run that cannot rerank the answers of another: it has labels, does not know
    the words of the answers or of what they answer, or was trained in the same direction."""
    name, ours, theirs = f"rerank = {str(backward.folder)!r}", run.corpus, backward.corpus
    remedy = "give a run that was trained on swapped pairs, which writes sources for answers"
    if theirs.space.classes:
        raise UserError(f"{name} has labels; give one without")
    if (ours.space.eos is None) != (theirs.space.eos is None):
        raise UserError(f"{name} is of other data, an oracle's and a file's; {remedy}")
    reads = theirs.source_tokenizer
    assert reads is not None  # see Translator
    pairs, other = _pairs(ours), _pairs(theirs)
    few = list(islice(pairs, ENOUGH))
    answers = _share_unknown_to(reads, [answer for answer, _ in few])
    sources = _share_unknown_to(theirs.tokenizer, [source for _, source in few])
    if max(answers, sources) >= OTHER_LANGUAGE:
        raise UserError(
            f"{name} is of another language: of {run.folder}'s words it cannot read "
            f"{answers:.0%} of those of the answers, nor write {sources:.0%} of those of the "
            f"sources; {remedy}"
        )
    alike = len(pairs & other)
    swapped = len(pairs & {(source, answer) for answer, source in other})
    if alike > swapped:
        raise UserError(
            f"{name} was trained in the same direction as {run.folder}: {alike} of their pairs "
            f"are the same and {swapped} swapped; {remedy}"
        )


def _share_unknown_to(tokenizer: Tokenizer, lines: Sequence[str]) -> float:
    """The share of the words of lines, those unknown to whoever wrote them left out, that a
    tokenizer does not know."""
    if tokenizer.space.eos is None:  # the numbers of an oracle
        return 0.0
    return _unknown_share(
        tokenizer, tokenizer.encode(one.replace(UNKNOWN_WORD, "") for one in lines)
    )


def _pairs(corpus: Corpus) -> KeysView[tuple[str, str]]:
    """The different pairs of answer and source that a corpus is trained on, as lines, in order."""
    assert corpus.source_tokenizer is not None  # of runs of pairs
    sources = corpus.train.condition.require_source()
    lines = corpus.tokenizer.decode(corpus.train.tolist())
    read = corpus.source_tokenizer.decode(sources.tolist())
    return dict.fromkeys(zip(lines, read, strict=True)).keys()


def _unknown_share(tokenizer: Tokenizer, ids: Iterable[Sequence[int]]) -> float:
    """The share of unknown words among all."""
    unknown, ids = tokenizer.space.unknown, list(ids)
    times = 0 if unknown is None else sum(some.count(unknown) for some in ids)
    return times / max(1, sum(map(len, ids)))


def searchable(run: Run, generator: Generator) -> AutoregressiveGenerator:
    """Return a run's generator. Raises UserError where it has no likelihood to search by."""
    if isinstance(generator, AutoregressiveGenerator):
        return generator
    raise UserError(
        f"{run.folder}: its generator {run.config.generator.name} has no likelihood to search by; "
        f"leave {option('beam')} out"
    )
