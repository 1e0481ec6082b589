"""The texts of a run's generator, as the command writes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch

from textgan.core.arguments import checked_arguments
from textgan.core.checks import (
    BEAMS,
    CANDIDATES,
    DIVERSITIES,
    LENGTH_PENALTIES,
    SEEDS,
    TEMPERATURES,
    TEXTS,
)
from textgan.core.device import Device
from textgan.core.errors import UserError, option
from textgan.core.files import exists, make_folder, system_errors, write_file
from textgan.core.progress import bar, say
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.checks import unknown_share
from textgan.data.text import UNCONDITIONAL, Condition, Text
from textgan.data.token_fit import MANY_UNKNOWN
from textgan.models.beam import BeamSearch
from textgan.models.draw import draw_jointly, draw_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.tempering import (
    Asked,
    JointTemperature,
    Mixture,
    MixtureParts,
    asked_for,
)
from textgan.models.tempering import label as label_of
from textgan.training.originals import Pair, original_pairs
from textgan.training.run import Run, Weights, open_run
from textgan.training.translation import (
    Answer,
    AnyRun,
    Sources,
    Translator,
    load_translator,
    read_sources,
    search_of,
    searchable,
)

USUAL = 10  # texts
JOINTLY = 1000  # texts, at least, that those of a joint temperature are resampled for


@system_errors()
@checked_arguments
def sample(
    run: AnyRun,
    n: Annotated[int | None, TEXTS] = None,
    *,
    source: Sources | None = None,
    beam: Annotated[int, BEAMS] = 0,
    greedy: bool = False,
    length_penalty: Annotated[float, LENGTH_PENALTIES] = 1.0,
    diversity: Annotated[float, DIVERSITIES] = 0.0,
    rerank: AnyRun | None = None,
    n_best: bool = False,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    mixture: MixtureParts | None = None,
    joint_temperature: Annotated[float, TEMPERATURES] = 1.0,
    resample: Annotated[int, CANDIDATES] = 0,
    seed: Annotated[int, SEEDS] = 0,
    out: Annotated[str | Path | None, "a new file"] = None,
    weights: Weights = "final",
    allow_unknown: bool = False,
    label: Annotated[str | None, "one of the run's labels"] = None,
    device: Device | None = None,
    quiet: bool = False,
    trust_code: bool = False,
) -> list[str]:
    """Write texts with a run's generator, as `textgan sample` does.

    n: how many texts, of each source where sources are given; None: 10, and 1 of each source.
    source: what the texts answer or translate, in this order: a list, or a file, a pipe or "-" for
    the standard input, one a line. Without it a run of pairs answers sources of its test part, and
    writes each before its answer, and what people answered after it, as its data file has them, if
    that is still there. beam: the width of a beam search,
    which takes the likeliest texts that it finds; 0: texts are drawn. greedy: the same as a beam of
    1. length_penalty, diversity: of the beam search (see `textgan.models.beam`). rerank: a run that
    was trained on swapped pairs, by which the texts of a beam are ranked anew (MMI). n_best: all
    texts of the beam, each after the number of its source, and its score. temperature: of texts
    that are drawn. mixture: temperature:weight pairs, each text being drawn whole at one of these
    temperatures. joint_temperature: of whole texts, see `textgan.models.tempering`. resample: each
    text is one of so many that are drawn, picked by the logit of the run's discriminator (see
    `textgan.models.resample`).

    out: a new file to write them to, too, one a line. weights: "final", or "mle" for the best MLE
    epoch. allow_unknown: let <unk> be written. label: only texts of it; needed where a run with
    labels answers sources of yours. quiet: no progress, and no
    warning of a run that is not finished or of unknown words. trust_code: run the code in files of
    its maker's own that a run's folder keeps. Raises UserError.

    Example:
        >>> textgan.sample("runs/mine", 200, temperature=0.8)
        >>> textgan.sample("runs/mine", 200, mixture="1:0.5,0.6:0.5")
        >>> textgan.sample("runs/german-english", source=["ein mann mit hut ."], beam=5)
    """
    path = None if out is None else Path(out)
    if path is not None and exists(path):
        raise UserError(f"out = {str(path)!r} exists; choose a new file")
    drawn = asked_for(temperature, mixture, joint_temperature)
    search = _search(beam, greedy, drawn, length_penalty, diversity, allow_unknown)
    for name, wanted in {"n_best": n_best, "rerank": rerank is not None}.items():
        if wanted and (search is None or search.width == 1):
            raise UserError(f"{name} is about the texts of a beam; give {option('beam', 5)}")
    unfit = {
        option("greedy" if greedy else "beam"): search is not None,
        option("joint_temperature"): isinstance(drawn, JointTemperature),
        option("weights", "mle"): weights == "mle",
    }
    for other in (name for name, is_given in unfit.items() if resample and is_given):
        raise UserError(
            f"resample = {resample} is for texts that the run's last generator draws, which its "
            f"discriminator knows; leave it or {other} out"
        )
    lines = None if source is None else read_sources(source)
    opened = run if isinstance(run, Run) else open_run(run, device, trust_code=trust_code)
    corpus = opened.corpus
    only = None if label is None else corpus.label(label)
    shown: Sequence[Pair] = []  # sources and references, before and after their answers
    if lines is None and search is not None and corpus.source_tokenizer is not None:
        asked = _some_sources(opened, n or USUAL, seed)
        lines, shown = corpus.source_tokenizer.decode(asked.tolist()), _test_pairs(opened, asked)
        n = None
    if isinstance(drawn, JointTemperature):
        texts = _draw_jointly(opened, weights, drawn, n or USUAL, seed, allow_unknown)
    elif lines is not None or rerank is not None:
        if resample:
            translator = Translator(opened, opened.load_resampled(resample))
        else:
            translator = load_translator(
                opened, rerank=rerank, weights=weights, device=device, trust_code=trust_code
            )
        found = translator.answer(
            lines or [], _kept(n, search, search.width if search and n_best else 1), search=search,
            seed=seed, temperature=drawn, allow_unknown=allow_unknown, label=only,
            quiet=quiet,
        )  # fmt: skip
        texts = _written(found, n_best, shown)
    elif search is not None:
        kept = _kept(n, search, search.width)
        texts = _written(_likeliest(opened, weights, search, kept, only, quiet), n_best)
    else:
        writer = opened.load_resampled(resample) if resample else opened.load_generator(weights)
        text = _draw(
            opened, writer, n or USUAL, seed, drawn,
            allow_unknown=allow_unknown, label=only,
        )  # fmt: skip
        texts = corpus.decode(text)
        if text.source is not None:  # in the same words as a search shows it
            apart = [line.split("\t") for line in texts]
            texts = [
                "\t".join([*before, source_of, answer, reference])
                for (*before, _, answer), (source_of, reference) in zip(
                    apart, _test_pairs(opened, text.source), strict=True
                )
            ]
    share = 0.0 if allow_unknown else unknown_share(corpus)
    if share >= MANY_UNKNOWN and not quiet:
        say(
            f"warning: {share:.0%} of the words that it learnt from are <unk>, which is not "
            "written, so these texts are shorter and poorer than what it draws "
            f"({option('allow_unknown')})"
        )
    stopped = opened.stopped_at() if weights == "final" else None
    if stopped and not quiet:
        say(
            f"{opened.folder} is not finished: it stopped {stopped}. Go on with: textgan resume "
            f"{opened.folder}"
        )
    if path is not None:
        make_folder(path.parent, f"out = {str(out)!r}")
        write_file(path, "".join(line + "\n" for line in texts).encode())
    return texts


def draw_lines(
    run: Run,
    generator: Generator,
    n: int,
    seed: int,
    temperature: float | Mixture,
    *,
    allow_unknown: bool = False,
    label: int | None = None,
) -> list[str]:
    """Draw n texts as lines. The unknown word is not written unless it is allowed.

    label: the only one to write; None: all, as often as they occur in the training text.
    """
    return run.corpus.decode(
        _draw(run, generator, n, seed, temperature, allow_unknown=allow_unknown, label=label)
    )


def _draw(
    run: Run,
    generator: Generator,
    n: int,
    seed: int,
    temperature: float | Mixture,
    *,
    allow_unknown: bool,
    label: int | None,
) -> Text:
    unknown = None if allow_unknown else run.corpus.space.unknown
    with run.products():
        return draw_like(
            generator,
            run.corpus.conditions,
            n,
            seed=stream(Purpose.SAMPLE, seed, run.seed),
            temperature=temperature,
            forbid=unknown,
            label=label,
        )


def joint_generator(run: Run, generator: Generator) -> AutoregressiveGenerator:
    """Return a run's generator. Raises UserError where it has no joint temperature."""
    if not isinstance(generator, AutoregressiveGenerator):
        raise UserError(
            f"{run.folder}: its generator {run.config.generator.name} has no likelihood, which a "
            f"joint temperature takes; leave {option('joint_temperature')} out"
        )
    if run.corpus.space.classes or run.corpus.space.source is not None:
        what = "labels" if run.corpus.space.classes else "sources"
        raise UserError(
            f"{run.folder} has {what}, each of which has a joint temperature's normaliser of its "
            f"own; use {option('temperature')} or {option('mixture')}"
        )
    return generator


