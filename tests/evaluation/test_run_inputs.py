"""The rows of runs, and of files beside them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dialogues import chained, dialogues, written
from evaluated import spelt
from toys import PAIRS, TOY, TOY_TEXT, toy_text

import textgan
from textgan.core.errors import UserError
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.text import Text
from textgan.data.tokenizers import UNKNOWN
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.run_inputs import Writer, _Drawn, inputs_from_run
from textgan.models.beam import BeamSearch
from textgan.models.tempering import FittedJoint, JointTemperature, Mixture
from textgan.training.results import final_table
from textgan.training.run import open_run

OPTIONS = EvaluationOptions()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An oracle's run, and one on text of which some words are unknown."""
    home = tmp_path_factory.mktemp("runs")
    textgan.train("seqgan", out=home / "oracle", quiet=True, plot=False, **TOY)
    file = toy_text(home)
    settings = TOY_TEXT | {"data.vocabulary": 7, "data.test": 0.3}
    textgan.train("seqgan", data=file, out=home / "text", quiet=True, plot=False, **settings)
    return {"oracle": home / "oracle", "text": home / "text"}


def test_a_run_against_an_oracle_has_fresh_real_text(folders: dict[str, Path]) -> None:
    run = open_run(folders["oracle"])
    layout = inputs_from_run(run, OPTIONS, samples=50)
    assert list(layout.rows) == ["oracle", "MLE, best epoch", "seqgan, last"]
    oracle, mle, last = layout.rows.values()
    assert layout.real == "oracle"
    assert [len(row.predictions) for row in layout.rows.values()] == [50, 50, 50]
    assert {len(row.paired_sample) for row in layout.rows.values()} == {
        40
    }  # as many as are held out
    assert {len(row.sample) for row in layout.rows.values()} == {50}
    assert oracle.models is not None and oracle.models.generator is run.oracle
    assert mle.models is not None and last.models is not None
    assert mle.models.generator is not last.models.generator
    assert last.lines[0] == " ".join(map(str, last.predictions[:1].tolist()[0]))
    assert torch.equal(last.models.drawn.tokens.flatten(), last.predictions.words)
    assert not set(oracle.lines) & set(run.corpus.decode(run.corpus.train))
    same_seed = replace(OPTIONS, seed=run.config.oracle.seed + 1)  # as the training text's
    fresh = inputs_from_run(run, same_seed, samples=50).rows["oracle"]
    assert not set(fresh.lines) & set(run.corpus.decode(run.corpus.train))
    again = inputs_from_run(run, OPTIONS, samples=50).rows["seqgan, last"]
    assert again.predictions.digest() == last.predictions.digest()
    cold = inputs_from_run(run, OPTIONS, samples=50, temperature=0.1, with_real=False)
    assert cold.real is None
    assert cold.rows["seqgan, last"].predictions.digest() != last.predictions.digest()


def test_texts_of_a_run_never_hold_the_unknown_word(folders: dict[str, Path]) -> None:
    run = open_run(folders["text"])
    assert run.corpus.tokenizer.special
    layout = inputs_from_run(run, OPTIONS, samples=300)
    real, _, last = layout.rows.values()
    assert layout.real == "real, held out"
    assert last.models is not None
    assert bool((last.models.drawn.tokens == UNKNOWN).any())  # as the generator draws them
    assert not any(UNKNOWN_WORD in line.split() for line in last.lines)
    words = [" ".join(words) for words in last.words(last.predictions)]
    assert words == last.lines
    assert spelt(real, real.references) == run.corpus.decode(run.corpus.test)
    assert spelt(real, real.predictions) == run.corpus.decode(run.corpus.valid)
    assert any("of the references' words are <unk>" in warning for warning in layout.warnings)


def test_texts_of_a_joint_temperature_are_written_and_scored_alike(
    folders: dict[str, Path],
) -> None:
    """The unknown word is not written, but has its share of the likelihoods."""
    layout = inputs_from_run(
        open_run(folders["text"]), OPTIONS, samples=50, temperature=JointTemperature(0.9)
    )
    row = layout.rows["seqgan, last"]
    assert row.models is not None and row.models.copies is not None
    assert isinstance(row.models.temperature, FittedJoint)
    assert (row.models.drawn.tokens == UNKNOWN).any()
    assert len(row.lines) == 50 and not any(UNKNOWN_WORD in line for line in row.lines)
    assert layout.facts["temperature"] == "joint 0.9"
    run = open_run(folders["oracle"])
    texts = torch.randint(2, 20, (50, 6))
    fitted = FittedJoint(temperature=0.5, log_z=0.0, error=0.1, effective=40.0, proposals=400)
    drawn = _Drawn(Writer("mle", run.build_generator()), Text.full(texts), Text.full(texts), fitted)
    [warning] = drawn.warnings()
    assert "50 texts of joint 0.5 were resampled from 400, which are worth 40" in warning
    assert not replace(drawn, temperature=replace(fitted, effective=50.0)).warnings()


