"""The scores of a generator that training watches, and those of the table at the run's end.

They are those of `textgan.metrics` that are cheap enough for every epoch and round; `textgan
evaluate` measures the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from textgan.core.score import Score, Scores, sign
from textgan.core.statistics import Estimate
from textgan.core.streams import Purpose, stream
from textgan.data.corpus import Corpus
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.metrics.aligned import SacreBLEU, aligned_by_source
from textgan.metrics.base import MetricInputs, Models
from textgan.metrics.likelihood import UNIT, Likelihood
from textgan.metrics.ngrams import JensenShannon
from textgan.metrics.scoring import score_row
from textgan.metrics.surface import Unique, averaged
from textgan.models.beam import BeamSearch
from textgan.models.draw import answers, draw_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.resample import ResampledGenerator
from textgan.models.tempering import Mixture

BELOW = 200  # resamplings of NLL_oracle, so that it is called below the oracle's by no chance
SHOWN = ("nll_oracle", "nll_test", "nll_test_low", "nll_valid", "entropy", "unique", "length")


def measure(
    generator: Generator,
    corpus: Corpus,
    oracle: AutoregressiveGenerator | None,
    *,
    samples: int,
    seed: int,
    resamplings: int = 0,
    ngrams: int = 0,
) -> tuple[Scores, Text]:
    """Draw texts of a generator; return the scores that are logged in training, and the texts.

    See `draw_measured` and `scores_of`. Raises Unavailable where one is no finite number.
    """
    text = draw_measured(generator, corpus, samples, seed=stream(Purpose.MEASURED, seed))
    likely = generator if isinstance(generator, AutoregressiveGenerator) else None
    resampled = generator if isinstance(generator, ResampledGenerator) else None
    models = Models(likely, oracle, text, corpus.test, valid=corpus.valid, resampled=resampled)
    return scores_of(models, corpus, seed=seed, resamplings=resamplings, ngrams=ngrams), text


def draw_measured(
    generator: Generator,
    corpus: Corpus,
    n: int,
    *,
    seed: int,
    temperature: float | Mixture = 1.0,
    forbid: int | None = None,
    search: BeamSearch | None = None,
) -> Text:
    """Draw n texts of a generator as they are measured: like the training text, by `draw_like`, or
    where texts answer sources for those of `asked_rows` of the test part, by `answers`."""
    if corpus.space.source is None:
        return draw_like(
            generator, corpus.conditions, n, seed=seed, temperature=temperature, forbid=forbid
        )
    return answers(
        generator,
        corpus.test.condition[asked_rows(len(corpus.test), n).to(corpus.test.tokens.device)],
        seed=seed,
        search=search,
        temperature=temperature,
        forbid=forbid,
    )


def texts_measured(corpus: Corpus, n: int) -> int:
    """Return how many texts of a generator are measured where n are asked for: where they answer
    sources, no more than the test part has."""
    return n if corpus.space.source is None else min(n, len(corpus.test))


def sources_answered(n: int, total: int | None) -> str:
    """Say how many of the sources of a test part are answered where n texts are measured; "" for
    all, and where it is not known how many there are (None)."""
    return f"{n:,} of the {total:,} test sources" if total is not None and n < total else ""


def asked_rows(total: int, n: int) -> Tensor:
    """Return which of so many real texts have their sources answered where n texts are measured:
    all, or n of them, spread evenly, in their order."""
    return torch.arange(total) if n >= total else torch.arange(n) * total // n


def greedy_bleu(
    generator: Generator,
    corpus: Corpus,
    part: Text,
    n: int,
    *,
    seed: int = 0,
    resamplings: int = 0,
) -> Score | None:
    """Compute sacrebleu of the likeliest answers, word by word, to n sources of a part of the
    corpus; None where texts answer none, or the generator has no likelihood."""
    space = corpus.space.source
    if space is None or not isinstance(generator, AutoregressiveGenerator):
        return None
    cpu, rows = torch.device("cpu"), asked_rows(len(part), n)
    sources = Sentences.of(part.condition.require_source().to(cpu), space.eos)
    columns = aligned_by_source(sources, corpus.tokenizer.decode(part.tolist()))
    condition = part.condition[rows.to(part.tokens.device)]
    text = answers(generator, condition, seed=seed, search=BeamSearch(width=1))
    texts = Sentences.of(text.to(cpu), corpus.space.eos)
    inputs = _inputs(
        texts,
        texts,
        corpus,
        lines=corpus.tokenizer.decode(text.tolist()),
        aligned=[[column[row] for row in rows.tolist()] for column in columns],
        sources=sources[rows],
        seed=seed,
        resamplings=resamplings,
    )
    return replace(SacreBLEU().measure(inputs)["sacrebleu"], title="BLEU, greedy")


def scores_of(
    models: Models, corpus: Corpus, *, seed: int, resamplings: int = 0, ngrams: int = 0
) -> Scores:
    """Score the texts that some models drew.

    nll_oracle: of the texts under the oracle. nll_valid, nll_test: of held-out text under the
    generator; nll_test_low: the lower bound of a resampled one. entropy: of the texts under the
    generator. unique: the share of different texts. length: mean tokens of a text, its end token
    counted. jsd1 to jsd<ngrams>: see `ngram_divergences`. What no model has the likelihood of is
    left out. resamplings: of the bootstrap of the likelihoods; 0 for no intervals but that of
    nll_oracle.
    """
    texts = Sentences.of(models.drawn.to(torch.device("cpu")), corpus.space.eos)
    inputs = _inputs(texts, texts, corpus, models=models, seed=seed, resamplings=resamplings)
    scores = score_row(inputs, [Likelihood(), Unique()])
    if models.oracle is not None and not resamplings:
        of_oracle = replace(models, generator=None, resampled=None)
        scores |= score_row(replace(inputs, models=of_oracle, resamplings=BELOW), [Likelihood()])
    scores["length"] = averaged(
        replace(inputs, resamplings=0),
        "length",
        "Length",
        models.drawn.lengths,
        unit="tokens",
        end="counted",
    )
    scores = {name: scores[name] for name in SHOWN if name in scores}
    return scores | ngram_divergences(models.drawn, corpus, ngrams)


def ngram_divergences(text: Text, corpus: Corpus, largest: int) -> Scores:
    """Compute jsd1, jsd2, ...: the n-gram divergence of texts from the training text, in bits,
    padding counted (Gulrajani et al. 2017).

    It grows as the texts become fewer, so of a sample there are taken as many texts as are held out
    for the test. Then the divergence of those, real as they are, is the floor of the sample's.
    """
    if not largest:
        return {}
    texts = Sentences.padded(text[: len(corpus.test)])
    inputs = _inputs(texts, Sentences.padded(corpus.train), corpus, padding="+padding")
    return score_row(inputs, [JensenShannon(largest=min(largest, text.tokens.shape[1]))])


def _inputs(
    texts: Sentences, real: Sentences, corpus: Corpus, padding: str = "", **others: Any
) -> MetricInputs:
    """The inputs of the metrics that training watches: no subsets, whose intervals take longest."""
    # unlike an evaluation's, these texts may hold the unknown word, so the signature says so
    unknown = "" if corpus.space.unknown is None else "+unknown"
    usual: dict[str, Any] = {"lines": [], "resamplings": 0, "subsets": 0}
    return MetricInputs(
        tokenizer=corpus.tokenizer,
        counted=unknown + padding,
        predictions=texts,
        references=real,
        sample=texts,
        paired_sample=texts,
        paired_references=real,
        **(usual | others),
    )


def level_of(entropy: Estimate | None) -> Scores:
    """Return the scores of real text where the oracle's entropy is known: the NLL of the oracle's
    own texts."""
    if entropy is None:
        return {}
    low = entropy.value if entropy.low is None else entropy.low
    high = entropy.value if entropy.high is None else entropy.high
    level = Estimate(entropy.value, low, high)
    signature = sign("nll_oracle", split="test")
    return {"nll_oracle": Score("NLL_oracle", level, signature, "lower", UNIT)}
