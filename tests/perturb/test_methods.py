"""Each perturbation against its formulas, written out by hand, in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from perturbed import IDS, LABELS, Net, apply, gradients, lengths, make, watching
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.optim import Loss, swapped_weights
from textgan.perturb.divergences import halves, kl, log_probabilities, squared_error, symmetric_kl
from textgan.perturb.fgm import FGM, FGSM
from textgan.perturb.free_at import FreeAT
from textgan.perturb.freelb import FreeLB
from textgan.perturb.passes import Passes
from textgan.perturb.pgd import PGD
from textgan.perturb.smart import SMART
from textgan.perturb.vat import VAT
from textgan.perturb.yopo import YOPO

placements = pytest.mark.parametrize("placement", ["output", "matrix"])
WORDS = (IDS != 0).double().unsqueeze(-1)


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-13)


class Linear(nn.Module):
    """score of a sentence = sum_t <w, vector_t> over its words, and the loss sum_b c_b score_b."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(7, 3, padding_idx=0)
        self.output = nn.Linear(3, 1, bias=False)
        self.shares = torch.tensor([1.5, -0.5, 2.0])
        self.double()

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.embedding(ids) * (ids != 0).unsqueeze(-1)
        score: Tensor = self.output(vectors).sum(1)
        return score

    def loss(self) -> Loss:
        return (self.shares.double() * self(IDS).squeeze(1)).sum(), {}


