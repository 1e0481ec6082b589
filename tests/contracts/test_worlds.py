"""The tiny worlds in which parts are tried."""

from pathlib import Path
from typing import Any

import pytest

from textgan.contracts.outcome import Broken
from textgan.contracts.worlds import Trial, World, begin, resumes_exactly, sentences, steps_of
from textgan.core.names import Kind
from textgan.objectives.reinforce import Reinforce


def test_sentences_have_one_to_six_words_and_labels_that_take_turns() -> None:
    lines = sentences(12)
    assert [len(line.split()) for line in lines] == [1, 2, 3, 4, 5, 6] * 2
    labelled = [line.split("\t") for line in sentences(12, labelled=True)]
    assert [line for _, line in labelled] == lines
    assert [label for label, _ in labelled] == ["bad", "good"] * 6


def test_runs_of_a_trial_are_of_its_worlds(tmp_path: Path) -> None:
    trial = Trial(tmp_path, {"objective": "reinforce"}, {"objective.l2": 0.5})
    fixed, variable, labelled = (trial.run(world) for world in ("fixed", "variable", "labelled"))
    assert fixed.corpus.space.eos is None
    assert variable.corpus.space.eos is not None and not variable.corpus.space.classes
    assert labelled.corpus.space.classes == 2
    assert len({run.folder for run in (fixed, variable, labelled)}) == 3
    assert trial.one is trial.one
    changed = trial.config(schedule__rounds=7)
    assert changed.schedule.rounds == 7
    assert changed.objective.settings["l2"] == 0.5
    steps = steps_of(fixed, begin(fixed))
    assert steps and not any(step.do == "tick" for step in steps)


def test_texts_of_a_trial_may_answer_sources(tmp_path: Path) -> None:
    parts: dict[Kind, str] = {
        "objective": "reinforce", "generator": "attention", "discriminator": "hierarchical",
    }  # fmt: skip
    trial = Trial(tmp_path, parts, has_source=True)
    worlds: tuple[World, ...] = ("fixed", "variable", "labelled")
    for world in worlds:
        corpus = trial.run(world).corpus
        assert corpus.space.source is not None
        assert corpus.train.source is not None
        assert corpus.space.classes == (2 if world == "labelled" else 0)
        lengths = corpus.train.source.lengths.unique()
        assert (len(lengths) == 1) == (world == "fixed")
        if world == "variable":  # some of two utterances
            turns = (corpus.train.source.tokens == corpus.space.source.turn).sum(1)
            assert turns.unique().tolist() == [0, 1]


def test_what_is_remembered_nowhere_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, {"objective": "reinforce"})
    assert resumes_exactly(trial).startswith("after each of ")
    really = Reinforce.generator_loss

    def remembering(self: Reinforce, *given: Any) -> Any:
        self.updates = getattr(self, "updates", 0) + 1  # type: ignore[attr-defined]
        loss, metrics = really(self, *given)
        return loss * self.updates, metrics  # type: ignore[attr-defined]

    monkeypatch.setattr(Reinforce, "generator_loss", remembering)
    with pytest.raises(Broken, match="what is remembered must be in state"):
        resumes_exactly(trial)
