"""The end of a run: one table, one picture, some samples.

Every table has the rows that a reader needs beside the last one: the oracle itself, uniformly
random tokens, and the best MLE epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from textgan.core.errors import UserError
from textgan.core.files import exists, understood, write_file
from textgan.core.identity import NO_COURSE, identity_in, read_sealed, write_sealed
from textgan.core.log import Log
from textgan.core.progress import status
from textgan.core.score import Better, Score, Scores, ScoreTable, checked_value, sign
from textgan.core.seeds import fork_rng
from textgan.core.settings import flatten
from textgan.core.statistics import Estimate
from textgan.core.streams import Purpose, stream
from textgan.core.tables import Table
from textgan.data.checks import corpus_warnings
from textgan.data.text import Text
from textgan.metrics.base import Models, Unavailable
from textgan.metrics.likelihood import UNIT
from textgan.metrics.warnings import warnings_of_row
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import uniform_nll
from textgan.training.measure import (
    greedy_bleu,
    level_of,
    measure,
    ngram_divergences,
    scores_of,
    sources_answered,
    texts_measured,
)
from textgan.training.panels import sorted_by
from textgan.training.plot import plot_curves
from textgan.training.run import MLE, Run
from textgan.training.sample import draw_lines

# the columns of a final table, and what they are called there
COLUMNS = {
    "nll_oracle": "NLL_oracle",
    "nll_test": "NLL_test",
    "nll_test_low": "NLL_test, at least",
    "nll_valid": "NLL_valid",
    "entropy": "entropy",
    "unique": "unique",
    "sacrebleu_test": "BLEU, greedy",
} | {f"jsd{n}": f"JSD-{n}" for n in range(1, 9)}
RESAMPLED_ROW = "resampled"  # how the row of resampled texts begins
MLE_ROW = "MLE, best epoch"  # how the row of the best MLE epoch begins, in every table
ORACLE_ROW, REAL_ROW = "oracle", "real, held out"  # of real text
# scores of uniformly random tokens that are known without drawing any
UNIFORM: dict[str, Better] = {
    "nll_test": "lower",
    "nll_valid": "lower",
    "entropy": "like real text",
}
SAMPLES_WRITTEN = 100
FEW = 30  # texts below which a percentile bootstrap is much too narrow
_REMEDY = "delete it to have it made again"


@dataclass(frozen=True, repr=False)
class Results(ScoreTable):
    """The final table of a run.

    folder: the run's. samples: how many texts every row was measured on. alarms: the warnings that
    the run gave while it trained. likelihood: whether the trained generator has one. records: the
    digest that metrics.jsonl had at the end.
    """

    folder: Path = Path()
    samples: int = 0
    alarms: tuple[str, ...] = ()
    likelihood: bool = True
    records: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return super().to_dict() | {
            "alarms": list(self.alarms),
            "likelihood": self.likelihood,
            "samples": self.samples,
            "records": self.records,
            "unit": "nats per token; entropy too. unique: share of different samples. jsd: bits",
            "decode": "sample at temperature 1; sacrebleu_test: greedy",
        }

    def shown(self) -> list[Table | str]:
        columns = {
            key: title
            for key, title in COLUMNS.items()
            if any(key in row for row in self.rows.values())
        }
        body = [
            [name, *(row[key].estimate.flagged if key in row else "" for key in columns)]
            for name, row in self.columns.items()
        ]
        upright = [
            [title, *(row[number] for row in body)]
            for number, title in enumerate(columns.values(), start=1)
        ]
        narrow = Table(["", *self.columns], upright)
        return [Table(["", *columns.values()], body, narrow=narrow), *self.lines_below()]

    def footnotes(self) -> list[str]:
        measured = {name for row in self.rows.values() for name in row}
        note = f"on {self.samples} samples at temperature 1"
        if any(name.startswith("nll") for name in measured):
            note = (
                f"nats per token {note}, [95 % bootstrap interval over sentences]; lower NLL is "
                "better"
            )
        if not self.likelihood:
            note += "; NLL_test and entropy need a likelihood, which this generator does not have"
        if "nll_test_low" in measured:
            note += (
                "; NLL_test of resampled texts takes an upper bound of log Z, which is estimated, "
                "and in the column at least a lower one"
            )
        if "sacrebleu_test" in measured:
            asked = sources_answered(self.samples, self.facts.get("test_sources"))
            note += f"; BLEU, from 0 to 100, is of greedy answers to {asked or 'the test sources'}"
        if "jsd1" in measured:
            note += "; JSD-n: bits between their n-grams and the training text's"
        return [note]


def final_table(run: Run, *, samples: int, seed: int) -> Results:
    """Make the table of a run as it is: oracle, random, best MLE epoch, and the trained generator.

    Raises UserError where there is no checkpoint yet, and where the generator diverged.
    """
    limits, corpus = run.config.evaluation, run.corpus
    samples = texts_measured(corpus, samples)
    generator = run.load_generator()
    settings = {"resamplings": limits.bootstrap, "ngrams": limits.ngrams}

    def row(generator: Generator, purpose: Purpose = Purpose.FINAL_TEXTS) -> Scores:
        seed_of_row = stream(purpose, seed)
        try:
            scores, _ = measure(
                generator, corpus, run.oracle, samples=samples, seed=seed_of_row, **settings
            )
        except Unavailable:
            raise UserError(
                f"{run.folder}: the generator's weights are no longer numbers; it diverged"
            ) from None
        bleu = None
        if generator is not run.oracle:
            bleu = greedy_bleu(
                generator, corpus, corpus.test, samples, seed=seed, resamplings=limits.bootstrap
            )
        return scores | ({"sacrebleu_test": bleu} if bleu else {})

    rows: dict[str, Scores] = {}
    if run.oracle is not None:
        rows[ORACLE_ROW] = row(run.oracle, Purpose.FINAL_ORACLE)
    if limits.ngrams:
        rows[REAL_ROW] = ngram_divergences(corpus.test[:samples], corpus, limits.ngrams)
    random = _random_row(run, samples, seed)
    if run.oracle is None and not isinstance(generator, AutoregressiveGenerator):
        random = {name: score for name, score in random.items() if name.startswith("jsd")}
    if random:
        rows["random tokens"] = random
    lack, mle_entropy = run.mle_lack(), None
    same: dict[str, str] = {}
    name, last = f"{run.config.objective.name}, last", None
    if exists(run.folder / MLE):
        _, facts = run.load_mle()
        best = run.load_generator("mle")
        mle = row(best)
        epochs = facts.get("epochs", run.config.schedule.mle_epochs)
        mle_row = f"{MLE_ROW} ({facts['epoch']} of {epochs})"
        rows[mle_row] = mle
        mle_entropy = mle["entropy"].value if "entropy" in mle else None
        if same_weights(best, generator):
            same, last = {mle_row: name}, mle
    if run.resample:
        rows[f"{RESAMPLED_ROW}, 1 of {run.resample}"] = row(run.load_resampled(run.resample))
    rows[name] = last = last or row(generator)
    few, fewest = [], min(samples, len(corpus.test))
    if fewest < FEW:
        few = [f"intervals rest on {fewest} texts: a bootstrap of fewer than {FEW} is too narrow"]
    sources = {"test_sources": len(corpus.test)} if corpus.space.source is not None else {}
    warnings = warnings_of_row(
        last,
        level_of(run.oracle_level),
        mle_entropy=mle_entropy,
        unique_alarm=limits.unique_alarm,
        entropy_alarm=limits.entropy_alarm,
    )
    return Results(
        rows,
        _real_row(rows),
        warnings=[*([lack] if lack else []), *corpus_warnings(corpus), *few, *warnings],
        facts=({"same": same} if same else {}) | sources,
        folder=run.folder,
        samples=samples,
        likelihood=isinstance(generator, AutoregressiveGenerator),
    )


def same_weights(one: Generator, other: Generator) -> bool:
    """Return whether two generators of a run are the same function, so that the numbers of one are
    those of the other."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[key]) for key, value in ours.items()
    )


