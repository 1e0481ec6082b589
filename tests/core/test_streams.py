"""Random streams: every seed is a hash of a purpose, and nothing shares numbers with anything."""

import ast
import json
import math
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import ROOT
from toys import TOY, Cli, small_parts

import textgan
from textgan.core.log import read_records
from textgan.core.streams import OldSeed, Purpose, stream
from textgan.models.oracle import make_oracle
from textgan.training.config import make_config
from textgan.training.results import read_results
from textgan.training.run import create_run, open_run
from textgan.training.state import TrainingState

OLD = ROOT / "tests/old_runs/added_seeds"  # seqgan, two shards, generator dropout, half way
LOW = 2**32  # torch's generator of a processor reads no more of a seed


def every_seed() -> list[int]:
    """Those of all purposes with nearby seeds and steps, and the seeds as a user gives them."""
    made = [
        stream(purpose, seed, *steps)
        for purpose in Purpose
        for seed in range(6)
        for steps in ((), (0,), (1,), (0, 1), (1, 0))
    ]
    return [*made, *range(50)]


def test_no_two_streams_begin_alike() -> None:
    seeds = every_seed()
    assert len({seed % LOW for seed in seeds}) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    by_torch, by_numpy = set(), set()
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        by_torch.add(tuple(torch.rand(2, generator=generator, dtype=torch.float64).tolist()))
        by_numpy.add(tuple(np.random.default_rng(seed).random(2).tolist()))
    assert len(by_torch) == len(by_numpy) == len(seeds)


def test_streams_do_not_run_into_each_other() -> None:
    """A stream that began later in another would repeat its numbers from there."""
    length, together = 200, set()
    seeds = [stream(purpose, seed) for purpose in Purpose for seed in range(3)]
    for seed in seeds:
        drawn = torch.randint(2**62, (length,), generator=torch.Generator().manual_seed(seed))
        together |= set(drawn.tolist())
    assert len(together) == len(seeds) * length


def test_a_torch_seed_is_its_lowest_32_bits() -> None:
    """So adding 2**40 to a seed, as the first version did, changes nothing."""
    first, second = (torch.Generator().manual_seed(seed) for seed in (1, 2**40 + 1))
    assert torch.equal(torch.rand(9, generator=first), torch.rand(9, generator=second))


def test_streams_stay_what_they_are() -> None:
    """Their numbers are in runs that go on: a purpose may be added, but not called otherwise."""
    assert stream(Purpose.BOOTSTRAP, 0) == 9155469414863851404
    assert stream(Purpose.SHARD_LOSS, 2**63 - 1, 7, 3) == 890912056381591173
    assert stream(Purpose.MONITOR, 1, 23) != stream(Purpose.MONITOR, 12, 3)


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ("textgan", "experiments"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


MAKERS = {"manual_seed", "manual_seed_all", "fork_rng", "default_rng", "SeedSequence"}
MAKERS |= {"RandomState", "Random", "PCG64", "Philox", "MT19937", "seed", "draw_like"}
MAKERS |= {"answers", "draw_measured"}
STREAMS = "textgan/core/streams.py"
# (file, argument) of those that need no stream, and why
ALLOWED = {
    ("textgan/core/seeds.py", "seed"),  # `fork_rng` itself, whose callers are looked at
    ("textgan/models/draw.py", "seed"),  # `draw_like` itself, likewise
    (
        "textgan/training/measure.py",
        "seed",
    ),  # `draw_measured`, likewise; greedy answers draw nothing
    ("experiments/matching_pairs.py", "0"),  # all that it draws is of this one
    ("textgan/models/oracle.py", "seed"),  # names the oracle
    (
        "textgan/data/batches.py",
        "[self.seed, turn]",
    ),  # Batches is given a stream, and mixes the turn in
    ("textgan/metrics/dialogue.py", "seed"),  # of an evaluator: `accuracies` gives it a stream
    ("textgan/losses.py", "int(seed)"),  # of a penalty's lines: drawn, then hashed on
}


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_seed_is_a_stream() -> None:
    """What a generator of random numbers is given is stream(...), or drawn from one."""
    allowed, seen = set(), 0
    for path, tree in sources():
        if str(path) == STREAMS:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or called(node) not in MAKERS:
                continue
            if ast.unparse(node.func) == "torch.random.fork_rng":  # keeps the state, seeds nothing
                continue
            assert node.args, f"{path}:{node.lineno}: drawn from the clock"
            argument = next((one.value for one in node.keywords if one.arg == "seed"), node.args[0])
            seen += 1
            whole = ast.unparse(argument)
            if (str(path), whole) in ALLOWED:
                allowed.add((str(path), whole))
                continue
            made = isinstance(argument, ast.Call) and called(argument) in ("stream", "draw_seed")
            kept = whole in ("once", "shard_stream")  # one of draw_seed, one of stream
            assert made or kept, f"{path}:{node.lineno}: {whole} is no stream"
    assert allowed == ALLOWED
    assert seen > 30


def test_no_seed_is_made_by_arithmetic() -> None:
    for path, tree in sources():
        if str(path) == STREAMS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp):
                sides = [ast.unparse(side) for side in (node.left, node.right)]
                wrong = any(side.endswith("seed") for side in sides)
                assert not wrong, f"{path}:{node.lineno}: {ast.unparse(node)}"


