"""What all perturbations share: what is restored, what is refused, which models they are for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    METHODS,
    PASSES,
    WORDS,
    Linear,
    Net,
    agree,
    apply,
    by_hand,
    close,
    gradients,
    left,
    linear_shift,
    make,
    methods,
    placements,
    same_state,
    state_of,
    watching,
)
from torch import Tensor
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.optim import Loss
from textgan.perturb.base import perturbation
from textgan.perturb.fgm import FGM, FGSM
from textgan.perturb.free_at import FreeAT
from textgan.perturb.freelb import FreeLB
from textgan.perturb.pgd import PGD
from textgan.perturb.yopo import YOPO


def test_all_eight_are_there() -> None:
    assert set(METHODS) >= {"fgm", "fgsm", "pgd", "free_at", "yopo", "freelb", "vat", "smart"}


# what is restored


@methods
@placements
@pytest.mark.parametrize(
    "case", ["plain", "nested", "tied", "frozen", "dropout", "no padding", "eval", "zero grads"]
)
def test_nothing_but_gradients_changes(name: str, placement: str, case: str) -> None:
    network = Net(
        tied=case == "tied",
        padding=None if case == "no padding" else 0,
        dropout=0.5 if case == "dropout" else 0.0,
    )
    if case == "frozen":
        network.table.requires_grad_(False)
    network.train(case != "eval")
    network.unused.eval()
    if case == "zero grads":
        for weight in network.parameters():
            weight.grad = torch.zeros_like(weight)
    made = make(name, placement=placement)
    before = state_of(network)
    for _ in range(3):
        made(network, network.loss(), network.outputs())
    same_state(network, before)
    assert network.rest.first[0].weight.grad.any()  # type: ignore[union-attr]
    if case == "frozen":
        assert network.table.weight.grad is None
    if case != "zero grads":
        assert network.unused.weight.grad is None


class Broken(Exception):
    pass


def breaking(compute: Callable[[], Any], at: int, counter: list[int]) -> Callable[[], Any]:
    """The closure, which breaks after it computed for the at-th time (of all that count there)."""

    def broken() -> Any:
        result = compute()
        counter.append(1)
        if len(counter) == at:
            raise Broken
        return result

    return broken


@methods
@placements
@pytest.mark.parametrize("frozen", [False, True])
def test_a_closure_that_breaks_in_any_pass_leaves_nothing_behind(
    name: str, placement: str, frozen: bool
) -> None:
    last = PASSES.get(name, 2)
    for at in {1, last} if frozen else range(1, last + 1):
        network = Net(tied=True)
        network.table.requires_grad_(not frozen)
        made = make(name, placement=placement)
        if name == "smart":  # that its weights are another's, too
            apply(made, network)
        apply(FGM(), network)
        kept = {n: w.grad for n, w in network.named_parameters()}
        memory = dict(made.state)
        before, counter = state_of(network), list[int]()
        with pytest.raises(Broken):
            made(
                network,
                breaking(network.loss(), at, counter),
                breaking(network.outputs(), at, counter),
            )
        same_state(network, before)
        assert memory.keys() == made.state.keys()
        assert all(torch.equal(memory[key], made.state[key]) for key in memory)
        if at == 1:
            assert all(w.grad is kept[n] for n, w in network.named_parameters())
        if frozen:
            assert network.table.weight.grad is None
        # and it goes on as if nothing had been
        fresh = make(name, placement=placement)
        fresh.state = memory
        network.zero_grad()
        close(apply(made, network), apply(fresh, network))


def sums(network: Net, wrong: float) -> Callable[[], Loss]:
    """The sum over sentences, of which the gradient of the second is no number."""

    def loss() -> Loss:
        each = F.cross_entropy(network(IDS), LABELS, reduction="none")
        return (each * torch.tensor([1.0, wrong, 1.0])).sum(), {}

    return loss


@methods
@placements
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_shift_nothing(
    name: str, placement: str, wrong: float
) -> None:
    network = Net()
    before = state_of(network)
    with watching(network) as shifts:
        made = make(name, placement=placement)
        made(network, sums(network, wrong), network.outputs())
    same_state(network, before)
    assert all(shift.isfinite().all() for shift in shifts)
    if name in ("fgm", "fgsm", "pgd", "freelb", "yopo"):
        assert (
            (shifts[-1][[0, 2]].any(-1) == (IDS[[0, 2]] != 0)).all()
            if placement == ("output")
            else not shifts[-1].any()
        )
        if placement == "output":
            assert not shifts[-1][1].any()


@methods
@placements
@pytest.mark.parametrize("cache", [True, False])
def test_autocast(name: str, placement: str, cache: bool) -> None:
    network = Net(tied=True).float()
    before = state_of(network)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=cache):
        made = make(name, placement=placement)
        for _ in range(2):
            made(network, network.loss(), network.outputs())
        after = network(IDS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(after, network(IDS))  # not from the cache as it was while shifted
    same_state(network, before)
    rough = gradients(network)
    # the table is not taken from the cache as it was before it was shifted
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=not cache):
        made = make(name, placement=placement)
        torch.manual_seed(0)
        made(network, network.loss(), network.outputs())
        other = gradients(network)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=cache):
        made = make(name, placement=placement)
        torch.manual_seed(0)
        made(network, network.loss(), network.outputs())
    for one, another in zip(gradients(network), other, strict=True):
        assert torch.equal(one, another)
    assert all(gradient.isfinite().all() for gradient in rough)


@methods
@placements
@pytest.mark.parametrize("clear", ["to none", "to zero", "never"])
def test_micro_batches_add_up(name: str, placement: str, clear: str) -> None:
    network = Net(tied=True)
    parts = [IDS[:2], IDS[1:]]

    def one(ids: Tensor, scale: float) -> None:
        torch.manual_seed(5)
        made = make(name, placement=placement)
        made(network, network.loss(ids, LABELS[: len(ids)]), network.outputs(ids), scale)

    alone = []
    for part in parts:
        one(part, 0.5)
        alone.append(gradients(network))
    before = None
    if clear == "to zero":
        network.zero_grad(set_to_none=False)
    if clear == "never":
        network.output.weight.grad = torch.ones_like(network.output.weight)
        before = 1.0
    for part in parts:
        one(part, 0.5)
    if before is not None:
        assert network.output.weight.grad is not None
        network.output.weight.grad -= before
    close(gradients(network), [a + b for a, b in zip(*alone, strict=True)])


@methods
@placements
def test_scale_scales_the_gradient(name: str, placement: str) -> None:
    network = Net(tied=True)
    once = apply(make(name, placement=placement), network)
    eight = apply(make(name, placement=placement), network, scale=8.0)
    # a power of two: to the bit
    assert all(torch.equal(8 * a, b) for a, b in zip(once, eight, strict=True))
    tokens = apply(make(name, placement=placement), network, scale=torch.tensor(3))  # type: ignore[arg-type]
    close(tokens, [3 * gradient for gradient in once])


@methods
@placements
def test_it_makes_a_difference(name: str, placement: str) -> None:
    network = Net()
    network.loss()()[0].backward()
    plain = gradients(network)
    made = make(name, placement=placement)
    apply(made, network)
    result = apply(made, network)  # free_at has a shift for its second call only
    assert not torch.allclose(result[0], plain[0], rtol=1e-3)
    assert not torch.allclose(result[1], plain[1], rtol=1e-3)


@methods
def test_what_it_returns_has_no_graph(name: str) -> None:
    network = Net()
    value, metrics = make(name)(network, network.loss(), network.outputs())
    assert not value.requires_grad
    assert not any(figure.requires_grad for figure in metrics.values())
    assert value.shape == ()


# which texts they read


@methods
def test_closures_that_read_several_texts_and_some_without_gradients(name: str) -> None:
    network = Net()
    real, fake = IDS, torch.tensor([[3, 1, 2], [6, 0, 0]])

    def read() -> Tensor:
        with torch.no_grad():
            shift = network(IDS[:1]).mean()  # a constant of the loss
        return torch.cat([network(real), network(fake)]) - shift

    def loss() -> Loss:
        message = read()
        return F.cross_entropy(message[:3], LABELS) + F.cross_entropy(message[3:], LABELS[:2]), {}

    def one(ids: Tensor, labels: Tensor) -> list[Tensor]:
        def alone() -> Tensor:
            with torch.no_grad():
                shift = network(IDS[:1]).mean()
            return network(ids) - shift

        made = make(name)
        for _ in range(2):
            made(network, lambda: (F.cross_entropy(alone(), labels), {}), alone)
        return gradients(network)

    before = state_of(network)
    made = make(name)
    for _ in range(2):
        made(network, loss, read)
    same_state(network, before)
    result = gradients(network)
    if name not in ("vat", "smart"):  # whose means over both are others than over each
        apart = zip(one(real, LABELS), one(fake, LABELS[:2]), strict=True)
        close(result, [a + b for a, b in apart])


@methods
@placements
def test_a_loss_with_a_gradient_of_a_gradient(name: str, placement: str) -> None:
    network = Net(padding=None)

    def loss() -> Loss:
        vectors = network.table(IDS)
        score = network.output(network.rest(vectors, IDS != 0))[:, 0].sum()
        (slope,) = torch.autograd.grad(score, vectors, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean(), {}

    before = state_of(network)
    made = make(name, placement=placement)
    for _ in range(2):
        made(network, loss, network.outputs())
    same_state(network, before)
    result = gradients(network)
    assert all(gradient.isfinite().all() for gradient in result)
    assert result[0].any()
    if name == "fgm" and placement == "output":
        # the shift by finite differences of the loss
        with watching(network) as shifts:
            FGM(epsilon=1.0)(network, loss)
        own, slope = network.table.weight.data, torch.zeros(4, 3, dtype=torch.float64)
        hook: list[Tensor] = []
        handle = network.table.register_forward_hook(lambda m, r, out: out + hook[-1])
        for t in range(4):
            for e in range(3):
                values = []
                for step in (1e-5, -1e-5):
                    hook.append(torch.zeros(*IDS.shape, 3, dtype=own.dtype))
                    hook[-1][0, t, e] = step
                    values.append(float(loss()[0].detach()))
                slope[t, e] = (values[0] - values[1]) / 2e-5
        handle.remove()
        torch.testing.assert_close(shifts[1][0], slope / slope.norm(), rtol=1e-5, atol=1e-7)


# what is wrong


@pytest.mark.parametrize(("told", "names"), [
    ("fgn", ["discriminator.perturb", "'fgn'", "did you mean 'fgm'?", "freelb"]),
    ("fgm(epsilom=1)", ["discriminator.perturb.epsilom", "did you mean 'epsilon'?", "placement"]),
    ("fgm(epsilon=-1)", ["discriminator.perturb.epsilon = -1", "give a number from 0"]),
    ("fgm(epsilon=inf)", ["discriminator.perturb.epsilon = inf", "give a number from 0"]),
    ("fgm(placement=words)", ["discriminator.perturb.placement = 'words'", "output or matrix"]),
    ("fgm(epsilon=1", ["discriminator.perturb = 'fgm(epsilon=1'", "fgm(epsilon=1.0)"]),
    ("fgm epsilon=1)", ["discriminator.perturb", "fgm(epsilon=1.0)"]),
    ("fgm(epsilon)", ["discriminator.perturb = 'fgm(epsilon)'", "'epsilon' is not a setting",
                      "epsilon=1.0"]),
    ("fgm(epsilon=1, epsilon=2)", ["'epsilon=2' is there twice"]),
    ("pgd(steps=0)", ["discriminator.perturb.steps = 0"]),
    ("smart(divergence=js)", ["discriminator.perturb.divergence = 'js'", "kl or squared"]),
    ("nowhere.py:X", ["discriminator.perturb", "nowhere.py"]),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(told: str, names: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        perturbation(told, "discriminator.perturb")
    message = str(refused.value)
    assert "\n" not in message
    for name in names:
        assert name in message


def test_what_a_text_names() -> None:
    assert perturbation("") is None
    assert perturbation("none") is None
    assert perturbation("fgm") == FGM()
    assert perturbation(" fgm ( epsilon = 0.5 , placement=matrix, )") == FGM(
        epsilon=0.5, placement="matrix"
    )
    assert perturbation("pgd(init=random, include_clean=false)") == PGD(
        init="random", include_clean=False
    )
    with pytest.raises(ValueError, match=r"epsilon = -1\.0"):
        FGSM(epsilon=-1.0)
    with pytest.raises(ValueError, match="replays = 0"):
        FreeAT(replays=0)


# on other models


@methods
@placements
def test_a_hugging_face_model(name: str, placement: str) -> None:
    transformers = pytest.importorskip("transformers")
    settings = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**settings, intermediate_size=5, max_position_embeddings=8)
    network = transformers.BertForSequenceClassification(config).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = {"input_ids": IDS, "attention_mask": (IDS != 0).long()}
    layer = {"layer": "bert.embeddings.LayerNorm"} if name == "yopo" else {}
    made = make(name, placement=placement, **layer)
    before = state_of(network)
    for _ in range(2):
        optimiser.zero_grad()
        made(
            network,
            lambda: (network(**batch, labels=LABELS).loss, {}),
            lambda: network(**batch).logits,
        )
    same_state(network, before)
    assert network.get_input_embeddings().weight.grad.any()
    optimiser.step()
    assert all(weight.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize(("made", "ends"), [
    (FGM(epsilon=0.7), [0.0, 0.7]),
    (PGD(epsilon=0.5, alpha=0.2, steps=2), [0.0, 0.4]),
    (PGD(epsilon=0.5, alpha=0.2, steps=3), [0.0, 0.5]),
    (PGD(epsilon=0.5, alpha=0.2, steps=2, include_clean=False), [0.4]),
    (FreeLB(passes=1), [0.0]),
    (FreeLB(passes=4, alpha=0.2, epsilon=0.5), [0.0, 0.2, 0.4, 0.5]),
    (FreeLB(passes=3, alpha=0.2, epsilon=0.0), [0.0, 0.2, 0.4]),
    (YOPO(passes=2, steps=2, alpha=0.2, epsilon=0.5), [0.0, 0.4]),
    (YOPO(passes=3, steps=2, alpha=0.2, epsilon=0.5), [0.0, 0.4, 0.5]),
], ids=str)  # fmt: skip
def test_the_plain_formulas_on_a_linear_model(made: Any, ends: list[float]) -> None:
    network = Linear()
    value, _ = made(network, network.loss)
    share = 1 / len(ends) if isinstance(made, FreeLB | YOPO) else 1.0
    wanted = [by_hand(linear_shift(end)) for end in ends]
    agree(left(network), tuple(share * sum(parts) for parts in zip(*wanted, strict=True)))
    # L(x + r) - L(x) = |r| |g| in every sentence
    sizes = WORDS.sum((1, 2))
    steep = float(
        (network.shares.double().abs() * sizes.sqrt() * network.output.weight.norm().detach()).sum()
    )
    clean = float(network.loss()[0].detach())
    gain = sum(ends) / len(ends) if isinstance(made, FreeLB | YOPO) else min(ends)
    assert float(value) == pytest.approx(clean + gain * steep, rel=1e-12)


def test_climbing_hurts() -> None:
    network = Net()
    for name, settings in (("fgm", {"epsilon": 0.05}), ("pgd", {"epsilon": 0.2}), ("freelb", {})):
        made = make(name, **settings)
        value, metrics = made(network, network.loss())
        assert metrics["perturbed_loss"] > value


@pytest.mark.parametrize("name", ["vat", "smart"])
def test_what_compares_outputs_needs_them(name: str) -> None:
    network = Net()
    with pytest.raises(UserError, match=f"{name} compares outputs of the network: give outputs"):
        make(name)(network, network.loss())
    with pytest.raises(UserError, match=rf"{name}: outputs gives a tensor of shape \(3,\)"):
        make(name)(network, network.loss(), lambda: network(IDS)[:, 0])
