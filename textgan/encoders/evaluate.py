"""Encoders of sentences side by side, and beside them the words of a sentence, only counted.

Each encodes the same lines and the same disturbed copies of them; what no training gives is in
the first row.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from textgan.core.arguments import checked_arguments
from textgan.core.checks import (
    METRIC_SEEDS,
    MOST_LINES,
    RATES,
    RESAMPLINGS,
    names_from,
    path_from,
)
from textgan.core.device import Device, choose_device
from textgan.core.errors import Interrupted, UserError, option
from textgan.core.files import system_errors
from textgan.core.memory import memory_errors
from textgan.core.names import suggest, unique_names
from textgan.core.progress import bar
from textgan.core.score import Better, Score, Scores, ScoreTable, sign
from textgan.core.statistics import (
    SUBSETS,
    UNBOUNDED,
    Estimate,
    bootstrap,
    over_subsets,
    spread,
    subsets,
)
from textgan.core.streams import Purpose, stream
from textgan.core.tables import Table
from textgan.data.labelled import FEWEST, read_data
from textgan.data.noise import Noise, disturb_lines
from textgan.data.pre_tokenizer import PreTokenizer, Tokens
from textgan.data.texts import FieldName, Form, Format, Labels
from textgan.encoders.base import LineEncoder, Progress
from textgan.encoders.folder import SavedEncoder, open_encoder
from textgan.encoders.similarity import distances, pair_cosines, retrieval, uniformities
from textgan.encoders.sts import Sts, correlation, read_sts

NOISES: tuple[Noise, ...] = get_args(Noise)
BASELINE = "bag of words"
COLUMNS = 2048  # of counted words
UNIFORM_T = 2.0
LINES = "lines"  # the column of a number of the clean lines alone
# of a family of numbers: its title, and which way is better
FAMILIES: dict[str, tuple[str, Better]] = {
    "uniformity": ("uniformity", "lower"),
    "sts": ("STS x 100", "higher"),
    "alignment": ("alignment", "lower"),
    "first": ("accuracy@1", "higher"),
    "reciprocal": ("MRR", "higher"),
}

ENCODERS = "at least one, hf:FOLDER or the folder of an encoder"

Made = TypeVar("Made")


class BagOfWords(LineEncoder):
    """Counts of each word in a line: an encoder without any training, as the baseline.

    The most frequent words have a column each; all others, of whatever lines, share the rarer half
    of the columns, so up to `columns` different words the cosines are those of the full counts.
    """

    def __init__(
        self, lines: Sequence[str], tokens: Tokens = "word", columns: int = COLUMNS
    ) -> None:
        self.split = PreTokenizer.of(lines, tokens)
        counts = Counter(word for line in lines for word in self.split(line))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))[:columns]
        self.columns = columns
        self.column_of = {word: column for column, word in enumerate(ranked)}
        self.name = f"counts{columns}-{tokens}-{_digest(ranked)}"

    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        vectors = torch.zeros(len(lines), self.columns, dtype=torch.float64)
        for row, line in enumerate(lines):
            columns = torch.tensor([self._column(word) for word in self.split(line)])
            vectors[row] = torch.bincount(columns.long(), minlength=self.columns)
        return vectors

    def _column(self, word: str) -> int:
        half = self.columns // 2
        rest = half + zlib.crc32(word.encode(errors="surrogatepass")) % half
        return self.column_of.get(word, rest)


@dataclass(frozen=True, repr=False)
class EncoderEvaluation(ScoreTable):
    """The scores of several encoders, those of the baseline first.

    facts: the lines they were taken on, and how. notes: what a reader must know of the numbers.
    """

    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return super().to_dict() | {"notes": self.notes}

    def footnotes(self) -> list[str]:
        return self.notes

    def shown(self) -> list[Table | str]:
        """Return a table for each family of numbers, an encoder a row."""
        tables = [table for table in map(self._table, FAMILIES) if table.headers[1:]]
        shown = [part for table in tables for part in (table, "")]
        return [*shown, *self.footnotes(), "--json has every signature"]

    def _table(self, family: str) -> Table:
        """Without columns where there are no such numbers."""
        names = dict.fromkeys(
            name
            for scores in self.rows.values()
            for name in scores
            if name.partition("/")[0] == family
        )
        title, better = FAMILIES[family]
        head = f"{title} {'↑' if better == 'higher' else '↓'}"
        body = [
            [row, *(str(scores[name].estimate) if name in scores else "" for name in names)]
            for row, scores in self.rows.items()
        ]
        heads = [head, *(name.partition("/")[2] for name in names)]
        return Table(heads, body)


@system_errors()
@checked_arguments
def evaluate_encoders(
    encoders: Annotated[str | Path | Sequence[str | Path], ENCODERS],
    *,
    data: Annotated[str | Path, "a file of sentences"],
    field: FieldName = "",
    label_field: FieldName = "",
    labels: Labels = "auto",
    format: Format = "auto",
    sts: Annotated[str | Path | None, "a file of pairs of sentences"] = None,
    noise: Annotated[str | Sequence[str], f"at least one name ({', '.join(NOISES)})"] = NOISES,
    rate: Annotated[float, RATES] = 0.2,
    tokens: Tokens = "word",
    limit: Annotated[int, MOST_LINES] = 5000,
    resamplings: Annotated[int, RESAMPLINGS] = 1000,
    seed: Annotated[int, METRIC_SEEDS] = 0,
    device: Device | None = None,
    quiet: bool = False,
) -> EncoderEvaluation:
    """Measure encoders, one or several saved folders or `hf:FOLDER`, as `textgan similarity` does.

    data: lines, of which those that differ are taken, at most `limit`, drawn by the seed. field,
    label_field, labels, format: how they are read, see `Form`. sts: pairs of sentences, see
    `read_sts`. noise, rate: see `disturb`. tokens: what noise touches and the baseline counts.
    resamplings: of the bootstrap; 0 for no intervals.
    Raises UserError, and Interrupted on Ctrl-C.

    Example:
        >>> textgan.evaluate_encoders(["encoders/mine", "hf:bert"], data="test.txt", sts="sts.tsv")
    """
    several = [encoders] if isinstance(encoders, str | os.PathLike) else encoders
    sources = [str(path_from("encoders", one, ENCODERS)) for one in several]
    if not sources:
        raise UserError(f"encoders = {encoders!r}: give {ENCODERS}")
    kinds = _kinds(names_from("noise", noise, "at least one name"))
    data, sts = Path(data), None if sts is None else Path(sts)
    form = Form(labels, field, label_field, format)
    lines, sha256 = _lines(data, form, limit, seed)
    pairs = None if sts is None else read_sts(sts)
    copies = _copies(lines, kinds, rate, tokens, seed, data)
    chosen = choose_device(device or "auto")
    names = unique_names([BASELINE, *(Path(name).name or name for name in sources)])
    trial = _Trial(lines, copies, pairs, rate, tokens, resamplings, seed, quiet)
    try:
        with memory_errors(f"a smaller {option('limit')}"):
            opened = [trial.baseline(), *(open_encoder(name, chosen) for name in sources)]
            rows, notes = trial.measure_all(dict(zip(names, opened, strict=True)), data, sha256)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing is kept of textgan similarity") from None
    facts = {
        "data": data.name,
        "lines": len(lines),
        "sha256": trial.digest,
        "sts": None if sts is None else sts.name,
        **trial.facts(),
        "encoders": dict(zip(names[1:], sources, strict=True)),
    }
    return EncoderEvaluation(rows, facts=facts, notes=[*trial.notes(data.name), *notes])


@dataclass(frozen=True)
class _Trial:
    """The data and settings by which every encoder is measured."""

    lines: list[str]
    copies: dict[Noise, list[str]]
    pairs: Sts | None
    rate: float
    tokens: Tokens
    resamplings: int
    seed: int
    quiet: bool

    @property
    def digest(self) -> str:
        return _digest(self.lines)

    @property
    def changed(self) -> dict[str, float]:
        """The share of the lines that each kind of noise changed."""
        return {
            kind: sum(a != b for a, b in zip(self.lines, copy, strict=True)) / len(self.lines)
            for kind, copy in self.copies.items()
        }

    def facts(self) -> dict[str, Any]:
        """Describe, for JSON, how all encoders were measured."""
        return {
            "pairs": 0 if self.pairs is None else len(self.pairs.gold),
            "rate": self.rate,
            "changed": self.changed,
            "tokens": self.tokens,
            "seed": self.seed,
            "resamplings": self.resamplings,
        }

    def baseline(self) -> BagOfWords:
        """Make the bag of all words of the lines and pairs that encoders are measured on."""
        of_pairs = self.pairs.first + self.pairs.second if self.pairs else ()
        return BagOfWords([*self.lines, *of_pairs], self.tokens)

    def notes(self, name: str) -> list[str]:
        """Describe how all encoders were measured. name: of the file of lines."""
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in self.changed.items())
        notes = [
            "alignment: of a line and its noisy copy; accuracy@1, MRR (mean reciprocal rank): the "
            "line, searched by its copy among all lines",
            f"{len(self.lines)} different lines of {name}; noise at rate {self.rate:g} changed of "
            f"them: {shares}",
        ]
        if self.resamplings:
            notes.append(
                "[95 % interval]: bootstrap over lines or pairs; uniformity: random subsets"
            )
        return notes

    def progress(self, steps: Iterable[Made], what: str) -> Iterable[Made]:
        """Yield the same steps, with a bar once they have taken two seconds."""
        return bar(steps, what, self.quiet)

    def measure_all(
        self, encoders: Mapping[str, LineEncoder], data: Path, sha256: str
    ) -> tuple[dict[str, Scores], list[str]]:
        """Measure each encoder; return the scores by its name, and remarks. sha256: of the file of
        lines."""
        rows, notes = {}, []
        for name, encoder in self.progress(encoders.items(), "encoders"):
            rows[name], remarks = self.measure(encoder)
            if _learnt_from(encoder, sha256):
                remarks.append(f"learnt from lines of {data.name}; other text is a harder test")
            notes += [f"{name}: {remark}" for remark in remarks]
        return rows, notes

    def measure(self, encoder: LineEncoder) -> tuple[Scores, list[str]]:
        """Measure one encoder; return its scores, and remarks on them."""
        clean = self._vectors(encoder, self.lines)
        notes = []
        if missing := int((clean == 0).all(1).sum()):
            notes.append(f"{missing} of {len(clean)} lines have a vector of zeros")
        facts = {"enc": encoder.name, "n": len(clean), "data": self.digest}
        estimate = self._uniformity(clean)
        scores = _score("uniformity", LINES, estimate, facts | {"t": UNIFORM_T})
        if self.pairs is not None:
            of_pairs, lacking = self._sts(encoder, self.pairs)
            scores |= of_pairs
            notes += lacking
        for kind, copy in self.progress(self.copies.items(), f"noise for {encoder.name}"):
            noisy = self._vectors(encoder, copy)
            hits = retrieval(noisy, clean)
            how = {"noise": kind, "rate": self.rate, "tok": self.tokens, "seed": self.seed}
            for family, values in {
                "alignment": distances(clean, noisy),
                "first": hits.first,
                "reciprocal": hits.reciprocal,
            }.items():
                scores |= _score(family, kind, self._mean(values), facts | how)
        return scores, notes

    def _vectors(self, encoder: LineEncoder, lines: Sequence[str]) -> Tensor:
        vectors = encoder.encode_lines(lines, progress=self.progress)
        if not bool(vectors.isfinite().all()):
            raise UserError(
                f"encoder {encoder.name}: some of its vectors are not finite, so nothing can be "
                "measured of it; take an earlier state or train it again at a lower learning rate"
            )
        return vectors

    def _mean(self, values: Tensor) -> Estimate:
        totals = values.numpy()
        return bootstrap(totals, np.ones_like(totals), self.resamplings, self.seed)

    def _uniformity(self, vectors: Tensor) -> Estimate:
        n = len(vectors)
        some = subsets(n, SUBSETS, self.seed) if self.resamplings else []
        value, *parts = uniformities(vectors, [torch.arange(n), *some], UNIFORM_T).tolist()
        if not parts:
            return Estimate(value)
        # the same subsets in the same order; all of them were looked at in one go
        ready = iter(parts)
        replicates = over_subsets([value], lambda _: [next(ready)], n, SUBSETS, self.seed)
        return spread(value, replicates[:, 0], (UNBOUNDED[0], 0.0))

    def _sts(self, encoder: LineEncoder, pairs: Sts) -> tuple[Scores, list[str]]:
        spelt = {line: i for i, line in enumerate(dict.fromkeys([*pairs.first, *pairs.second]))}
        vectors = self._vectors(encoder, list(spelt))
        sides = ([spelt[line] for line in side] for side in (pairs.first, pairs.second))
        cosines = pair_cosines(*(vectors[side] for side in sides)).numpy()
        rows = zip(pairs.gold.tolist(), pairs.first, pairs.second, strict=True)
        digest = _digest(f"{gold}\t{first}\t{second}" for gold, first, second in rows)
        scores: Scores = {}
        lacking = []
        for name, chosen in pairs.parts().items():
            facts = {"enc": encoder.name, "n": len(chosen), "data": digest, "subset": name}
            try:
                estimate = correlation(
                    cosines[chosen], pairs.gold[chosen], self.resamplings, self.seed
                )
            except ValueError as error:
                lacking.append(f"no STS of {name}: {error}")
                continue
            scores |= _score("sts", name, estimate, facts)
        return scores, lacking


def _kinds(names: Sequence[str]) -> list[Noise]:
    """Kinds of noise by name, each once and in their own order."""
    for name in names:
        if name not in NOISES:
            raise UserError(
                f"noise = {name!r}: there is no such noise{suggest(name, NOISES)}; "
                f"known: {', '.join(NOISES)}"
            )
    return [kind for kind in NOISES if kind in names]


def _lines(path: Path, form: Form, limit: int, seed: int) -> tuple[list[str], str]:
    """The different lines of a file, at most `limit` of them, with one space between words, and
    the file's SHA-256."""
    data = read_data(path, form, "data")
    different = list(dict.fromkeys(" ".join(line.split()) for line in data.lines))
    if len(different) < FEWEST:
        raise UserError(
            f"data = {str(path)!r} has {len(different)} different lines; at least {FEWEST} are "
            "needed"
        )
    if len(different) <= limit:
        return different, data.sha256
    random = np.random.default_rng(stream(Purpose.SIMILARITY_LINES, seed))
    chosen = np.sort(random.permutation(len(different))[:limit])
    return [different[row] for row in chosen], data.sha256


