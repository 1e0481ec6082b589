"""LeakGAN: its rewards, both losses, and finished runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from family import toy
from interrupted import everything, stop_at
from networks import pair
from torch import Tensor
from torch.nn import functional as F
from toys import toy_text
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    exact_values,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

import textgan
from textgan.cli.app import main
from textgan.core.errors import Interrupted
from textgan.core.log import read_records
from textgan.data.text import Text, TextSpace
from textgan.losses import leave_one_out
from textgan.models.generators.leak import LeakGenerator
from textgan.models.likelihood import nll_per_token
from textgan.objectives import leakgan
from textgan.objectives.leakgan import LeakGAN, alignment, intrinsic_reward, rescale
from textgan.training.config import make_config, read_config
from textgan.training.run import open_run

horizons = pytest.mark.parametrize("horizon", [1, 2, 4])
MANAGER = ("manager.", "goal.", "first_goal")
ways = pytest.mark.parametrize("goals", ["every", "block"])


def part_of(loss: Tensor, generator: LeakGenerator, manager: bool) -> Tensor:
    """The gradient of a loss in the manager's weights, or in the worker's."""
    loss.backward(retain_graph=True)
    result = [
        torch.zeros_like(weight).flatten() if weight.grad is None else weight.grad.flatten()
        for name, weight in generator.named_parameters()
        if weight.requires_grad and name.startswith(MANAGER) == manager
    ]
    generator.zero_grad()
    return torch.cat(result)


def test_networks_stay_apart() -> None:
    generator, judge = pair(VARIABLE)
    theirs = {id(weight) for weight in judge.parameters()}
    assert not any(id(weight) in theirs for weight in generator.parameters())
    assert not any("leak" in name or "embedding." in name[10:] for name in generator.state_dict())
    texts = enumerate_texts(VARIABLE)
    generator.log_prob(texts).sum().backward()
    LeakGAN().generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
    assert all(weight.grad is None for weight in judge.parameters())


def test_other_generators_are_refused() -> None:
    judge = small_discriminator(FIXED)
    with pytest.raises(ValueError, match="leakgan needs goals, which LSTMGenerator lacks"):
        LeakGAN().connect(small_generator(FIXED), judge, enumerate_texts(FIXED))


# --- rewards ---


def test_ranks_by_hand() -> None:
    values = torch.tensor([[0.3], [0.9], [0.1], [0.5]], dtype=torch.float64)
    mask = torch.ones_like(values).bool()
    right = torch.tensor([3.0, 1.0, 4.0, 2.0], dtype=torch.float64) / 4
    assert same(rescale(values, mask, 12.0).squeeze(1), (12 * (0.5 - right)).sigmoid())


def test_only_the_order_of_rewards_counts() -> None:
    values = torch.rand(9, 4, dtype=torch.float64)
    mask = torch.ones_like(values).bool()
    scaled = rescale(values, mask, 16.0)
    for monotone in (torch.exp, torch.logit, lambda x: 1e-3 * x - 5):
        assert same(rescale(monotone(values), mask, 16.0), scaled)
    assert torch.equal(scaled.argsort(0), values.argsort(0))  # the best stays the best
    shuffled = torch.randperm(9)
    assert same(rescale(values[shuffled], mask, 16.0), scaled[shuffled])
    assert not same(rescale(values, mask, 8.0), scaled)


def test_equal_rewards_stay_equal_and_padding_is_no_rival() -> None:
    values = torch.tensor([[0.2, 0.4], [0.2, 0.9], [0.8, 0.6]], dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    result = rescale(values, mask, 6.0)
    first = torch.tensor([2.5, 2.5, 1.0], dtype=torch.float64) / 3
    assert same(result[:, 0], (6 * (0.5 - first)).sigmoid())
    second = torch.tensor([2.0, 1.0], dtype=torch.float64) / 2
    assert same(result[mask[:, 1], 1], (6 * (0.5 - second)).sigmoid())


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a.norm() * b.norm()).clamp(min=1e-8)


@horizons
def test_alignment_and_intrinsic_reward_by_hand(horizon: int) -> None:
    features, goals = torch.randn(4, 6, 3), F.normalize(torch.randn(4, 5, 3), dim=2)
    features, goals = features.double(), goals.double()
    sizes = torch.tensor([5, 3, 1, 4])
    aim = alignment(features, goals, sizes, horizon)
    obeyed = intrinsic_reward(features, goals, horizon)
    for b in range(4):
        for t in range(int(sizes[b])):
            end = min(t + horizon, int(sizes[b]))
            right = cosine(features[b, end] - features[b, t], goals[b, t])
            assert same(aim[b, t], right, 1e-10)
            arrived = features[b, t + 1]
            terms = [
                cosine(arrived - features[b, t + 1 - i], goals[b, t + 1 - i])
                for i in range(1, horizon + 1)
                if t + 1 - i >= 0
            ]
            assert same(obeyed[b, t], torch.stack(terms).sum() / horizon, 1e-10)


# --- the generator's loss ---


@pytest.fixture
def rolled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], None]:
    """Called with values (B, T): that is what rollouts give from then on."""

    def patch(values: Tensor) -> None:
        monkeypatch.setattr(leakgan, "rollout_values", lambda *_: values)

    return patch


@worlds
@horizons
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_both_losses_by_hand(
    space: TextSpace, horizon: int, baseline: str, rolled: Callable[[Tensor], None]
) -> None:
    (generator, judge), texts = pair(space, horizon=horizon), enumerate_texts(space)
    rewards = random_rewards(space)
    values = exact_values(generator, texts, rewards)
    rolled(values)
    loss, metrics = LeakGAN(delta=3.0, baseline=baseline).generator_loss(
        generator, judge, texts, texts, 0.0
    )
    features, goals, _ = generator.trace(texts)
    obeyed = intrinsic_reward(features, goals, horizon).detach()
    if baseline == "batch":
        obeyed = obeyed - leave_one_out(obeyed, texts.mask)
    log_prob = generator.log_prob(texts)
    manager = worker = torch.zeros((), dtype=torch.float64)
    for b in range(len(texts)):
        for t in range(int(texts.lengths[b])):
            rivals = [float(values[i, t]) for i in range(len(texts)) if texts.lengths[i] > t]
            own = float(values[b, t])
            rank = sum(r > own for r in rivals) + (sum(r == own for r in rivals) + 1) / 2
            reward = torch.tensor(3.0 * (0.5 - rank / len(rivals))).sigmoid()
            end = min(t + horizon, int(texts.lengths[b]))
            manager = manager - reward * cosine(features[b, end] - features[b, t], goals[b, t])
            worker = worker - obeyed[b, t] * log_prob[b, t]
    # 1e-6: the rewards by hand are float32
    assert same(loss, manager + worker, 1e-6)
    assert same(part_of(loss, generator, True), part_of(manager, generator, True), 1e-6)
    assert same(part_of(loss, generator, False), part_of(worker, generator, False), 1e-6)
    assert same(metrics["reward"], rewards.mean())
    assert same(metrics["value"], values[texts.mask].mean())
    assert {"alignment", "intrinsic"} <= metrics.keys()


@worlds
@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_both_losses_of_blocks_by_hand(
    space: TextSpace, horizon: int, reduction: Any, rolled: Callable[[Tensor], None]
) -> None:
    generator, judge = pair(space, horizon=horizon, goals="block")
    texts = enumerate_texts(space)
    values = exact_values(generator, texts, random_rewards(space))
    rolled(values)
    objective = LeakGAN(delta=3.0, reduction=reduction)
    loss, _ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    features, goals, _ = generator.trace(texts)
    log_prob = generator.log_prob(texts)
    manager = worker = torch.zeros((), dtype=torch.float64)
    ends = [
        [min(a + horizon, int(size)) for a in range(0, int(size), horizon)]
        for size in texts.lengths
    ]
    for b, of_blocks in enumerate(ends):
        for k, end in enumerate(of_blocks):
            begun = k * horizon
            rivals = [float(values[i, e[k] - 1]) for i, e in enumerate(ends) if len(e) > k]
            own = float(values[b, end - 1])
            rank = sum(r > own for r in rivals) + (sum(r == own for r in rivals) + 1) / 2
            reward = torch.tensor(3.0 * (0.5 - rank / len(rivals)), dtype=torch.float64).sigmoid()
            goal = goals[b, begun]
            manager = manager - reward * cosine(features[b, end] - features[b, begun], goal)
            for t in range(begun, end):
                assert torch.equal(goals[b, t], goal)
                moved = features[b, t + 1] - features[b, begun]
                worker = worker - cosine(moved, goal).detach() * log_prob[b, t]
    tokens = int(texts.lengths.sum())
    over = {"sum": (1, 1), "mean_sentence": (len(texts), len(texts))}
    by_manager, by_worker = over.get(reduction, (tokens / horizon, tokens))
    manager, worker = manager / by_manager, worker / by_worker
    assert same(loss, manager + worker, 1e-10)
    for of_manager, right in ((True, manager), (False, worker)):
        result = part_of(loss, generator, of_manager)
        assert result.abs().max() > 1e-4
        assert same(result, part_of(right, generator, of_manager), 1e-9)
    assert generator.first_goal.grad is None
    assert torch.autograd.grad(manager, generator.first_goal)[0].any()


@worlds
@ways
def test_the_manager_is_pretrained_on_transitions_of_real_text(
    space: TextSpace, goals: str
) -> None:
    (generator, _), texts = pair(space, horizon=2, goals=goals), enumerate_texts(space)
    loss, figures = LeakGAN().mle_loss(generator, texts)
    features, aims, log_prob = generator.trace(texts)
    worker = -log_prob[texts.mask].mean()
    assert same(figures["nll"], -generator.log_prob(texts)[texts.mask].mean())
    result = []
    for b, size in enumerate(texts.lengths.tolist()):
        for t in range(0, size, 2 if goals == "block" else 1):
            moved = features[b, min(t + 2, size)] - features[b, t]
            result.append(cosine(moved, aims[b, t]))
    assert same(figures["alignment"], torch.stack(result).mean(), 1e-9)
    each = 2 if goals == "block" else 1
    manager = -each * torch.stack(result).sum() / int(texts.lengths.sum())
    assert same(loss, worker + manager, 1e-9)
    assert same(part_of(loss, generator, True), part_of(manager, generator, True), 1e-9)
    assert same(part_of(loss, generator, False), part_of(worker, generator, False), 1e-9)
    joint, _ = LeakGAN(mle="joint").mle_loss(generator, texts)
    right = -generator.log_prob(texts)[texts.mask].mean()
    assert same(joint, right)
    assert part_of(joint, generator, True).any()
    assert same(gradient(joint, generator), gradient(right, generator))


def test_there_is_no_l2_in_force_as_in_the_released_code() -> None:
    (_, judge), texts = pair(FIXED), enumerate_texts(FIXED)
    plain, _ = LeakGAN().discriminator_loss(judge, texts, texts)
    weighted, _ = LeakGAN(l2=0.2).discriminator_loss(judge, texts, texts)
    assert same(weighted - plain, 0.2 * judge.output_penalty(), 1e-6)
    assert make_config("leakgan").objective.settings["l2"] == 0


def test_a_new_run_pretrains_as_the_code_and_an_old_one_as_it_began(tmp_path: Path) -> None:
    config = make_config("leakgan")
    assert config.schedule.pretraining_rounds == 10
    assert config.schedule.pretraining_first == "discriminator"
    assert config.objective.settings["mle"] == "separate"
    old = config.model_dump()
    for group, key in {
        "schedule": ("pretraining_rounds", "pretraining_first"),
        "objective": ("mle",),
        "generator": ("goals",),
    }.items():
        for name in key:
            del old[group][name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(old))
    again = read_config(path)
    assert (again.schedule.pretraining_rounds, again.schedule.pretraining_first) == (1, "generator")
    assert again.objective.settings["mle"] == "joint"
    assert again.generator.settings["goals"] == "every"


@worlds
def test_each_loss_reaches_its_own_network(space: TextSpace) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    trace = generator.trace(texts)
    assert not part_of(trace.log_prob.sum(), generator, True).any()
    assert not part_of(trace.goals.sum(), generator, False).any()
    loss, _ = LeakGAN().generator_loss(generator, judge, texts, texts, 0.0)
    assert part_of(loss, generator, True).any()
    assert part_of(loss, generator, False).any()
    # maximum likelihood goes through the goals
    likelihood = generator.log_prob(texts).sum()
    assert part_of(likelihood, generator, True).any()


@worlds
def test_a_worker_rewarded_with_values_climbs_the_expected_reward(
    space: TextSpace, rolled: Callable[[Tensor], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    rewards = random_rewards(space)
    values, chances = exact_values(generator, texts, rewards), probabilities(generator, texts)

    def expected(weights: Tensor) -> Tensor:
        """The expected loss of a text, for a worker so rewarded."""
        objective = LeakGAN()
        total = torch.zeros((), dtype=torch.float64)
        for i in range(len(texts)):
            text, own = texts[i : i + 1], weights[i : i + 1]
            rolled(values[i : i + 1])
            monkeypatch.setattr(leakgan, "intrinsic_reward", lambda *_, own=own: own)
            loss, _ = objective.generator_loss(generator, judge, text, text, 0.0)
            total = total + chances[i] * loss
        return total

    right = (log_probs(generator, texts).exp() * rewards).sum()
    assert same(-part_of(expected(values), generator, False), part_of(right, generator, False))
    # a reward that is always the same teaches nothing on average
    constant = torch.full_like(values, 0.7)
    assert part_of(expected(constant), generator, False).abs().max() < 1e-12


def test_a_goal_turns_to_where_the_best_text_went(rolled: Callable[[Tensor], None]) -> None:
    generator, judge = pair(FIXED)
    texts = enumerate_texts(FIXED)
    rolled(exact_values(generator, texts, random_rewards(FIXED)))
    moved = [weight for name, weight in generator.named_parameters() if name.startswith(MANAGER)]
    optimiser = torch.optim.Adam([weight for weight in moved if weight.requires_grad], 0.03)
    result = []
    for _ in range(15):
        optimiser.zero_grad()
        loss, metrics = LeakGAN().generator_loss(generator, judge, texts, texts, 0.0)
        loss.backward()
        optimiser.step()
        result.append(metrics["alignment"].item())
    assert result[-1] > result[0] + 0.2


def test_padding_changes_nothing(rolled: Callable[[Tensor], None]) -> None:
    (generator, judge), texts = pair(VARIABLE), enumerate_texts(VARIABLE)
    values = exact_values(generator, texts, random_rewards(VARIABLE))
    longer = texts.pad_to(5)
    rolled(values)
    plain, figures = LeakGAN().generator_loss(generator, judge, texts, texts, 0.0)
    rolled(F.pad(values, (0, 2)))
    padded, padded_figures = LeakGAN().generator_loss(generator, judge, longer, longer, 0.0)
    assert same(plain, padded)
    assert same(gradient(plain, generator), gradient(padded, generator))
    assert all(same(figures[name], padded_figures[name]) for name in figures)
    short = texts[texts.lengths < 3]
    narrow = Text(short.tokens[:, :2], short.lengths)
    assert same(generator.log_prob(narrow)[narrow.mask], generator.log_prob(short)[short.mask])


# --- finished runs ---


@pytest.mark.parametrize("goals", ["every", "block"])
def test_a_run_stopped_while_both_are_pretrained_in_turn_goes_on_bit_for_bit(
    goals: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy("leakgan") | {
        "schedule.mle_epochs": 3,
        "schedule.discriminator_turns": 3,
        "schedule.pretraining_rounds": 2,
        "schedule.rounds": 2,
        "generator.goals": goals,
        "generator.horizon": 2,
    }
    textgan.train("leakgan", out=tmp_path / "whole", quiet=True, plot=False, **settings)
    records = read_records(tmp_path / "whole")
    phases = "".join(record["phase"][0] for record in records)
    assert phases == "dm" + "ddmm" + "aa"
    for record in records:
        assert ("mle/alignment" in record) == (record["phase"] == "mle")
    with monkeypatch.context() as patch:
        stop_at(22, patch)  # amid the second part
        with pytest.raises(Interrupted, match=r"discriminator turn 2|MLE epoch [23]"):
            textgan.train("leakgan", out=tmp_path / "run", quiet=True, plot=False, **settings)
    textgan.resume(tmp_path / "run", quiet=True, plot=False)
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")


@pytest.fixture(scope="module", params=["fixed", "variable"])
def finished(request: Any, tmp_path_factory: Any) -> Path:
    """A finished toy run."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    settings = toy("leakgan") | {"schedule.mle_steps": 2, "schedule.mle_every": 3}
    settings["schedule.rounds"] = 5
    if request.param == "variable":
        settings = {key: value for key, value in settings.items() if not key.startswith("oracle.")}
        settings["data.file"] = str(toy_text(folder))
    textgan.train("leakgan", out=folder / "run", quiet=True, plot=False, **settings)
    return folder / "run"