def by_hand(shift: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the loss of `Linear` in w (1, E) and in the table, at a shift (B, T, E)."""
    network = Linear()
    shares = network.shares.double().view(3, 1, 1)
    vectors = network.embedding.weight.detach()[IDS] + shift
    of_table = torch.zeros(7, 3, dtype=torch.float64)
    each = (shares * network.output.weight.detach()).expand(3, 4, 3) * WORDS
    of_table.index_put_((IDS,), each, accumulate=True)
    return (shares * vectors * WORDS).sum((0, 1)).unsqueeze(0), of_table


def linear_shift(length: float) -> Tensor:
    """That of every method of length `length`: along c_b w at each word, scaled by sentence."""
    network = Linear()
    w = network.output.weight.detach().view(1, 1, 3)
    sizes = WORDS.sum((1, 2), keepdim=True)
    signs = network.shares.double().sign().view(3, 1, 1)
    return length * signs * w / (w.norm() * sizes.sqrt()) * WORDS


def left(network: Linear) -> tuple[Tensor, Tensor]:
    assert network.output.weight.grad is not None and network.embedding.weight.grad is not None
    return network.output.weight.grad, network.embedding.weight.grad


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
    close(left(network), tuple(share * sum(parts) for parts in zip(*wanted, strict=True)))
    # L(x + r) - L(x) = |r| |g| in every sentence
    sizes = WORDS.sum((1, 2))
    steep = float(
        (network.shares.double().abs() * sizes.sqrt() * network.output.weight.norm().detach()).sum()
    )
    clean = float(network.loss()[0].detach())
    gain = sum(ends) / len(ends) if isinstance(made, FreeLB | YOPO) else min(ends)
    assert float(value) == pytest.approx(clean + gain * steep, rel=1e-12)


def test_fgsm_on_a_linear_model() -> None:
    network = Linear()
    FGSM(epsilon=0.2)(network, network.loss)
    signs = (network.shares.view(3, 1, 1) * network.output.weight.detach()).sign() * WORDS
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(0.2 * signs)
    close(left(network), (one[0] + other[0], one[1] + other[1]))


def test_the_plain_formulas_on_a_linear_model_s_table() -> None:
    network = Linear()
    _, slope = by_hand(torch.zeros(3, 4, 3))
    shift = 0.7 * slope / slope.norm()
    assert shift[4].norm() > 0 and not shift[0].any()
    value, metrics = FGM(epsilon=0.7, placement="matrix")(network, network.loss)
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(shift[IDS])
    close(left(network), (one[0] + other[0], one[1] + other[1]))
    close(metrics["perturbed_loss"], value + 0.7 * slope.norm())


# shifts of the curved network, by the formulas


def at(
    network: Net, shift: Tensor, compute: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of a function of the logits in a shift (B, T, E), and in the weights."""
    leaf = shift.clone().requires_grad_()
    vectors = network.table(IDS) + leaf
    value = compute(network.output(network.rest(vectors, IDS != 0)))
    value.backward()
    assert leaf.grad is not None
    return leaf.grad * WORDS, gradients(network)


def cross_entropy(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, LABELS)


def unit(slope: Tensor) -> Tensor:
    return slope / slope.flatten(1).norm(dim=1).view(3, 1, 1)


def into(shift: Tensor, radius: float) -> Tensor:
    norm = shift.flatten(1).norm(dim=1).view(3, 1, 1)
    return shift * (radius / norm).clamp(max=1.0)


def together(*parts: list[Tensor]) -> list[Tensor]:
    return [torch.stack(each).sum(0) for each in zip(*parts, strict=True)]


def test_fgm_is_its_formula() -> None:
    network = Net()
    slope, clean = at(network, torch.zeros(3, 4, 3).double(), cross_entropy)
    _, there = at(network, 0.8 * unit(slope), cross_entropy)
    close(apply(FGM(epsilon=0.8), network), together(clean, there))


@pytest.mark.parametrize("clean", [True, False])
def test_pgd_is_its_formula(clean: bool) -> None:
    network = Net()
    shift = torch.zeros(3, 4, 3).double()
    _, plain = at(network, shift, cross_entropy)
    for _ in range(4):
        slope, _ = at(network, shift, cross_entropy)
        shift = into(shift + 0.4 * unit(slope), 0.9)
    _, there = at(network, shift, cross_entropy)
    made = PGD(epsilon=0.9, alpha=0.4, steps=4, include_clean=clean)
    close(apply(made, network), together(plain, there) if clean else there)


@placements
def test_pgd_of_one_long_step_is_fgm(placement: str) -> None:
    network = Net(tied=True)
    told = {"epsilon": 0.6, "placement": placement}
    close(
        apply(make("pgd", steps=1, alpha=0.6, **told), network),
        apply(make("fgm", **told), network),
    )


@placements
def test_the_shift_has_length_epsilon(placement: str) -> None:
    network = Net(tied=True)
    for made in (
        make("fgm", epsilon=0.6, placement=placement),
        make("vat", epsilon=0.6, placement=placement),
        make("pgd", epsilon=0.6, alpha=0.6, placement=placement),
    ):
        with watching(network) as shifts:
            apply(made, network)
        of_length = lengths(shifts[-1])
        close(of_length, torch.full_like(of_length, 0.6))
    with watching(network) as shifts:
        apply(make("fgsm", epsilon=0.6, placement=placement), network)
    moved = shifts[-1][shifts[-1] != 0]
    assert len(moved) == (27 if placement == "output" else 18)
    close(moved.abs(), torch.full_like(moved, 0.6))


@placements
@pytest.mark.parametrize("name", ["pgd", "free_at", "yopo", "freelb", "smart"])
def test_all_shifts_are_in_the_ball(name: str, placement: str) -> None:
    network = Net(tied=True)
    told = {
        "pgd": {"alpha": 0.3, "steps": 6, "init": "random"},
        "free_at": {"alpha": 0.3, "replays": 6},
        "yopo": {"alpha": 0.3, "passes": 6, "magnitude": 2.0},
        "freelb": {"alpha": 0.3, "passes": 6, "magnitude": 2.0},
        "smart": {"eta": 0.3, "steps": 6, "sigma": 0.3},
    }[name]
    made = make(name, epsilon=0.5, placement=placement, **told)
    with watching(network) as shifts:
        for _ in range(6 if name == "free_at" else 1):
            made(network, network.loss(), network.outputs())
    if name == "smart":  # its start is a normal one, its ball a cube; the others are clean
        inside = [shift.abs().max() for shift in shifts[4:]]
    else:
        inside = [lengths(shift).max() for shift in shifts]
    assert len(inside) >= 6
    assert max(inside) <= 0.5 * (1 + 1e-12)
    assert max(inside) > 0.499


def test_climbing_hurts() -> None:
    network = Net()
    for name, told in (("fgm", {"epsilon": 0.05}), ("pgd", {"epsilon": 0.2}), ("freelb", {})):
        made = make(name, **told)
        value, metrics = made(network, network.loss())
        assert metrics["perturbed_loss"] > value


# FreeLB and FreeAT


def test_freelb_learns_from_the_mean_over_the_shifts_it_was_at() -> None:
    for placement in ("output", "matrix"):
        network = Net(tied=True)
        made = make("freelb", passes=4, magnitude=0.5, placement=placement)
        assert made.ascents == 3  # type: ignore[attr-defined]
        with watching(network) as shifts:
            found = apply(made, network)
        own = network.table.weight.data
        parts = []
        for shift in shifts:
            if placement == "output":
                parts.append(at(network, shift, cross_entropy)[1])
                continue
            network.table.weight.data = own + shift
            network.loss()()[0].backward()
            parts.append(gradients(network))
            network.table.weight.data = own
        close(found, [gradient / 4 for gradient in together(*parts)])


def test_freelb_without_a_start_or_ascents_is_plain_training() -> None:
    network = Net(dropout=0.5).train()
    for scale in (1.0, 4.0):
        torch.manual_seed(11)
        (network.loss()()[0] * scale).backward()
        plain = gradients(network)
        found = apply(FreeLB(passes=1, magnitude=0.0), network, scale=scale)
        assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))


