"""Pairs of a run's test part as its file has them."""

from pathlib import Path

import pytest
from dialogues import tsv, written
from toys import PAIRS, Cli

import textgan
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.settings import RunDataConfig
from textgan.evaluation.evaluate import evaluate
from textgan.training.originals import original_pairs
from textgan.training.run import Run, open_run

# rare words on both sides; the first two pairs of the test part are one to the run
LINES = [(f"say {'so ' * (i % 4)}rare{i}", f"so {'say ' * (i % 3)}odd{i}") for i in range(60)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("pairs")
    test = [("say new0", "so so new0"), ("say  new1", "so so new1"), ("say so new2", "so new2")]
    settings = PAIRS | {
        "data.pairs": str(tsv(home, LINES)),
        "data.test_file": str(tsv(home, test, "test.tsv")),
        "data.min_count": 2,
    }
    textgan.train("mle", out=home / "run", quiet=True, plot=False, **settings)
    return open_run(home / "run")


def path_of_test(run: Run) -> Path:
    data = run.config.data
    assert isinstance(data, RunDataConfig)
    return Path(data.test_file)


def test_rare_words_are_those_of_the_file_where_one_pair_alone_can_be_meant(run: Run) -> None:
    pairs = original_pairs(run, [2, 0, 1])
    assert pairs[0] == ("say so new2", "so new2")
    for source, target in pairs[1:]:
        assert UNKNOWN_WORD in source and UNKNOWN_WORD in target
    assert original_pairs(run, []) == []


def test_a_file_that_has_changed_or_is_gone_says_nothing(run: Run) -> None:
    path = path_of_test(run)
    before = path.read_text("utf-8")
    try:
        for content in (before + "more\tlines\n", "no pairs\n", None):
            path.unlink() if content is None else written(path.parent, content, path.name)
            [(source, target)] = original_pairs(run, [2])
            assert (source, target) == (f"say so {UNKNOWN_WORD}", f"so {UNKNOWN_WORD}")
    finally:
        path.write_text(before, "utf-8")


def test_people_read_them_beside_what_was_written(run: Run, cli: Cli) -> None:
    for how in ([], ["--greedy"], ["--beam", 2]):
        code, out, err = cli("sample", run.folder, "-n", 30, *how)
        assert code == 0, err
        lines = [line.split("\t") for line in out.splitlines()]
        assert all(len(columns) == 3 for columns in lines) and len(lines) == 30
        known = {(source, reference) for source, _, reference in lines}
        assert ("say so new2", "so new2") in known and len(known) == 2
        assert not any(UNKNOWN_WORD in text for _, text, _ in lines)
    made = evaluate(run, metrics="unique", quiet=True)
    [*_, example] = made.facts["examples"]["mle, last"]
    assert (example["source"], example["reference"]) == ("say so new2", "so new2")