def _copies(
    lines: list[str], kinds: Sequence[Noise], rate: float, tokens: Tokens, seed: int, path: Path
) -> dict[Noise, list[str]]:
    """A disturbed copy of every line, by kind of noise."""
    split = PreTokenizer.of(lines, tokens)
    words = sorted({word for line in lines for word in split(line)})
    if len(words) < 2:
        raise UserError(f"data = {str(path)!r}: all lines are made of one word")
    copies = {kind: disturb_lines(lines, rate, kind, words, seed, tokens=tokens) for kind in kinds}
    for kind, copy in copies.items():
        if copy == lines:
            raise UserError(
                f"noise = {kind!r} changes no line of {str(path)!r} at rate {rate} with tokens "
                f"{tokens!r}; give a higher rate or other noise"
            )
    return copies


def _learnt_from(encoder: LineEncoder, sha256: str) -> bool:
    """Return whether an encoder's folder records that it was trained on the file of this hash."""
    facts = encoder.facts.get("data") if isinstance(encoder, SavedEncoder) else None
    return isinstance(facts, dict) and facts.get("sha256") == sha256


def _digest(lines: Iterable[str]) -> str:
    """Eight digits of lines, for signatures."""
    text = "\n".join(lines).encode(errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:8]


def _score(family: str, column: str, estimate: Estimate, facts: Mapping[str, object]) -> Scores:
    """One number under its name, signed with all that would change it, and with this version."""
    title, better = FAMILIES[family]
    signature = sign(family, **facts)
    return {f"{family}/{column}": Score(f"{title}, {column}", estimate, signature, better)}