def _draw_jointly(
    run: Run, weights: Weights, asked: JointTemperature, n: int, seed: int, allow_unknown: bool
) -> list[str]:
    """Draw n lines of a joint temperature."""
    generator = joint_generator(run, run.load_generator(weights))
    with run.products():
        [drawn] = draw_jointly(
            generator, max(n, JOINTLY), asked,
            seed=stream(Purpose.SAMPLE, seed, run.seed),
            forbids=(None if allow_unknown else run.corpus.space.unknown,),
        )  # fmt: skip
    return run.corpus.decode(drawn.text[:n])


def _search(
    beam: int,
    greedy: bool,
    temperature: Asked,
    length_penalty: float,
    diversity: float,
    allow_unknown: bool,
) -> BeamSearch | None:
    """The search that is asked for; None: texts are drawn. UserError for contradictions."""
    if greedy and beam > 1:
        raise UserError(f"greedy decoding is a beam of 1; leave it or {option('beam', beam)} out")
    width = 1 if greedy else beam
    for name, value, usual in (("length_penalty", length_penalty, 1), ("diversity", diversity, 0)):
        if width < 2 and value != usual:
            raise UserError(f"{name} is about the texts of a beam; give {option('beam', 5)}")
    if width and temperature != 1:
        raise UserError(
            f"temperature = {label_of(temperature)} is for texts that are drawn; leave it or "
            f"{option('greedy' if greedy else 'beam')} out"
        )
    settings = {"length_penalty": length_penalty, "diversity": diversity}
    return search_of(width=width, allow_unknown=allow_unknown, **settings) if width else None