def test_a_loaded_generator_reads_what_its_discriminator_leaks(finished: Path) -> None:
    run, records = open_run(finished), read_records(finished)
    last = run.load_generator()
    assert isinstance(last, LeakGenerator)
    test = run.corpus.test
    assert nll_per_token(last, test).value == records[-1]["eval/nll_test"]
    key = "eval/nll_oracle" if run.oracle is not None else "eval/nll_valid"
    epochs = [record for record in records if record["phase"] == "mle"]
    best = min(epochs, key=lambda record: record[key])
    early = run.load_generator("mle")
    assert nll_per_token(early, test).value == best["eval/nll_test"]
    # the discriminator has been trained since, and the generator's likelihoods go with it
    last.leak = early.leak  # type: ignore[attr-defined]
    assert nll_per_token(last, test).value != records[-1]["eval/nll_test"]


def test_a_finished_run_is_sampled_and_evaluated(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cli(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["textgan", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    result = json.loads(cli("evaluate", finished, "--metrics", "likelihood", "--json"))
    written = json.loads((finished / "results.json").read_text())
    row = "leakgan, last"
    value = result["rows"][row]["nll_test"]["value"]
    assert value == pytest.approx(written["rows"][row]["nll_test"]["value"], rel=1e-6)
    assert len(cli("sample", finished, "-n", 5).splitlines()) == 5