def test_a_joint_temperature_is_refused_where_each_source_has_a_normaliser(pairs: Path) -> None:
    with pytest.raises(UserError, match="has sources, each of which has a joint temperature's"):
        inputs_from_run(open_run(pairs), OPTIONS, samples=20, temperature=JointTemperature(0.9))
    layout = inputs_from_run(
        open_run(pairs), OPTIONS, samples=20, temperature=Mixture((1.0, 0.5), (0.5, 0.5))
    )
    assert all(row.sources is not None for row in layout.rows.values())


def test_files_are_split_as_the_run_is_beside_which_they_are_measured(tmp_path: Path) -> None:
    settings = TOY_TEXT | {"data.tokens": "char"}
    data = toy_text(tmp_path)
    textgan.train("seqgan", data=data, out=tmp_path / "run", quiet=True, plot=False, **settings)
    run, lines = open_run(tmp_path / "run"), ["a cat", "<unk> q"]
    assert " " in run.corpus.tokenizer.words
    row = inputs_from_run(run, OPTIONS, samples=9, others=[lines]).rows["texts"]
    assert row.words(row.predictions) == [["a", " ", "c", "a", "t"], ["<unk>", " ", "q"]]


def test_a_run_may_be_split_as_files_are(folders: dict[str, Path]) -> None:
    run = open_run(folders["text"])
    layout = inputs_from_run(run, OPTIONS, samples=20, split="char")
    last = layout.rows["seqgan, last"]
    assert last.tokenizer.kind == "char"
    assert spelt(last, last.predictions) == [" ".join(line.replace(" ", "")) for line in last.lines]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on dialogues, of which some sources recur, divided by conversation."""
    home = tmp_path_factory.mktemp("pairs")
    talk = chained([[*one[:2], "yes", one[2], "yes", *one[3:]] for one in dialogues()])
    file = written(home, talk, "talk.tsv")
    run = home / "run"
    sizes = {"data.test": 0.4, "evaluation.final_samples": 10_000}
    textgan.train("mle", pairs=file, out=run, quiet=True, plot=False, **PAIRS | sizes)
    return run


def test_rows_answer_the_sources_of_the_test_part_in_their_order(pairs: Path) -> None:
    run = open_run(pairs)
    test = run.corpus.decode(run.corpus.test)
    inputs = inputs_from_run(run, OPTIONS, samples=10_000)
    real, mle, last = inputs.rows.values()
    assert inputs.facts["samples"] == len(test) and inputs.facts["decode"] == "sample"
    for row in (mle, last):
        assert row.sources is not None and row.source_tokenizer is not None
        asked = row.source_tokenizer.decode(row.sources.tolist())
        assert [f"{a}\t{b}" for a, b in zip(asked, row.aligned[0], strict=True)] == test
        # the references of a source are all that people answered to it
        for i, source in enumerate(asked):
            given = [side[i] for side in row.aligned if side[i] is not None]
            assert given[0] == row.aligned[0][i]
            assert sorted(given) == sorted(
                answer for answer, other in zip(row.aligned[0], asked, strict=True)
                if other == source
            )  # fmt: skip
        assert row.models is not None and len(row.models.drawn) == len(test)
        assert row.groups is not None
        assert len(set(row.groups.tolist())) == len(set(asked)) < len(asked)
    # people of the validation part answer other sources, and have no references
    assert real.sources is not None and real.source_tokenizer is not None
    of_valid = real.source_tokenizer.decode(real.sources.tolist())
    lines = zip(of_valid, real.lines, strict=True)
    assert [f"{a}\t{b}" for a, b in lines] == run.corpus.decode(run.corpus.valid)
    assert not real.aligned
    assert real.real_pairs is last.real_pairs


def test_what_follows_an_answer_belongs_to_it(pairs: Path) -> None:
    run = open_run(pairs)
    for split in (None, "whitespace"):
        inputs = inputs_from_run(run, OPTIONS, samples=10_000, split=split)  # type: ignore[arg-type]
        row = inputs.rows["mle, last"]
        human = row.real_pairs
        assert human is not None and human.following is not None
        after = [" ".join(words) for words in row.words(human.following)]
        answers = [" ".join(words) for words in row.words(human.answers)]
        assert any(after) and not all(after)
        for answer, other in zip(answers, after, strict=True):
            if other and answer.endswith("say1"):
                assert other == "yes"
            if other and answer.endswith("say2"):
                assert other == "yes"
    assert human.conversations is not None
    assert torch.equal(human.conversations, run.corpus.conversations["test"])
    assert inputs.rows["mle, last"].conversations is human.conversations
    of_real = next(iter(inputs.rows.values())).conversations
    assert of_real is not None and torch.equal(of_real, run.corpus.conversations["valid"])
    assert run.corpus.following["test"].rows.tolist() == [i for i, one in enumerate(after) if one]


def test_fewer_answers_are_to_sources_all_over_the_test_part(pairs: Path) -> None:
    run = open_run(pairs)
    whole = inputs_from_run(run, OPTIONS, samples=10_000).rows["mle, last"]
    few = inputs_from_run(run, OPTIONS, samples=7).rows["mle, last"]
    n = len(run.corpus.test)
    assert few.aligned[0] == [whole.aligned[0][i * n // 7] for i in range(7)]
    assert len(few.lines) == 7 and few.real_pairs is not None and len(few.real_pairs) == 7


def test_answers_are_searched_for_and_likelihoods_are_those_of_what_is_drawn(pairs: Path) -> None:
    run = open_run(pairs)
    sampled = inputs_from_run(run, OPTIONS, samples=10_000).rows["mle, last"]
    for width, name in ((1, "greedy"), (3, "beam 3, length penalty 1")):
        search = BeamSearch(width=width)
        inputs = inputs_from_run(run, replace(OPTIONS, search=search), samples=10_000)
        row = inputs.rows["mle, last"]
        assert inputs.facts["decode"] == name
        condition = run.corpus.test.condition
        best = search(run.load_generator(), condition).text  # type: ignore[arg-type]
        assert row.lines == run.corpus.tokenizer.decode(best.tolist())
        assert row.models is not None and sampled.models is not None
        assert torch.equal(row.models.drawn.tokens, sampled.models.drawn.tokens)
        # equal sources have equal answers
        assert row.groups is not None
        answers = set(zip(row.groups.tolist(), row.lines, strict=True))
        assert len(answers) == len(set(row.groups.tolist()))


def test_files_beside_a_run_answer_all_of_its_sources(pairs: Path) -> None:
    run = open_run(pairs)
    lines = [f"answer {i}" for i in range(len(run.corpus.test))]
    row = inputs_from_run(run, OPTIONS, samples=5, others=[lines]).rows["texts"]
    assert row.lines == [lines[i * len(lines) // 5] for i in range(5)]
    assert row.aligned
    with pytest.raises(UserError, match=r"has 3 texts, and .* give one for each, in their order"):
        inputs_from_run(run, OPTIONS, samples=5, others=[lines[:3]])


def test_an_oracle_answers_the_same_sources(tmp_path: Path) -> None:
    settings = {k: v for k, v in PAIRS.items() if not k.startswith("data")} | {
        k: v for k, v in TOY.items() if k.startswith("oracle")
    }
    settings |= {"oracle.source_length": 3}
    textgan.train("mle", out=tmp_path / "run", quiet=True, plot=False, **settings)
    run = open_run(tmp_path / "run")
    inputs = inputs_from_run(run, OPTIONS, samples=30)
    oracle, *others = inputs.rows.values()
    assert oracle.models is not None
    for row in (oracle, *others):
        assert row.sources is not None and row.models is not None and len(row.aligned[0]) == 30
        assert row.models.drawn.condition.source is not None
        asked = row.models.drawn.condition.source.tokens
        source = run.corpus.test.condition.require_source().tokens
        assert torch.equal(asked, source[torch.arange(30) * len(source) // 30])


def test_tables_say_how_many_sources_are_answered(pairs: Path) -> None:
    run = open_run(pairs)
    total = len(run.corpus.test)
    told: dict[str, Any] = {"metrics": "sacrebleu", "resamplings": 0, "quiet": True}
    made = textgan.evaluate(run, samples=10, decode="greedy", **told)
    assert f"10 of the {total} test sources are answered" in " ".join(str(made).split())
    assert made.facts["test_sources"] == total
    assert made.last["sacrebleu"].unit == "from 0 to 100"
    assert "are answered" not in str(textgan.evaluate(run, **told))
    [note] = final_table(run, samples=5, seed=0).footnotes()
    assert f"BLEU, from 0 to 100, is of greedy answers to 5 of the {total} test sources" in note
    table = final_table(run, samples=total, seed=0)
    assert "greedy answers to the test sources" in table.footnotes()[0]
    assert table.to_dict()["facts"]["test_sources"] == total