def texts_seed(run: Run, seed: int = 0) -> int:
    """Return the seed of a run's texts in an evaluation with a seed: with 0 they are the texts of
    the final table, so that both have the same numbers."""
    if seed == 0:
        return stream(Purpose.MEASURED, stream(Purpose.FINAL_TEXTS, run.seed))
    return stream(Purpose.EVALUATION_TEXTS, seed, run.config.seed)


def _real_row(rows: Mapping[str, Scores]) -> str | None:
    return next((row for row in (ORACLE_ROW, REAL_ROW) if row in rows), None)


def finish(run: Run, alarms: Sequence[str], log: Log, *, plot: bool = True) -> Results:
    """Evaluate a run that has come to its end and leave results.json, curves.png, samples.txt.

    alarms: what the run was warned of while it trained. plot: whether to draw curves.png.
    """
    done = read_results(run.folder)
    if done is not None:
        log.say("finished before; nothing is left to do")
        return done
    limits = run.config.evaluation
    samples = texts_measured(run.corpus, limits.final_samples)
    with status(f"final measures, on {samples} samples", log.quiet):
        results = final_table(run, samples=limits.final_samples, seed=run.seed)
    results = replace(results, alarms=tuple(alarms), records=log.digest)
    generator = run.load_generator()
    seed = stream(Purpose.FINAL_LINES, run.seed)
    lines = draw_lines(run, generator, SAMPLES_WRITTEN, seed, 1.0)
    write_file(run.folder / "samples.txt", "".join(line + "\n" for line in lines).encode())
    # the settings that runs differ in, so that TensorBoard's table of them can be read
    unused = ("oracle." if run.config.data.path else "data.", "evaluation.", *NO_COURSE)
    log.hyperparameters(
        {k: v for k, v in flatten(run.config.model_dump()).items() if not k.startswith(unused)},
        {f"result/{name}": score.value for name, score in results.last.items()},
        sorted_by(run.corpus.space.source is not None),
    )
    if plot:
        with status("drawing curves.png", log.quiet):
            plotted = plot_curves(run)
    # last, for its presence says that the run is finished
    write_sealed(run.folder / "results.json", results.to_dict(), run.digest)
    if plot and plotted:
        log.say(f"picture    {run.folder / 'curves.png'}")
    elif plot:
        log.say("picture    not drawn: matplotlib is missing (pip install 'textgan[plots]')")
    log.say(f"samples    {run.folder / 'samples.txt'}")
    return results