class Recorder:
    """Every seed that is given to torch or numpy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seeds: set[int] = set()
        torch_seed, numpy_rng = torch.manual_seed, np.random.default_rng

        def manual_seed(seed: int) -> torch.Generator:
            self.seeds.add(seed % LOW)
            return torch_seed(seed)

        def default_rng(seed: Any) -> np.random.Generator:
            self.seeds.add(seed % LOW if isinstance(seed, int) else tuple(seed))
            return numpy_rng(seed)

        monkeypatch.setattr(torch, "manual_seed", manual_seed)
        monkeypatch.setattr(np.random, "default_rng", default_rng)

    def during(self, work: Any) -> set[int]:
        self.seeds = set()
        work()
        return self.seeds


def test_runs_share_no_seed_with_each_other_nor_with_their_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    recorder = Recorder(monkeypatch)
    used: dict[str, set[int]] = {}
    for seed in (0, 1, 2):
        config = make_config("seqgan", TOY | {"seed": seed})
        run = tmp_path / f"{seed}"
        used[f"data of {seed}"] = recorder.during(lambda c=config, run=run: create_run(c, run))
        used[f"run {seed}"] = recorder.during(
            lambda run=run: textgan.resume(run, quiet=True, plot=False)
        )
        used[f"sample of {seed}"] = recorder.during(lambda run=run: cli("sample", run, "--seed", 1))
    assert used["data of 0"] == used["data of 1"] == used["data of 2"]  # of one oracle
    data = used.pop("data of 0")
    del used["data of 1"], used["data of 2"]
    assert len(data) >= 4
    for one, other in combinations(used.values(), 2):
        assert len(one) and not one & other
    shared = {name: seeds & data for name, seeds in used.items()}
    assert not any(shared.values()), shared


def test_evaluations_share_what_is_paired_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 1):
        textgan.train(
            "seqgan", out=tmp_path / f"{seed}", quiet=True, plot=False, **TOY | {"seed": seed}
        )
    recorder = Recorder(monkeypatch)

    def seeds(run: int, seed: int) -> set[int]:
        settings: dict[str, Any] = {
            "metrics": ["likelihood", "unique"],
            "seed": seed,
            "quiet": True,
        }
        return recorder.during(lambda: textgan.evaluate(tmp_path / f"{run}", **settings))

    first, second, other = seeds(0, 0), seeds(1, 0), seeds(0, 1)
    # those of the final table
    texts = {stream(Purpose.MEASURED, stream(Purpose.FINAL_TEXTS, run)) % LOW for run in (0, 1)}
    assert first ^ second == texts  # the resamplings are those of the differences
    assert stream(Purpose.BOOTSTRAP, 0, 0) % LOW in first & second
    assert not first & other


def test_a_generator_does_not_begin_as_its_oracle(tmp_path: Path) -> None:
    """By addition, run 0 began with a tenth of the very weights of oracle 0."""
    settings = TOY | {"seed": 0, "oracle.embedding": 8, "generator.embedding": 8}
    here = TrainingState(create_run(make_config("seqgan", settings), tmp_path / "run"))
    truth = make_oracle(20, 6, 8, 8, 0)
    own: Any = here.generator
    for theirs, ours in zip(truth.parameters(), own.parameters(), strict=True):
        if theirs.dim() == 2:
            pair = torch.stack([theirs.detach().flatten(), ours.detach().flatten()])
            assert abs(torch.corrcoef(pair)[0, 1]) < 5 / math.sqrt(theirs.numel())


def test_runs_that_differ_in_one_begin_alike_where_they_may(tmp_path: Path) -> None:
    """The same seed gives all methods the same first generator and the same batches of MLE."""
    parts = ("objective.", "generator.", "discriminator.")
    usual = {key: value for key, value in TOY.items() if not key.startswith(parts)}
    ours, theirs = (
        TrainingState(create_run(make_config(name, usual | small_parts(name)), tmp_path / name))
        for name in ("seqgan", "dpgan")
    )
    for a, b in zip(ours.generator.parameters(), theirs.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(ours.batches.real("mle", 0).tokens, theirs.batches.real("mle", 0).tokens)
    assert len({batches.seed for batches in ours.batches.indices.values()}) == 5


def test_seeds_of_shards_are_all_different_and_as_large_as_may_be() -> None:
    every = [
        stream(use, seed, step, shard)
        for seed in (0, 1)
        for step in range(20)
        for shard in range(4)
        for use in (Purpose.SHARD_TEXTS, Purpose.SHARD_LOSS)
    ]
    assert len({seed % LOW for seed in every}) == len(every)
    assert torch.Generator().manual_seed(max(every))


def test_the_first_version_added() -> None:
    seed = OldSeed(5)
    kinds = ("MLE", "GENERATOR", "REAL", "FAKE", "TURN")
    assert [stream(Purpose[f"{kind}_BATCHES"], seed) for kind in kinds] == [6, 7, 8, 9, 10]
    assert stream(Purpose.TRAINING, seed) == 5
    assert stream(Purpose.MONITOR, seed, 7) == 5 * 1_000_003 + 7
    assert stream(Purpose.BOOTSTRAP, stream(Purpose.FINAL_ORACLE, seed)) == 2**40 + 5
    mixed = np.random.SeedSequence([5, 30, 1, 1]).generate_state(1, np.uint64)
    assert stream(Purpose.SHARD_LOSS, seed, 30, 1) == int(mixed[0])


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_of_the_first_version_goes_on_as_it_began(begun: bool, tmp_path: Path) -> None:
    """Also one that was killed before its first checkpoint."""
    run = tmp_path / "run"
    shutil.copytree(OLD, run)
    expected = [json.loads(line) for line in (run / "expected.jsonl").read_text().splitlines()]
    results = read_results_of(run / "expected.json")
    if not begun:
        shutil.rmtree(run / "checkpoints")
        for name in ("metrics.jsonl", "mle.safetensors"):
            (run / name).unlink()
    assert open_run(run).old
    textgan.resume(run, quiet=True)
    result = read_records(run)
    assert len(result) == len(expected)
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.pop("phase") == theirs.pop("phase")
        assert ours == pytest.approx(theirs, rel=1e-4)
    left = read_results(run)
    assert left is not None
    for name, row in results.items():
        for key, estimate in row.items():
            for end, value in left.rows[name][key].estimate.to_dict().items():
                assert value == estimate[end] or value == pytest.approx(estimate[end], rel=1e-4)


def read_results_of(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    rows: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_text())["rows"]
    return rows
