"""The benchmark: what is measured and reported, and its command."""

import json
import math
from pathlib import Path

import pytest
import torch
from toys import Cli, refused

from textgan.bench import machine, timing
from textgan.bench.counting import COUNTED, Count, count, count_parts
from textgan.bench.machine import peak_memory
from textgan.bench.parts import PARTS, Sides, Work
from textgan.bench.setting import Axes, BenchSetting
from textgan.bench.timing import run_bench
from textgan.core.seeds import fork_rng

CPU = torch.device("cpu")
TINY = BenchSetting(
    vocabulary=12, length=5, embedding=4, hidden=4, batch=4, rollouts=2, sentences=10,
    sizes=(1, 3), counts=(3, 3),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PRODUCTS", {"cpu": (32, 64), "cuda": (256,)})
    monkeypatch.setattr("textgan.training.run.torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(("repeats", "scale"), [(1, 0.1), (3, 1.0)])
def test_report_has_every_part_and_consistent_figures(repeats: int, scale: float) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    report = run_bench(repeats, scale, TINY)
    assert torch.equal(torch.get_rng_state(), before)  # nobody's numbers depend on a benchmark
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {"machine", "setting", "scale", "repeats", "precision", "parts", "counts"} <= set(found)
    assert (found["repeats"], found["scale"], found["precision"]) == (repeats, scale, "float32")
    assert found["setting"] == json.loads(json.dumps(vars(TINY)))
    n, m = (4, 1) if scale < 1 else (10, 2)  # a batch and a rollout at least
    amounts = {part["name"]: part["amount"] for part in found["parts"]}
    assert amounts == {
        "sampling": n,
        "rollouts": m * 4 * 4,
        "scoring": m * 4 * 4,
        "policy_update": 4,
        "generator_step": m * 4 * 4,
        "mle_epoch": n,
        "discriminator_epoch": 2 * n,
        "evaluation": n,
        "bleu": n,
    }
    assert tuple(amounts) == PARTS
    done = 4 if n > 4 else None
    assert [part["textbook_amount"] for part in found["parts"]] == [None] * 8 + [done]
    assert ("the textbook did 4 of 10, one by one" in str(report)) == (n == 10)
    peak = found["machine"]["gflops"]
    assert peak == max(found["machine"]["gflops_by_size"].values()) > 0
    for part in found["parts"]:
        assert part["seconds"] > 0 and part["textbook_seconds"] > 0
        assert part["ratio"] == part["textbook_seconds"] / part["seconds"]
        assert part["per_second"] == part["amount"] / part["seconds"]
        assert part["whole"] == part["amount"] * (1 if scale == 1 else found_whole(part["name"], n))
        assert part["name"] in str(report)
        if part["name"] == "bleu":
            assert part["flop"] is part["gflops"] is part["share_of_peak"] is None
        else:
            assert part["gflops"] == part["flop"] / part["seconds"] / 1e9
            assert part["share_of_peak"] == part["gflops"] / peak
    assert found["machine"]["threads"] >= 1
    assert found["machine"]["processor"] and found["machine"]["processor"] in str(report)
    assert ("only for a quick look" in str(report)) == (scale < 1)
    for side in ("ours", "textbook"):
        assert 0 < found["projections"][side]["round"] < found["projections"][side]["run"]


def found_whole(name: str, sentences: int) -> float:
    """How much more of a part there is at scale 1."""
    if name in ("rollouts", "scoring", "generator_step"):
        return 2
    return 1 if name == "policy_update" else 10 / sentences


def test_medians_and_order_of_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats alternate which side goes first, and the reported figure is the median."""
    clock = iter([1.0, 10.0, 30.0, 2.0, 6.0, 20.0])  # ours 1, 2, 6; textbook 10, 30, 20
    done: list[str] = []
    work = Work("w", "x", 6, lambda: done.append("ours"), lambda: done.append("textbook"), 12)

    def seconds(do, device):  # type: ignore[no-untyped-def]
        do()
        return next(clock)

    monkeypatch.setattr(timing, "seconds", seconds)
    monkeypatch.setattr(timing, "peak_memory", lambda *_: 77)
    (part,) = timing.time_parts([work], {"w": 12}, 3, CPU)
    assert done == ["ours", "textbook", "textbook", "ours", "ours", "textbook"]
    assert (part.seconds, part.textbook_seconds, part.ratio, part.per_second) == (2, 20, 10, 3)
    assert (part.flop, part.memory, part.whole, part.gflops) == (12, 77, 12, 6e-9)


def test_what_the_textbook_does_in_part_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 10.0])
    work = Work("w", "x", 600, lambda: None, lambda: None, None, 4)
    monkeypatch.setattr(timing, "seconds", lambda *_: next(clock))
    (part,) = timing.time_parts([work], {"w": 600}, 1, CPU)
    assert (part.seconds, part.textbook_seconds, part.ratio) == (1, 1500, 1500)
    assert (part.amount, part.textbook_amount, part.per_second) == (600, 4, 600)
    assert part.gflops is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux resets its maximum")
def test_peak_memory_is_that_of_one_time() -> None:
    size = 2**25

    def most(n: int) -> int:
        found = peak_memory(lambda: torch.ones(n // 4), CPU)
        assert found is not None
        return found

    before, large, after = most(size // 8), most(size), most(size // 8)
    assert 0.9 * size < large < 1.6 * size
    assert after < 0.5 * size, "an earlier maximum is not this one's"
    assert before < 0.5 * size


def test_peak_memory_is_unknown_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    done: list[int] = []
    monkeypatch.setattr(Path, "write_text", refuse)
    assert peak_memory(lambda: done.append(1), CPU) is None
    assert done == [1]


def test_counts_are_exact() -> None:
    torch.manual_seed(1)
    first = count_parts(CPU, setting=TINY)
    torch.manual_seed(2)
    torch.rand(3)
    assert count_parts(CPU, setting=TINY) == first
    assert [made.name for made in first] == list(PARTS)
    assert all(made.operators > 0 and made.bytes > 0 for made in first)
    (alone,) = count_parts(CPU, "float32", ["scoring"], TINY)
    assert alone in first
    assert [made.name for made in first if not made.flop] == ["bleu"]
    # the state that optimisers make in their first step is none of it
    with fork_rng(0, CPU):
        (work,) = Sides.make(TINY, CPU, "float32").work(10, 2, ["mle_epoch"])
        fresh, usual = count(work), count(work)
    assert usual in first and fresh.bytes > usual.bytes
    assert COUNTED.rollouts * COUNTED.batch * COUNTED.length > COUNTED.vocabulary / 2


def test_counting_sees_operators_and_new_memory() -> None:
    a, b = torch.rand(3, 4), torch.rand(4, 5)

    def do() -> None:
        c = a @ b  # 60 bytes, 120 FLOP
        c.add_(1)
        c.view(-1).t()
        torch.mm(a, b, out=c)

    work = Work("w", "x", 1, do, lambda: None)
    found = count(work)
    assert found == Count("w", found.operators, 2 * 120, 60)
    assert 4 <= found.operators <= 6  # t of a vector is an operator or is not


def test_a_trace_of_each_part(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "traces"
    wanted = ["mle_epoch", "sampling"]
    report = run_bench(1, 1.0, TINY, parts=wanted, timed=False, traces=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["mle_epoch.json", "sampling.json"]
    for path in folder.iterdir():
        names = {event.get("name") for event in json.loads(path.read_text())["traceEvents"]}
        assert any(str(name).startswith("aten::") for name in names)
    backward = json.loads((folder / "mle_epoch.json").read_text())["traceEvents"]
    assert any("backward" in str(event.get("name")).lower() for event in backward)
    assert {hot.part for hot in report.hottest} == set(wanted)
    for part in wanted:
        shares = [hot.share for hot in report.hottest if hot.part == part]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.000001
    assert report.parts == [] and "aten::" in str(report)


def test_scaling_is_part_of_the_report() -> None:
    axes = Axes(TINY, (5, 6), (12, 14), ())
    report = run_bench(1, 1.0, TINY, parts=["sampling"], timed=False, axes=axes)
    assert [(growth.axis, growth.part) for growth in report.growths] == [
        ("length", "sampling"),
        ("vocabulary", "sampling"),
    ]
    assert len(json.loads(json.dumps(report.to_dict(), allow_nan=False))["growths"]) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--parts", "sampling,rollout"], "no part 'rollout'; known: sampling, rollouts, scoring"),
        (["--parts", ","], "parts = ',': give at least one name"),
        (["--precision", "fp8"], "precision = 'fp8': give float32, tf32 or bf16"),
        (["--precision", "tf32"], "float32"),
        (["--scale", "nan"], "--scale"),
        (["--tolerance", "1"], "tolerance = 1.0: give a share"),
        (["--tolerance", "nan"], "tolerance = nan"),
    ],
)
def test_what_cannot_be_had_is_refused(arguments: list[str], expected: str, cli: Cli) -> None:
    assert expected in refused(cli, "bench", *arguments)


def test_a_profile_needs_a_folder(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "--profile = " in refused(cli, "bench", "--profile", wrong)


def test_counts_take_no_time(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setattr(timing, "time_parts", None)
    code, out, _ = cli("bench", "--counts", "--parts", "bleu")
    assert code == 0
    assert "operators" in out and "seconds" not in out
    code, out, _ = cli("bench", "--counts", "--json", "--parts", "bleu")
    found = json.loads(out)
    assert found["parts"] == [] and [made["name"] for made in found["counts"]] == ["bleu"]
    assert found["projections"]["ours"] == {"round": None, "run": None}
    assert math.isfinite(found["machine"]["gflops"])
