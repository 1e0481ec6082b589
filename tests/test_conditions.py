"""What texts are written for: classes and sources, from the data to the last number.

A tiny sequence-to-sequence generator, whose law given each source is written down, is drawn from,
rolled out, scored, trained, stored and evaluated like any other.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import seq2seq
import torch
from answers import answering, ids
from seq2seq import Attention
from toys import Cli, stop_when
from worlds import (
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    exact_values,
    probabilities,
    random_rewards,
    reward_of,
    same,
    small_generator,
)

import textgan
from textgan.core.errors import Interrupted
from textgan.core.tensors import load_tensors, under_prefix
from textgan.data.corpus import Corpus
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.data.tokenizers import WordTokenizer
from textgan.models.draw import draw_texts
from textgan.models.likelihood import nll_per_token, uniform_nll
from textgan.models.rollout import rollout_values
from textgan.training import run as runs
from textgan.training.run import open_run


def test_what_is_lacking_is_said() -> None:
    with pytest.raises(ValueError, match="texts of 3 classes need labels"):
        UNCONDITIONAL.require_labels(3)
    with pytest.raises(ValueError, match="need one"):
        answering().sample(2)
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="twice"):
        small_generator(replace(VARIABLE, classes=2)).sample(
            2, condition=Condition(labels), labels=labels
        )


def test_an_old_start_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"Old.start .* write start\(self, n, condition\)"):

        class Old(Attention):
            def start(self, n, source=None, labels=None):  # type: ignore[no-untyped-def, override]
                return ()


@ids
def test_any_ids_may_begin_end_and_pad_a_text(space: TextSpace) -> None:
    texts, generator = enumerate_texts(space), small_generator(space)
    chances = probabilities(generator, texts)
    assert same(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    sample = draw_texts(generator, 5000)
    assert agree(counts_of(sample, space), chances)
    assert (sample.tokens[~sample.mask] == space.pad).all()
    rewards = random_rewards(space)
    torch.manual_seed(0)
    result = rollout_values(generator, texts, reward_of(space, rewards), 4000)
    assert same(result, exact_values(generator, texts, rewards), 0.05)
    expected = 1 / (space.vocabulary - len(space.unwritten))
    assert uniform_nll(space) == pytest.approx(-torch.tensor(expected).log().item())


WORDS = ("no", "yes", "maybe", "never", "always")


def pairs() -> Corpus:
    """A corpus whose answers repeat the word that their source begins with."""
    asks, tells = WordTokenizer(WORDS, length=3), WordTokenizer(WORDS[:4], length=4)
    lines = [(WORDS[i % 4], WORDS[(i // 4) % 5]) for i in range(60)]
    source = asks([" ".join(line) for line in lines]).pad_to(3)
    answers = tells([" ".join([line[0]] * (1 + i % 2)) for i, line in enumerate(lines)]).pad_to(4)
    whole = replace(answers, condition=Condition(source=source))
    facts = {"source": "pairs", "sentences": 60, "split": {"train": 30, "valid": 15, "test": 15}}
    facts |= {"vocabulary": len(tells), "length": 4}
    parts = whole[:30], whole[30:45], whole[45:]
    space = replace(tells.space, source=asks.space)
    return Corpus("pairs", space, *parts, tells, facts, source_tokenizer=asks)


TOLD: dict[str, Any] = {
    "seed": 1,
    "data.file": "pairs.tsv",
    "generator": f"{seq2seq.__file__}:Attention",
    "generator.hidden": 6,
    "generator.init": 0.3,
    "discriminator.sizes": [1, 2],
    "discriminator.counts": [4, 4],
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 3,
    "schedule.discriminator_turns": 1,
    "schedule.rounds": 1,
    "schedule.d_steps": 1,
    "schedule.k": 1,
    "evaluation.samples": 20,
    "evaluation.final_samples": 30,
    "evaluation.bootstrap": 100,
}


def train_pairs(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "make_corpus", lambda config, quiet: (pairs(), None))
        textgan.train("seqgan", out=folder, quiet=True, **TOLD)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of sources and answers."""
    return train_pairs(tmp_path_factory.mktemp("pairs") / "run")


def test_sources_are_kept_in_the_run(folder: Path) -> None:
    run, corpus = open_run(folder, trust_code=True), pairs()
    assert run.corpus.space == corpus.space
    assert run.corpus.source_tokenizer == corpus.source_tokenizer
    for ours, theirs in ((run.corpus.train, corpus.train), (run.corpus.test, corpus.test)):
        assert ours.source is not None and theirs.source is not None
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.equal(ours.source.tokens, theirs.source.tokens)
        assert torch.equal(ours.source.lengths, theirs.source.lengths)
    assert run.corpus.decode(run.corpus.train[:2]) == ["no no\tno", "yes no\tyes yes"]


def test_a_generator_of_answers_is_sampled_and_evaluated(folder: Path, cli: Cli) -> None:
    run = open_run(folder, trust_code=True)
    lines = (folder / "samples.txt").read_text().splitlines()
    known = {line.split("\t")[0] for line in run.corpus.decode(run.corpus.test)}
    assert {line.split("\t")[0] for line in lines} <= known
    code, out, error = cli("sample", folder, "-n", 5, "--trust-code")
    assert code == 0, error
    assert all("\t" in line for line in out.splitlines()[:5])
    nll = nll_per_token(run.load_generator(), run.corpus.test).value  # type: ignore[arg-type]
    scores = textgan.evaluate(
        folder, metrics=["likelihood", "bleu"], trust_code=True, quiet=True, samples=30
    )
    assert f"{nll:.3f}" in str(scores)


def test_training_that_stops_goes_on_with_its_sources(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_when(patch, lambda state: state.done == 14)
        with pytest.raises(Interrupted):
            train_pairs(tmp_path / "halved")
    textgan.resume(tmp_path / "halved", quiet=True, trust_code=True)
    whole, halved = (open_run(path, trust_code=True) for path in (folder, tmp_path / "halved"))
    ours, theirs = whole.load_generator().state_dict(), halved.load_generator().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_sources_that_are_no_texts_of_their_space_are_refused(folder: Path) -> None:
    tensors, facts = load_tensors(folder / "data.safetensors")
    tensors["test.source.tokens"][0, 0] = 99
    with pytest.raises(ValueError, match="test source texts"):
        runs.check_texts(
            "test",
            Text.from_tensors(under_prefix("test", tensors)),
            TextSpace.from_dict(facts["space"]),
            0,
        )