def test_free_at_moves_its_shift_once_a_call_and_forgets_it() -> None:
    network = Net()
    made = FreeAT(replays=3, alpha=0.4, epsilon=0.6)
    assert made.is_stateful
    for _ in range(2):
        shift = torch.zeros(3, 4, 3, dtype=torch.float64)
        for replay in range(3):
            slope, wanted = at(network, shift, cross_entropy)
            assert bool(made.state) == (replay > 0)
            close(apply(made, network), wanted)
            shift = into(shift + 0.4 * unit(slope), 0.6)
            with torch.no_grad():  # an optimiser's step
                for weight, gradient in zip(network.parameters(), wanted, strict=True):
                    weight -= 0.1 * gradient
        assert made.state == {}


def test_free_at_of_the_paper_keeps_its_shift_and_steps_by_signs() -> None:
    network = Net()
    made = FreeAT(replays=2, alpha=0.3, epsilon=0.3, norm="inf", keep=True)
    shift = torch.zeros(3, 4, 3, dtype=torch.float64)
    for _ in range(5):  # two batches and a half
        slope, wanted = at(network, shift, cross_entropy)
        close(apply(made, network), wanted)
        shift = (shift + 0.3 * slope.sign()).clamp(-0.3, 0.3)
        with torch.no_grad():
            for weight, gradient in zip(network.parameters(), wanted, strict=True):
                weight -= 0.1 * gradient
    assert shift.abs().max() == 0.3


def test_free_at_that_keeps_its_shift_fits_it_to_other_texts() -> None:
    network = Net()
    for rows in (2, 3):
        made = FreeAT(replays=1, keep=True)
        apply(made, network)
        kept = made.state["shift.0"].clone()
        ids = IDS[:rows, :3]
        with watching(network, ids) as shifts:
            made(network, network.loss(ids, LABELS[:rows]))
        network.zero_grad()
        words = (ids != 0).unsqueeze(2)
        close(shifts[:1], [torch.where(words, kept[:rows, :3], 0.0)])
        assert made.state["shift.0"].shape == (rows, 3, 3)
        with watching(network) as shifts:  # and back: what was cut begins at zero
            made(network, network.loss(IDS, LABELS))
        network.zero_grad()
        assert not shifts[0][rows:].any()
        assert not shifts[0][:, 3:].any()
        assert shifts[0].any()


def test_free_at_goes_on_from_its_memory() -> None:
    network = Net()
    one, other = FreeAT(), FreeAT()
    apply(one, network)
    other.state = {key: tensor.clone() for key, tensor in one.state.items()}
    assert all(
        torch.equal(a, b) for a, b in zip(apply(one, network), apply(other, network), strict=True)
    )


