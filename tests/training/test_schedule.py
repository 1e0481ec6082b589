from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from textgan.training.schedule import PHASE_NAMES, Schedule, Step, plan, pool_size

PHASES = tuple(PHASE_NAMES)

schedules = st.builds(
    Schedule,
    batch_size=st.integers(2, 9),
    mle_epochs=st.integers(0, 3),
    discriminator_turns=st.integers(0, 3),
    rounds=st.integers(0, 4),
    g_steps=st.integers(0, 3),
    d_steps=st.integers(0, 3),
    k=st.integers(1, 3),
    fakes=st.integers(0, 30),
    mle_steps=st.integers(0, 2),
    evaluate_every=st.integers(1, 3),
    pretraining_rounds=st.integers(1, 5),
    pretraining_first=st.sampled_from(["generator", "discriminator"]),
    warmup_rounds=st.integers(0, 3),
    warmup_every=st.integers(0, 3),
    warmup_d_steps=st.integers(0, 5),
)
sizes = st.integers(1, 40)


def test_the_papers_schedule() -> None:
    paper = Schedule(mle_epochs=120, discriminator_turns=50, rounds=200, d_steps=5, k=3, fakes=0)
    assert (paper.batch_size, paper.g_steps, paper.d_steps, paper.k) == (64, 1, 5, 3)
    counts = Counter((step.phase, step.do) for step in plan(paper, 10_000, adversary=True))
    assert counts == {
        ("mle", "mle"): 120 * 156,
        ("mle", "tick"): 120,
        ("discriminator", "fakes"): 50,
        ("discriminator", "discriminator"): 50 * 3 * 312,
        ("discriminator", "tick"): 50,
        ("adversarial", "generator"): 200,
        ("adversarial", "fakes"): 200 * 5,
        ("adversarial", "discriminator"): 200 * 5 * 3 * 312,
        ("adversarial", "tick"): 200,
    }
    trained = sum(
        count for (phase, do), count in counts.items() if phase == "adversarial" and do != "tick"
    )
    assert trained - 200 * 5 == 200 * (1 + 5 * 3 * 312)


def test_a_small_plan_step_by_step() -> None:
    schedule = Schedule(
        batch_size=4, mle_epochs=1, discriminator_turns=1, rounds=2, mle_steps=1, fakes=8
    )
    result = [(step.do, step.tick, step.number) for step in plan(schedule, 8, adversary=True)]
    turn = ["fakes", *["discriminator"] * 4]
    assert result == [
        *[(do, 1, 0) for do in ("mle", "mle", "tick")],
        *[(do, 2, 0) for do in (*turn, "tick")],
        *[(do, 3, 0) for do in ("generator", *turn, "mle", "tick")],
        *[(do, 4, 1) for do in ("generator", *turn, "mle", "tick")],
    ]


@given(schedules, sizes, st.booleans())
def test_counts_are_those_of_the_schedule(
    schedule: Schedule, sentences: int, adversary: bool
) -> None:
    batches = max(1, sentences // schedule.batch_size)
    epoch = max(1, 2 * (schedule.fakes or sentences) // schedule.batch_size)
    warm = sum(
        index < schedule.warmup_rounds
        or (schedule.warmup_every > 0 and (index + 1) % schedule.warmup_every == 0)
        for index in range(schedule.rounds)
    )
    turns = warm * schedule.warmup_d_steps + (schedule.rounds - warm) * schedule.d_steps
    turns = turns + schedule.discriminator_turns if adversary else 0
    ticks = schedule.mle_epochs + schedule.rounds
    ticks += schedule.discriminator_turns if adversary else 0
    counts = Counter(step.do for step in plan(schedule, sentences, adversary))
    assert counts["mle"] == schedule.mle_epochs * batches + schedule.rounds * schedule.mle_steps
    assert counts["generator"] == schedule.rounds * schedule.g_steps
    assert counts["fakes"] == turns
    assert counts["discriminator"] == turns * schedule.k * epoch
    assert counts["tick"] == ticks
    assert sum(counts.values()) == len(list(plan(schedule, sentences, adversary)))


@given(schedules, sizes, st.booleans())
def test_ticks_are_numbered_without_gaps_and_close_what_they_count(
    schedule: Schedule, sentences: int, adversary: bool
) -> None:
    steps = list(plan(schedule, sentences, adversary))
    groups = [list(group) for _, group in groupby(steps, lambda step: step.tick)]
    assert [group[0].tick for group in groups] == list(range(1, len(groups) + 1))
    for group in groups:
        assert [step.do == "tick" for step in group] == [False] * (len(group) - 1) + [True]
        assert len({(step.phase, step.number, step.progress) for step in group}) == 1
    for phase in PHASES:
        numbers = [group[0].number for group in groups if group[0].phase == phase]
        assert numbers == list(range(len(numbers)))
    order = [PHASES.index(step.phase) for step in steps]
    if schedule.pretraining_rounds == 1 and schedule.pretraining_first == "generator":
        assert order == sorted(order)
    adversarial = [phase == PHASES.index("adversarial") for phase in order]
    assert adversarial == sorted(adversarial)


def letters(schedule: Schedule) -> str:
    """A letter a tick: Mle epoch, Discriminator turn, or the number of turns of a round."""
    steps = list(plan(schedule, 8, adversary=True))
    turns = Counter(step.tick for step in steps if step.do == "fakes")
    names = {"mle": "m", "discriminator": "d"}
    return "".join(
        names.get(step.phase, str(turns[step.tick])) for step in steps if step.do == "tick"
    )


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ({"mle_epochs": 4, "discriminator_turns": 2}, "mmmmdd"),
        ({"mle_epochs": 4, "discriminator_turns": 2, "pretraining_rounds": 2}, "mmdmmd"),
        ({"mle_epochs": 5, "discriminator_turns": 1, "pretraining_rounds": 2}, "mmmmmd"),
        ({"mle_epochs": 5, "discriminator_turns": 3, "pretraining_rounds": 3}, "mdmmdmmd"),
        ({"mle_epochs": 2, "discriminator_turns": 1, "pretraining_rounds": 9}, "mmd"),
        ({"mle_epochs": 2, "discriminator_turns": 0, "pretraining_rounds": 2}, "mm"),
    ],
)
def test_pretraining_in_turn_letter_by_letter(settings: dict[str, int], right: str) -> None:
    usual: dict[str, int] = {"rounds": 0}
    assert letters(Schedule(**usual | settings)) == right
    other = Schedule(**usual | settings, pretraining_first="discriminator")
    parts = letters(other)
    assert Counter(parts) == Counter(right)
    if settings["discriminator_turns"] == settings.get("pretraining_rounds"):
        assert parts.startswith("d")


