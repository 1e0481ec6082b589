"""The inputs of an evaluation of files and lists of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from textgan.core.device import choose_device
from textgan.core.errors import UserError, option
from textgan.core.progress import bar
from textgan.core.streams import Purpose
from textgan.data.pre_tokenizer import TURN_WORD, LineTokens, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.texts import PLAIN, Form
from textgan.data.token_fit import evenly, misfit
from textgan.data.tokenizers import WordTokenizer
from textgan.evaluation.inputs import (
    EvaluationInputs,
    EvaluationOptions,
    Parts,
    RowMaker,
    parted,
)
from textgan.evaluation.texts import (
    Source,
    Texts,
    alike,
    copy_warnings,
    drawn_lines,
    fits_some,
    name_of,
    name_texts,
    of_other_lengths,
    read_texts,
)
from textgan.metrics.aligned import aligned_by_source
from textgan.metrics.base import Pairs

FEWEST_TO_TRAIN = 50  # references of a part that networks are trained on, at least
LEAK = "real text that is measured against itself is no level to reach"


def inputs_from_files(
    files: Sequence[Source | Texts],
    references: Source | None,
    options: EvaluationOptions,
    *,
    train: Source | None = None,
    real: Source | None = None,
    aligned: Sequence[Source] = (),
    source: Source | None = None,
    split: LineTokens = "nltk",
    form: Form = PLAIN,
    device: str = "cpu",
    align: bool = False,
) -> EvaluationInputs:
    """Make rows of files or lists of texts, with the references from another.

    train: what the texts' generator was trained on. real: other real text for the real row.
    aligned: references of which line i answers line i of every file. source: what line i of every
    file, and of the references, answers or translates. form: how all files are read, their labels
    left out; fields are for those that have some. device: that networks are trained on. align: a
    metric needs aligned references, so the references are, if no others are given and they have as
    many lines as every file.
    Raises UserError.
    """
    sides_given = (references, train, real, source)
    given = [*files, *aligned, *(side for side in sides_given if side is not None)]
    fits_some(form, given)
    texts = name_texts(files, form)
    answers = _read_aligned(aligned, texts, form)
    if references is None and not aligned:
        raise UserError(f"give {option('references', 'FILE')}, held-out real text to compare with")
    texts, warnings = _looked_over(texts, options)
    held_out = {
        role: read_texts(one, role, form=form)
        for role, one in (("references", references), ("train", train), ("real", real))
        if one is not None
    }
    lines = {role: _without_empty(text.lines) for role, text in held_out.items()}
    if align and references is not None and not aligned and source is None:
        human = held_out["references"].lines
        if all(len(text.lines) == len(human) for text in texts):
            aligned, answers = [references], [human]
            warnings.append(
                f"line i of {name_of(references)} is taken for what line i of the texts should be; "
                f"{option('aligned', 'FILE')} gives other references line by line"
            )
    if references is None:
        lines["references"] = _without_empty(answers[0])
    tokenizer, sides, measured = _encode_files(split, lines, texts, options.quiet)
    answering: dict[str, Any] = {"aligned": answers}
    if source is not None:
        human = held_out["references"].lines if references is not None else answers[0]
        held_out["source"] = read_texts(source, "source", form=form)
        _refuse_unaligned(source, held_out["source"].lines, human, texts)
        answering = _answering(held_out["source"].lines, human, split, tokenizer)
        answering["aligned"] += answers if references is not None else answers[1:]

    fewest = min(len(text.lines) for text in texts)
    parts = part_real_text(sides, fewest, options.seed)
    make = RowMaker.of(
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
            predictions, text.lines, generator_train=sides.get("train"), **answering
        )
    leaks = alike(lines)
    facts = {
        "tokenizer": split,
        "texts": {text.name: text.about for text in texts},
        **{role: text.about for role, text in held_out.items()},
        **form.facts(),
        **({"aligned": [name_of(file) for file in aligned]} if aligned else {}),
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


def _refuse_unaligned(
    source: Source, lines: Sequence[str], human: Sequence[str], texts: Sequence[Texts]
) -> None:
    """UserError unless there are as many sources as texts in every file, and references."""
    for name, others in [("references", human), *((text.name, text.lines) for text in texts)]:
        if len(others) != len(lines):
            raise UserError(
                f"source = {name_of(source)!r} has {len(lines)} lines and {name!r} {len(others)}; "
                "give one source for each text and each reference"
            )


def _answering(
    sources: Sequence[str], human: Sequence[str], split: LineTokens, tokenizer: WordTokenizer
) -> dict[str, Any]:
    """What rows have whose texts answer sources: these, what people answered to them, and that as
    aligned references. tokenizer: it knows the words of people."""
    words = PreTokenizer(split, unknown="")
    if any(TURN_WORD in source for source in sources):  # which Treebank's rules would split
        kind: LineTokens = "whitespace" if split == "nltk" else split
        words = PreTokenizer(kind, unknown="", turn=TURN_WORD)
    empty = WordTokenizer((), words)
    source_tokenizer, (asked,) = encode_all(empty, [sources])
    _, (answers,) = encode_all(tokenizer, [human])
    return {
        "sources": asked,
        "source_tokenizer": source_tokenizer,
        "real_pairs": Pairs(asked, answers),
        "aligned": aligned_by_source(asked, human),
    }


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
                    f"aligned = {name_of(file)!r} has {len(answer)} lines and {text.name!r} "
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


def part_real_text(sides: Mapping[str, Sentences], fewest: int, seed: int) -> Parts:
    """Part the real text of files, as the docstring of `textgan.evaluation.inputs` has it."""
    references, train, other = sides["references"], sides.get("train"), sides.get("real")
    if other is None and train is not None and len(train) >= 2:
        # the networks must not have read the row of real text
        some, left = parted(len(train), min(fewest, len(train) // 2), Purpose.REAL_ROW, seed)
        real = train[some]
        return Parts(references, train[left], real, "training text", alone=real)
    if other is not None and train is None and len(other) >= 2 * FEWEST_TO_TRAIN:
        some, left = parted(len(other), len(other) // 2, Purpose.REAL_ROW, seed)
        real = other[some]
        origin = "half of the other text"
        return Parts(references, other[left], real, origin, "real", alone=real)
    if other is None and train is None and len(references) >= 3 * FEWEST_TO_TRAIN:
        own, left = parted(len(references), len(references) // 3, Purpose.REAL_ROW, seed)
        facing, last = parted(len(left), len(left) // 2, Purpose.NETWORK_PART, seed)
        return Parts(
            references[left[facing]],
            references[left[last]],
            references[own],
            "a third of the references",
            "references",
            own,
            references,
        )
    if other is None and train is None and len(references) >= 4:
        own, left = parted(len(references), len(references) // 2, Purpose.REAL_ROW, seed)
        return Parts(
            references[left],
            None,
            references[own],
            "half of the references",
            own=own,
            alone=references,
        )
    return Parts(references, train, other, alone=other)