def _kept(n: int | None, search: BeamSearch | None, usual: int) -> int:
    """How many texts of each source are kept. UserError for more than a beam ends with."""
    if n and search is not None and n > search.width:
        raise UserError(
            f"n = {n}: a beam of {search.width} has no more texts; give {option('beam', n)}"
        )
    return n or usual


def _some_sources(run: Run, n: int, seed: int) -> Text:
    """Draw n sources of the test part."""
    with fork_rng(stream(Purpose.SAMPLE, seed, run.seed), run.device):
        return run.corpus.conditions.draw(n).require_source()


def _test_pairs(run: Run, source: Text) -> list[Pair]:
    """For each of these sources the first pair of the test part that has it."""
    rows: dict[tuple[int, ...], int] = {}
    for row, ids in enumerate(run.corpus.test.condition.require_source().tolist()):
        rows.setdefault(tuple(ids), row)
    return original_pairs(run, [rows[tuple(ids)] for ids in source.tolist()])


def _likeliest(
    run: Run, weights: Weights, search: BeamSearch, n: int, label: int | None, quiet: bool
) -> list[list[Answer]]:
    """Search for the n best lines of a run without sources; of each label where there are some."""
    generator = searchable(run, run.load_generator(weights))
    condition = UNCONDITIONAL
    if run.corpus.space.classes:
        labels = torch.arange(run.corpus.space.classes, device=run.device)
        condition = Condition(labels if label is None else labels[label : label + 1])
    with run.products():
        found = search(generator, condition, n, partial(bar, quiet=quiet))
    answers = list(map(Answer, run.corpus.decode(found.text), found.score.flatten().tolist()))
    whole = (answers[start : start + n] for start in range(0, len(answers), n))
    return [[one for one in some if one.score > -torch.inf] for some in whole]


def _written(
    found: Sequence[Sequence[Answer]], n_best: bool, shown: Sequence[Pair] = ()
) -> list[str]:
    """Lines of texts; n_best: each after the number of its source and its score, without the copies
    that fill up a beam. shown: what each is written after, and what before."""
    lines = []
    for row, answers in enumerate(found):
        for text, score in answers:
            asked, reference = ([one] for one in shown[row]) if shown else ([], [])
            columns = [*asked, text, *reference]
            if n_best:
                columns = [str(row + 1), f"{score:.4f}", *columns]
            if not n_best or score > -torch.inf:
                lines.append("\t".join(columns))
    return lines