def test_leakgans_code_trains_ten_times_five_turns_and_eight_epochs() -> None:
    schedule = Schedule(
        mle_epochs=80, discriminator_turns=50, rounds=0,
        pretraining_rounds=10, pretraining_first="discriminator",
    )  # fmt: skip
    assert letters(schedule) == ("d" * 5 + "m" * 8) * 10


def test_wgans_code_warms_up_before_the_first_25_and_before_every_500th() -> None:
    schedule = Schedule(
        mle_epochs=0, discriminator_turns=100, rounds=1001, d_steps=5, fakes=1,
        warmup_rounds=24, warmup_every=500,
    )  # fmt: skip
    before: list[int] = []  # turns of the discriminator before each update of the generator
    turns = 0
    for step in plan(schedule, 8, adversary=True):
        turns += step.do == "fakes"
        if step.do == "generator":
            before.append(turns)
            turns = 0
    right = [100 if update < 25 or update % 500 == 0 else 5 for update in range(1001)]
    assert before == right


@given(schedules, sizes)
def test_fakes_are_drawn_before_the_discriminator_reads_them(
    schedule: Schedule, sentences: int
) -> None:
    tick_of_fakes = None
    for step in plan(schedule, sentences, adversary=True):
        if step.do == "fakes":
            tick_of_fakes = step.tick
        if step.do == "discriminator":
            assert tick_of_fakes == step.tick


@given(schedules, sizes)
def test_without_an_adversary_there_is_nothing_to_discriminate(
    schedule: Schedule, sentences: int
) -> None:
    steps = list(plan(schedule, sentences, adversary=False))
    assert not any(step.do in ("fakes", "discriminator") for step in steps)
    assert not any(step.phase == "discriminator" for step in steps)


@given(schedules, sizes)
def test_progress_runs_from_zero_towards_one(schedule: Schedule, sentences: int) -> None:
    for step in plan(schedule, sentences, adversary=True):
        if step.phase == "adversarial":
            assert step.progress == step.number / schedule.rounds
        else:
            assert step.progress == 0
        assert 0 <= step.progress < 1


@given(schedules, sizes, st.booleans())
def test_the_first_and_last_of_each_phase_are_evaluated(
    schedule: Schedule, sentences: int, adversary: bool
) -> None:
    ticks: dict[str, list[Step]] = {phase: [] for phase in PHASES}
    for step in plan(schedule, sentences, adversary):
        assert step.do == "tick" or not step.evaluate
        if step.do == "tick":
            ticks[step.phase].append(step)
    for phase in PHASES:
        result = [step.number for step in ticks[phase] if step.evaluate]
        every = set(range(0, len(ticks[phase]), schedule.evaluate_every))
        assert result == sorted(every | {step.number for step in ticks[phase][-1:]})


@given(schedules, sizes)
def test_a_plan_is_the_same_every_time(schedule: Schedule, sentences: int) -> None:
    # resuming skips the steps that are done
    assert list(plan(schedule, sentences, True)) == list(plan(schedule, sentences, True))


@pytest.mark.parametrize("fakes", [1, 5])
def test_a_corpus_smaller_than_a_batch_is_still_trained_on(fakes: int) -> None:
    schedule = Schedule(mle_epochs=2, discriminator_turns=1, rounds=0, fakes=fakes, k=2)
    counts = Counter(step.do for step in plan(schedule, 20, adversary=True))
    assert (counts["mle"], counts["discriminator"]) == (2, 2)


@pytest.mark.parametrize(
    "setting", [{"batch_size": 1}, {"k": 0}, {"rounds": -1}, {"evaluate_every": 0}, {"epochs": 3}]
)
def test_schedules_that_cannot_be_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        Schedule(**setting)


def test_a_discriminators_batch_may_have_a_size_of_its_own() -> None:
    same = Schedule(batch_size=8, fakes=40)
    wide = Schedule(batch_size=8, fakes=40, discriminator_batch=16)
    assert (same.discriminator_texts, wide.discriminator_texts) == (8, 16)
    assert count(same, 40) == {"mle": 5, "discriminator": 10}
    assert count(wide, 40) == {"mle": 5, "discriminator": 5}
    assert pool_size(Schedule(batch_size=8, fakes=1, discriminator_batch=16), 40) == 8


def count(schedule: Schedule, sentences: int) -> dict[str, int]:
    """Updates of an epoch, and of a turn."""
    steps = list(plan(schedule.model_copy(update={"mle_epochs": 1}), sentences, True))
    return {
        "mle": sum(step.do == "mle" for step in steps),
        "discriminator": sum(
            step.do == "discriminator" and step.phase == "discriminator" and step.number == 0
            for step in steps
        ),
    }
