"""The campaign of hostile cases: a small one passes, and it notices what it is there to notice."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign import campaign as whole
from tests.campaign.base import TINY, TINY_ORACLE, Runs
from tests.campaign.damage import Damage
from tests.campaign.inputs import evil
from tests.campaign.outcomes import FAILURES, Outcome, judge, notes
from tests.campaign.process import Finished, die_at, preload, run_command

GOOD = Finished(0, "1.234\n", "bar 3/4\n", 0.1)


@pytest.fixture(scope="module")
def kinds(pictures: None, tmp_path_factory: pytest.TempPathFactory):
    preload()
    runs = Runs(tmp_path_factory.mktemp("campaign") / "runs")
    return {kind.name: kind(runs) for kind in whole.KINDS}


@pytest.mark.parametrize("label", whole.labels(whole.KINDS, 20))
def test_a_small_campaign_has_no_failure(label: str, kinds) -> None:
    result = whole.run_case(kinds[label.partition(":")[0]], label, seed=1)
    assert result.outcome not in FAILURES, f"{result.description}\n{result.detail}"


def test_shares_decide_how_many_cases_of_each_kind_there_are() -> None:
    made = whole.labels(whole.KINDS, 1000)
    assert len(set(made)) == len(made) == pytest.approx(1000, abs=8)
    assert sum(label.startswith("damage:") for label in made) == pytest.approx(
        1000 * Damage.share / sum(kind.share for kind in whole.KINDS), abs=1
    )


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (GOOD, Outcome.NO_EFFECT),
        (Finished(0, "1.235\n", "bar 4/4\n", 0.1), Outcome.SILENT),
        (Finished(0, "1.235\n", "note: x.json was altered\n", 0.1), Outcome.SAID),
        (Finished(0, "1.235\nwarning: no MLE row\n", "", 0.1), Outcome.SAID),
        (Finished(2, "", "textgan: x is wrong; mend it\n", 0.1), Outcome.REFUSED),
        (Finished(2, "", "x is wrong\n", 0.1), Outcome.UNCLEAR),
        (Finished(1, "", "textgan: x is wrong; mend it\n", 0.1), Outcome.UNCLEAR),
        (Finished(1, "", "Traceback (most recent call last):\n", 0.1), Outcome.TRACEBACK),
        (Finished(0, "1.234\n", "Traceback (most recent call last):\n", 0.1), Outcome.TRACEBACK),
        (Finished(None, "", "", 30), Outcome.HANG),
        (Finished(-signal.SIGSEGV, "", "", 0.1), Outcome.UNCLEAR),
    ],
)
def test_ends_are_told_apart(ended: Finished, outcome: Outcome) -> None:
    assert judge(ended, GOOD) is outcome


def test_seconds_are_no_difference() -> None:
    before = Finished(0, "a\n0.1 s, peak memory 264 MiB; --json\n", "", 0.1)
    after = Finished(0, "a\n0.3 s, peak memory 11 MiB; --json\n", "", 0.1)
    assert judge(after, before) is Outcome.NO_EFFECT


def test_progress_is_no_note() -> None:
    assert notes("MLE: 3/4 [00:01<00:02]\rnote: odd\n", "/x") == {"note: odd"}


def sabotage(action: Callable[[], object]) -> Callable[[], None]:
    """Let `textgan list` do something else."""

    def before() -> None:
        from textgan.core import registry

        def act(kind: str) -> list[str]:
            action()
            return []

        registry.names = act  # type: ignore[assignment]

    return before


def test_a_traceback_a_hang_and_a_wrong_end_are_seen(tmp_path: Path) -> None:
    preload()
    ends = {
        Outcome.TRACEBACK: sabotage(lambda: 1 / 0),
        Outcome.HANG: sabotage(lambda: time.sleep(60)),
        Outcome.UNCLEAR: sabotage(lambda: os.kill(os.getpid(), signal.SIGSEGV)),
    }
    for outcome, before in ends.items():
        assert judge(run_command(["list"], tmp_path, limit=2, before=before)) is outcome


def test_code_in_a_folder_leaves_its_mark_when_it_runs(tmp_path: Path) -> None:
    preload()
    evil(tmp_path)
    assert not (tmp_path / "PWNED").exists()
    out = tmp_path / "run"
    run_command(["train", "evil.py:X", *TINY_ORACLE, *TINY, "--out", out], tmp_path)
    assert (tmp_path / "PWNED").exists()  # typed by the user, so trusted


def test_a_process_dies_at_the_change_of_a_file_that_was_asked_for(tmp_path: Path) -> None:
    def write() -> None:
        for number in range(5):
            (tmp_path / f"{number}.txt").write_text("x")
            (tmp_path / "elsewhere").exists()
        sys.exit(0)

    def before() -> None:
        die_at(3, tmp_path)()
        write()

    ended = run_command(["list"], tmp_path, before=before)
    assert ended.code == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "1.txt"]