def read_results(folder: Path) -> Results | None:
    """Read the results of a finished run; None where it is not finished."""
    path = folder / "results.json"
    if not exists(path):
        return None
    content = read_sealed(path, identity_in(folder), _REMEDY)
    with understood(path, _REMEDY):
        rows = {
            row: {name: _read_score(name, score) for name, score in scores.items()}
            for row, scores in content["rows"].items()
        }
        return Results(
            rows,
            _real_row(rows),
            warnings=checked_value(content, "warnings", list[str]),
            facts=checked_value({"facts": {}} | content, "facts", dict[str, Any]),
            folder=folder,
            samples=checked_value(content, "samples", int),
            alarms=tuple(checked_value({"alarms": []} | content, "alarms", list[str])),
            likelihood=checked_value({"likelihood": True} | content, "likelihood", bool),
            records=checked_value({"records": None} | content, "records", str | None),
        )


def _read_score(name: str, content: Mapping[str, Any]) -> Score:
    """A score of results.json; the first version wrote the numbers alone, without a signature."""
    nll = name.startswith(("nll", "entropy"))
    old = {
        "title": COLUMNS.get(name, name),
        "better": "lower" if name.startswith(("nll", "jsd")) else "like real text",
        "unit": UNIT if nll else "",
        "signature": "",
    }
    return Score.from_dict(old | dict(content))


def _random_row(run: Run, samples: int, seed: int) -> Scores:
    """Tokens drawn uniformly: the scores of knowing nothing."""
    space, limits = run.corpus.space, run.config.evaluation
    seed = stream(Purpose.FINAL_RANDOM, seed)
    with fork_rng(stream(Purpose.MEASURED, seed), run.device):
        lowest, size = int(space.eos is not None), (samples, space.length)
        tokens = torch.randint(lowest, space.vocabulary, size, device=run.device)
        condition = run.corpus.conditions.draw(samples)
    text = replace(Text.ended(tokens, space), condition=condition)
    models = Models(None, run.oracle, text, run.corpus.test)
    scores = scores_of(
        models, run.corpus, seed=seed, resamplings=limits.bootstrap, ngrams=limits.ngrams
    )
    signature = sign("uniform", vocab=space.vocabulary, exact=None, unit=UNIT)
    level = Estimate(uniform_nll(space))
    for name, better in UNIFORM.items():
        scores[name] = Score(COLUMNS[name], level, signature, better, UNIT)
    return {name: scores[name] for name in COLUMNS if name in scores and name != "unique"}
