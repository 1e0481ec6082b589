"""MLE updates among the rounds: when they come, how long their step is; and the pool of fakes."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import TOY

from textgan.core.errors import UserError
from textgan.core.tensors import load_tensors, save_tensors
from textgan.data.batches import Batches
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import Schedule, Step, plan, pool_size
from textgan.training.state import TrainingState
from textgan.training.steps import train_step


def letters(schedule: Schedule, adversary: bool = True) -> str:
    """The adversarial phase, a letter a step: Generator, Mle, Fakes, Discriminator, Tick."""
    steps = plan(schedule, 20, adversary)
    return "".join(step.do[0] for step in steps if step.phase == "adversarial")


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ({"mle_steps": 0, "mle_every": 0}, "ggfdt ggfdt ggfdt"),
        ({"mle_steps": 2, "mle_every": 0}, "ggfdmmt ggfdmmt ggfdmmt"),
        ({"mle_steps": 1, "mle_every": 1}, "gmgmfdt gmgmfdt gmgmfdt"),
        ({"mle_steps": 2, "mle_every": 2}, "ggmmfdt ggmmfdt ggmmfdt"),
        ({"mle_steps": 1, "mle_every": 3}, "ggfdt gmgfdt ggmfdt"),  # counted over the rounds
        ({"mle_steps": 1, "mle_every": 4}, "ggfdt ggmfdt ggfdt"),
        ({"mle_steps": 3, "mle_every": 7}, "ggfdt ggfdt ggfdt"),
        ({"mle_steps": 0, "mle_every": 1}, "ggfdt ggfdt ggfdt"),
        ({"mle_steps": 1, "mle_every": 0, "g_steps": 0}, "fdmt fdmt fdmt"),
        ({"mle_steps": 1, "mle_every": 1, "g_steps": 0}, "fdt fdt fdt"),
        ({"mle_steps": 1, "mle_every": 0, "d_steps": 2}, "ggfdfdmt ggfdfdmt ggfdfdmt"),
    ],
)
def test_plans_letter_by_letter(settings: dict[str, int], right: str) -> None:
    usual = {"rounds": 3, "g_steps": 2, "d_steps": 1, "k": 1, "fakes": 1, "batch_size": 8}
    schedule = Schedule(**(usual | settings))
    assert letters(schedule) == right.replace(" ", "")
    alone = letters(schedule, adversary=False)
    assert alone == right.replace(" ", "").replace("f", "").replace("d", "")


@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 7))
def test_between_them_are_so_many_generator_updates(
    rounds: int, g_steps: int, mle_steps: int, mle_every: int
) -> None:
    schedule = Schedule(
        rounds=rounds, g_steps=g_steps, mle_steps=mle_steps, mle_every=mle_every, fakes=1
    )
    result = "".join(letter for letter in letters(schedule) if letter in "gm")
    right = ""
    for update in range(1, rounds * g_steps + 1):
        right += "g"
        if mle_every and update % mle_every == 0:
            right += "m" * mle_steps
        if not mle_every and update % g_steps == 0:
            right += "m" * mle_steps
    if not mle_every and not g_steps:
        right = "m" * mle_steps * rounds
    assert result == right


@given(st.integers(0, 40), st.integers(2, 30), st.integers(1, 60), st.integers(1, 3))
def test_a_pool_holds_half_a_batch_of_fakes_at_least(
    fakes: int, batch: int, sentences: int, k: int
) -> None:
    schedule = Schedule(fakes=fakes, batch_size=batch, discriminator_turns=1, rounds=0, k=k)
    pool = pool_size(schedule, sentences)
    assert pool >= batch // 2
    assert pool >= fakes
    assert pool in (fakes or sentences, batch // 2)
    # no fake stands twice in a discriminator batch
    drawn = Batches(pool, batch // 2, 3)[0]
    assert len(set(drawn.tolist())) == batch // 2
    # k epochs over the pool: every update reads half a batch, none is left out that would fit
    updates = sum(step.do == "discriminator" for step in plan(schedule, sentences, True))
    assert updates % k == 0
    read = updates // k * batch / 2
    assert read <= max(pool, batch / 2)
    assert pool - read < batch / 2 or updates == k
    if fakes and fakes <= batch // 2:
        assert updates == k  # a pool of one batch is one update a turn


def moved(tmp_path: Path, weight: float, step: Step) -> tuple[Tensor, float]:
    """How far the first MLE update moves each weight, and the learning rate that it had."""
    toy = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    settings = toy | {
        "schedule.mle_weight": weight,
        "schedule.mle_steps": 1,
        "optimisers.mle_lr": 0.02,
    }
    run = create_run(make_config("reinforce", settings), tmp_path / f"{weight}-{step.phase}")
    torch.manual_seed(1)
    training = TrainingState(run)
    before = torch.cat([part.detach().flatten() for part in training.generator.parameters()])
    train_step(training, step)
    after = torch.cat([part.detach().flatten() for part in training.generator.parameters()])
    return after - before, training.optimisers["mle"].param_groups[0]["lr"]


def test_the_weight_is_a_factor_of_the_step_among_the_rounds_alone(tmp_path: Path) -> None:
    pretraining, adversarial = Step("mle", "mle", 1, 0), Step("mle", "adversarial", 1, 0)
    full, lr = moved(tmp_path, 1.0, adversarial)
    assert lr == 0.02
    result, lr = moved(tmp_path, 0.25, adversarial)
    assert lr == 0.005
    assert full.abs().max() > 0.01
    assert torch.allclose(result, 0.25 * full, rtol=1e-3, atol=1e-6)
    before, lr = moved(tmp_path, 0.25, pretraining)
    assert lr == 0.02
    assert torch.equal(before, full)


def test_a_running_mean_of_the_weights_is_measured_sampled_and_resumed(tmp_path: Path) -> None:
    run = create_run(make_config("seqgan", TOY | {"schedule.average": 0.5}), tmp_path / "run")
    state = TrainingState(run)
    first = {name: weight.detach().clone() for name, weight in state.generator.named_parameters()}
    means = first
    for number, (do, phase) in enumerate([("mle", "mle")] * 2 + [("generator", "adversarial")]):
        train_step(state, Step(do, phase, 0, 0))  # type: ignore[arg-type]
        decay = min(0.5, (2 + number) / (11 + number))
        means = {
            name: decay * means[name] + (1 - decay) * weight.detach()
            for name, weight in state.generator.named_parameters()
        }
    own = {name: weight.detach().clone() for name, weight in state.generator.named_parameters()}
    for name, mean in means.items():
        assert torch.allclose(state.average[name], mean, atol=1e-6)
    assert any(not torch.allclose(means[name], own[name], atol=1e-4) for name in own)
    before = {name: mean.clone() for name, mean in state.average.items()}
    train_step(state, Step("fakes", "discriminator", 0, 0))
    train_step(state, Step("discriminator", "discriminator", 0, 0))  # which moves no generator
    assert all(torch.equal(state.average[name], mean) for name, mean in before.items())
    with state.averaged():
        state.save_best_mle(1, 3.0)
        for name, weight in state.generator.named_parameters():
            assert torch.equal(weight, before[name])
    for name, weight in state.generator.named_parameters():
        assert torch.equal(weight, own[name])

    again = TrainingState(run)
    again.restore(state.save())
    assert again.average.keys() == before.keys()
    for name, weight in again.generator.named_parameters():
        assert torch.equal(weight, own[name]) and torch.equal(again.average[name], before[name])
    for which in ("final", "mle"):
        loaded = run.load_generator(which)  # type: ignore[arg-type]
        assert all(torch.equal(w, before[name]) for name, w in loaded.named_parameters())


def test_without_a_mean_a_checkpoint_has_the_weights_alone(tmp_path: Path) -> None:
    run = create_run(make_config("seqgan", TOY), tmp_path / "run")
    state = TrainingState(run)
    path = state.save()
    tensors, _ = load_tensors(path)
    assert not state.average and not [name for name in tensors if name.startswith("average")]
    with_one = create_run(make_config("seqgan", TOY | {"schedule.average": 0.5}), tmp_path / "b")
    facts = load_tensors(TrainingState(with_one).save())[1]
    save_tensors(path, tensors, facts)
    with pytest.raises(UserError, match="mean of the generator's weights"):
        TrainingState(with_one).restore(path)