def test_free_at_of_another_batch_amid_replays() -> None:
    network, made = Net(), FreeAT()
    apply(made, network)
    with pytest.raises(RuntimeError, match="other texts"):
        made(network, network.loss(IDS[:2], LABELS[:2]))
    network.zero_grad()
    fresh = apply(FreeAT(), network, IDS)  # and then it begins anew
    close(apply(made, network), fresh)


# YOPO


@placements
def test_yopo_of_one_step_is_freelb(placement: str) -> None:
    network = Net(tied=True)
    told = {"passes": 4, "alpha": 0.2, "magnitude": 0.4, "placement": placement}
    close(
        apply(make("yopo", steps=1, **told), network),
        apply(make("freelb", **told), network),
    )


@placements
def test_yopo_s_steps_through_a_linear_layer_are_one_long_one(placement: str) -> None:
    class Affine(Net):
        def __init__(self) -> None:
            super().__init__()
            self.rest.first = nn.Sequential(nn.Linear(3, 3), nn.Identity()).double()

        def forward(self, ids: Tensor) -> Tensor:  # all of it goes through the layer
            seen = torch.tanh(self.rest.first[0](self.table(ids)) * (ids != 0).unsqueeze(-1))
            logits: Tensor = self.output(seen.cumsum(1).tanh().sum(1))
            return logits

    for layer in ("", "rest.first.0"):
        network = Affine()
        told = {"passes": 3, "magnitude": 0.3, "epsilon": 5.0, "placement": placement}
        many = apply(make("yopo", steps=4, alpha=0.1, layer=layer, **told), network)
        one = apply(make("yopo", steps=1, alpha=0.4, layer="", **told), network)
        close(many, one)
        other = apply(make("yopo", steps=1, alpha=0.1, layer="", **told), network)
        assert not torch.allclose(many[0], other[0])


class Layered(Net):
    """Words and positions through a layer that is not linear, then the rest."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(4, 3))
        layers = {
            "norm": nn.LayerNorm(3),
            "tanh": nn.Sequential(nn.Linear(3, 5), nn.Tanh()),
            "dropout": nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5)),
        }
        self.front = layers[kind]
        self.back = nn.Linear(3 if kind == "norm" else 5, 2)
        self.double().train()

    def ahead(self, ids: Tensor) -> Tensor:
        return self.table(ids) + self.positions

    def above(self, first: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = self.back((first.cos() * (ids != 0).unsqueeze(-1)).sum(1))
        return logits

    def forward(self, ids: Tensor) -> Tensor:
        return self.above(self.front(self.ahead(ids)), ids)


@placements
@pytest.mark.parametrize("kind", ["norm", "tanh", "dropout"])
def test_yopo_through_a_layer_is_what_is_written_by_hand(kind: str, placement: str) -> None:
    network = Layered(kind)
    torch.manual_seed(7)
    parts = []
    shift = torch.zeros(7, 3).double() if placement == "matrix" else torch.zeros(3, 4, 3).double()

    def read(leaf: Tensor) -> Tensor:
        return leaf[IDS] if placement == "matrix" else leaf

    def direction(slope: Tensor) -> Tensor:
        return slope / slope.norm() if placement == "matrix" else unit(slope)

    def masked(slope: Tensor) -> Tensor:
        if placement == "output":
            return slope * WORDS
        slope[0] = 0
        return slope

    for number in range(3):
        torch.manual_seed(7)
        first = network.front(network.ahead(IDS) + read(shift))
        first.retain_grad()
        (F.cross_entropy(network.above(first, IDS), LABELS) / 3).backward()
        parts.append(gradients(network))
        assert first.grad is not None
        p = first.grad
        if number == 2:
            break
        for _ in range(3):
            torch.manual_seed(7)
            leaf = shift.clone().requires_grad_()
            again = network.front(network.ahead(IDS).detach() + read(leaf))
            (slope,) = torch.autograd.grad((p * again).sum(), leaf)
            moved = shift + 0.3 * direction(masked(slope))
            shift = (
                into(moved, 0.7)
                if placement == "output"
                else moved * min(1.0, 0.7 / float(moved.norm()))
            )
    torch.manual_seed(7)
    made = make(
        "yopo", passes=3, steps=3, alpha=0.3, epsilon=0.7, layer="front", placement=placement
    )
    made(network, network.loss())
    close(gradients(network), together(*parts))


def test_yopo_calls_the_layer_and_not_the_rest() -> None:
    network, calls = Layered("tanh"), {"front": 0, "back": 0}
    for name in calls:

        def count(module: nn.Module, read: Any, name: str = name) -> None:
            calls[name] += 1

        network.get_submodule(name).register_forward_pre_hook(count)
    YOPO(passes=4, steps=3, layer="front")(network, network.loss())
    assert calls == {"front": 4 + 3 * 2, "back": 4}


@pytest.mark.parametrize(("layer", "message"), [
    ("fornt", r"has no such module; did you mean 'front'\?; known: words, words.embedding, rest"),
    ("back", "Linear does not read the vectors of the embedding"),
    ("words.embedding", "Embedding does not read the vectors"),
    ("unused", "once for each time it reads"),
])  # fmt: skip
def test_yopo_of_no_first_layer(layer: str, message: str) -> None:
    network = Layered("tanh")
    with pytest.raises(UserError, match=f"yopo: layer = '{layer}': .*{message}") as refused:
        YOPO(layer=layer)(network, network.loss())
    assert "\n" not in str(refused.value)
    assert not network.front._forward_hooks and not network.table._forward_hooks


# divergences, VAT, SMART


def test_divergences() -> None:
    a, b = torch.randn(2, 6, 3, dtype=torch.float64) * 3
    p, q = a.softmax(1), b.softmax(1)
    close(kl(a, b), (p * (p / q).log()).sum(1).mean())
    close(symmetric_kl(a, b), kl(a, b) + kl(b, a))
    close(squared_error(a, b), (a - b).square().sum(1).mean())
    for between in (symmetric_kl, squared_error):
        assert torch.equal(between(a, b), between(b, a))
        assert between(a, b) > 0
        assert between(a, a) == 0
    # one column is a coin
    one, other = a[:, :1], b[:, :1]
    close(log_probabilities(one).exp(), torch.cat([one.sigmoid(), (-one).sigmoid()], 1))
    coin = torch.distributions.Bernoulli
    close(
        kl(one, other),
        torch.distributions.kl_divergence(coin(logits=one), coin(logits=other)).mean(),
    )
    value, of_a, of_b = halves(symmetric_kl, a, b)
    sides = a.clone().requires_grad_(), b.clone().requires_grad_()
    whole = symmetric_kl(*sides)
    close((of_a, of_b), torch.autograd.grad(whole, sides))
    assert not value.requires_grad
    # never negative, also where both are nearly the same and in float32
    near = a.float() + 1e-6 * torch.randn(6, 3)
    assert symmetric_kl(a.float(), near) >= 0
    sure = torch.tensor([[0.0, -1e9]])  # a word that may not be written
    assert kl(sure, sure) == 0 and symmetric_kl(sure, sure) == 0


@pytest.mark.parametrize("name", ["vat", "smart"])
def test_what_compares_outputs_needs_them(name: str) -> None:
    network = Net()
    with pytest.raises(UserError, match=f"{name} compares what a network says: give it outputs"):
        make(name)(network, network.loss())
    with pytest.raises(UserError, match=rf"{name}: outputs gives a tensor of shape \(3,\)"):
        make(name)(network, network.loss(), lambda: network(IDS)[:, 0])


def starting(monkeypatch: pytest.MonkeyPatch, noise: Tensor) -> None:
    """Normal noise is this."""
    monkeypatch.setattr(
        Passes, "normal", lambda self, deviation: lambda zeros, count: deviation * noise * count
    )


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("iterations", [1, 3])
def test_vat_is_its_formula(classes: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Net(classes=classes)
    noise = torch.randn(3, 4, 3, dtype=torch.float64)
    starting(monkeypatch, noise)

    def loss(logits: Tensor) -> Tensor:
        return logits.square().mean()

    said = network(IDS).detach()
    d = unit(noise * WORDS)
    _, clean = at(network, torch.zeros_like(noise), loss)
    for _ in range(iterations):
        slope, _ = at(network, 0.2 * d, lambda logits: kl(said, logits))
        d = unit(slope)
    _, there = at(network, 0.9 * d, lambda logits: 1.5 * kl(said, logits))
    made = VAT(epsilon=0.9, xi=0.2, iterations=iterations, weight=1.5)
    value, metrics = made(network, lambda: (loss(network(IDS)), {}), network.outputs())
    close(gradients(network), together(clean, there))
    close(value, loss(said))
    assert metrics["divergence"] > 0


def test_vat_finds_where_the_divergence_curves_most() -> None:
    """The more iterations, the nearer the first eigenvector of the KL's Hessian at zero."""
    network = Net()
    ids = IDS[:1]
    said = network(ids).detach()

    def divergence(shift: Tensor) -> Tensor:
        vectors = network.table(ids) + shift.view(1, 4, 3)
        return kl(said, network.output(network.rest(vectors, ids != 0)))

    found = torch.autograd.functional.hessian(divergence, torch.zeros(12, dtype=torch.float64))
    curvatures, vectors = torch.linalg.eigh(found)
    # of two classes the Hessian has rank one: one iteration is enough
    assert curvatures[-2].abs() < 1e-12 * curvatures[-1]
    with watching(network, ids) as shifts:
        VAT(epsilon=1.0, xi=1e-5)(network, network.loss(ids, LABELS[:1]), network.outputs(ids))
    cosine = shifts[-1].flatten() @ vectors[:, -1]
    assert float(cosine.abs()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("projection", ["ball", "unit"])
@pytest.mark.parametrize("divergence", ["kl", "squared"])
def test_smart_is_its_formula(
    steps: int, projection: str, divergence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Net()
    noise = torch.randn(3, 4, 3, dtype=torch.float64)
    starting(monkeypatch, noise)
    between = symmetric_kl if divergence == "kl" else squared_error
    said = network(IDS).detach()
    shift = 0.05 * noise * WORDS
    for _ in range(steps):
        slope, _ = at(network, shift, lambda logits: between(said, logits))
        if projection == "ball":
            largest = slope.abs().amax((1, 2), keepdim=True)
            shift = (shift + 0.3 * slope / largest).clamp(-0.4, 0.4)
        else:
            shift = shift + 0.3 * slope
            shift = shift / (shift.abs().amax(2, keepdim=True) + 1e-6)
            assert (shift.abs().amax(2)[IDS != 0] > 0.999).all()
    vectors = network.table(IDS)
    shifted = network.output(network.rest(vectors + shift, IDS != 0))
    loss, _ = network.loss()()
    (loss + 1.5 * between(network(IDS), shifted)).backward()  # one graph: both sides have gradients
    wanted = gradients(network)
    made = SMART(
        weight=1.5, sigma=0.05, eta=0.3, epsilon=0.4, steps=steps,
        projection=projection, divergence=divergence,  # type: ignore[arg-type]
    )  # fmt: skip
    value, metrics = made(network, network.loss(), network.outputs())
    close(gradients(network), wanted)
    close(value, loss.detach())
    close(metrics["divergence"], between(said, shifted.detach()))
    assert made.state == {} and not made.is_stateful


def test_smart_on_a_tied_table_is_the_gradient_of_both_sides() -> None:
    network = Net(tied=True)
    own = network.table.weight.detach().clone()
    made = make("smart", mu=0.0, placement="matrix", sigma=0.2)
    with watching(network) as shifts:
        found = apply(made, network)
    shift = shifts[-1]

    def whole(weight: Tensor) -> Tensor:
        def said(table: Tensor) -> Tensor:
            parameters = {"words.embedding.weight": table, "output.weight": table}
            logits: Tensor = torch.func.functional_call(network, parameters, (IDS,))
            return logits

        return F.cross_entropy(said(weight), LABELS) + symmetric_kl(
            said(weight), said(weight + shift)
        )

    table = own.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(whole(table), table)
    close(found[0], wanted)


@placements
@pytest.mark.parametrize("divergence", ["kl", "squared"])
def test_smart_is_nothing_without_a_start_and_steps(placement: str, divergence: str) -> None:
    network = Net(tied=True)
    network.loss()()[0].backward()
    plain = gradients(network)
    for told in ({"sigma": 0.0, "eta": 0.0}, {"sigma": 0.0}):
        made = make("smart", mu=0.0, placement=placement, divergence=divergence, **told)
        torch.manual_seed(0)
        _, metrics = made(network, network.loss(), network.outputs())
        assert metrics["divergence"] == 0
        assert all(torch.equal(a, b) for a, b in zip(gradients(network), plain, strict=True))
    for seed in range(5):
        torch.manual_seed(seed)
        made = make("smart", mu=0.0, placement=placement, divergence=divergence)
        _, metrics = made(network, network.loss(), network.outputs())
        assert metrics["divergence"] > 0


def test_smart_s_average_of_the_weights() -> None:
    network = Net()
    made = SMART(weight=0.0, mu=2.0, beta=0.5, beta_later=0.75, early=3)
    assert made.is_stateful
    own = {f"average.{name}": weight for name, weight in network.named_parameters()}
    averages: dict[str, Tensor] = {}
    for update in range(1, 7):
        beta = 0.5 if update <= 3 else 0.75
        for name, weight in own.items():
            now = weight.detach().clone()
            averages[name] = now if update == 1 else beta * averages[name] + (1 - beta) * now
        with swapped_weights(network, {n.partition(".")[2]: w for n, w in averages.items()}):
            before = network(IDS).detach()
        loss, _ = network.loss()()
        (loss + 2.0 * symmetric_kl(network(IDS), before)).backward()
        wanted = gradients(network)
        _, metrics = made(network, network.loss(), network.outputs())
        close(gradients(network), wanted)
        close(metrics["drift"], symmetric_kl(network(IDS).detach(), before))
        assert (metrics["drift"] == 0) == (update == 1)
        assert int(made.state["updates"]) == update
        for name, average in averages.items():
            close(made.state[name], average)
        with torch.no_grad():
            for weight in network.parameters():
                weight += 0.1 * torch.randn_like(weight)


def test_an_average_decays_by_beta() -> None:
    """From weights 1 to weights 0: beta^n after n updates with them."""
    network = Net()
    made = SMART(mu=1.0, beta=0.9, beta_later=0.5, early=4)
    for weight in network.parameters():
        nn.init.ones_(weight)
    made(network, network.loss(), network.outputs())
    for weight in network.parameters():
        nn.init.zeros_(weight)
    wanted = 1.0
    for n, beta in enumerate([0.9] * 3 + [0.5] * 3, start=2):
        wanted *= beta
        made(network, network.loss(), network.outputs())
        for name, tensor in made.state.items():
            if name != "updates":
                close(tensor, torch.full_like(tensor, wanted))
        assert int(made.state["updates"]) == n


def test_smart_goes_on_from_its_memory_and_knows_its_network() -> None:
    network = Net()
    one, other = make("smart"), make("smart")
    apply(one, network)
    with torch.no_grad():
        network.output.weight += 1
    other.state = {key: tensor.clone() for key, tensor in one.state.items()}
    assert all(
        torch.equal(a, b) for a, b in zip(apply(one, network), apply(other, network), strict=True)
    )
    kept = dict(one.state)
    with pytest.raises(ValueError, match="another network"):
        apply(one, Net(tied=True))
    assert one.state == kept


@pytest.mark.parametrize("tied", [False, True])
def test_weights_that_are_exchanged_come_back_to_the_bit(tied: bool) -> None:
    network = Net(tied=tied)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    averages = {name: torch.rand_like(weight) for name, weight in before.items()}
    read = "words.embedding.weight" if tied else "output.weight"

    def broken() -> None:
        with swapped_weights(network, averages):
            assert torch.equal(network.output.weight, averages[read])
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name])
