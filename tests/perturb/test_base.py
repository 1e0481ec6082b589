"""What all perturbations share: what is restored, which vectors are shifted, which passes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    METHODS,
    WORDS,
    Linear,
    Net,
    agree,
    apply,
    by_hand,
    gradients,
    left,
    lengths,
    linear_shift,
    make,
    placements,
    same_state,
    state_of,
    watching,
)
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.optim import Loss
from textgan.data.text import TextSpace
from textgan.perturb.base import perturbation
from textgan.perturb.fgm import FGM, FGSM
from textgan.perturb.free_at import FreeAT
from textgan.perturb.freelb import FreeLB
from textgan.perturb.passes import Passes
from textgan.perturb.pgd import PGD
from textgan.perturb.smart import SMART
from textgan.perturb.vat import VAT
from textgan.perturb.yopo import YOPO

methods = pytest.mark.parametrize("name", METHODS)
PASSES = {"free_at": 1, "vat": 4, "smart": 5, "pgd": 4, "freelb": 3, "yopo": 3}  # else 2
BACKWARD = PASSES | {"vat": 3, "smart": 4}
RANDOM = {"freelb": {"magnitude": 0.5}, "yopo": {"magnitude": 0.5}, "pgd": {"init": "random"}}


def close(found: list[Tensor], wanted: list[Tensor]) -> None:
    """Equal but for rounding, and not all zero."""
    assert any(tensor.any() for tensor in wanted)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


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
        found = compute()
        counter.append(1)
        if len(counter) == at:
            raise Broken
        return found

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
    found = apply(made, network)  # free_at has a shift for its second call only
    assert not torch.allclose(found[0], plain[0], rtol=1e-3)
    assert not torch.allclose(found[1], plain[1], rtol=1e-3)


@methods
def test_what_it_returns_has_no_graph(name: str) -> None:
    network = Net()
    value, metrics = make(name)(network, network.loss(), network.outputs())
    assert not value.requires_grad
    assert not any(figure.requires_grad for figure in metrics.values())
    assert value.shape == ()


# which vectors are shifted


@methods
def test_padding_is_never_shifted(name: str) -> None:
    class Careless(Net):
        """Sees padding, too."""

        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.output(self.rest(self.table(ids), torch.ones_like(ids)))
            return logits

    network = Careless()
    told = RANDOM.get(name, {}) | ({"layer": "rest.first"} if name == "yopo" else {})
    made = make(name, **told)
    with watching(network) as shifts:
        for _ in range(2):
            made(network, network.loss(), network.outputs())
    assert any(shift.any() for shift in shifts)
    for shift in shifts:
        assert not shift[IDS == 0].any()


@methods
def test_a_table_s_padding_stays(name: str) -> None:
    network = Net(tied=True)  # where the softmax would move it
    made = make(name, placement="matrix", **RANDOM.get(name, {}))
    with watching(network) as shifts:
        for _ in range(2):
            made(network, network.loss(), network.outputs())
    moved = [shift for shift in shifts if shift.dim() == 2]
    assert moved
    assert not any(shift[0].any() for shift in moved)


@methods
def test_more_padding_changes_no_gradient(name: str) -> None:
    network = Net()
    wider = F.pad(IDS, (0, 3))
    for told in ({}, RANDOM.get(name, {})):
        close(
            apply(make(name, **told), network, wider),
            apply(make(name, **told), network),
        )


@methods
def test_a_table_and_what_is_read_of_it_are_one_for_a_sentence_without_repeats(name: str) -> None:
    network = Net(padding=None)
    ids = torch.tensor([[5, 2, 6, 1]])
    told = {"vat": {"epsilon": 0.0}, "smart": {"sigma": 0.0, "eta": 0.0}}.get(name, {})

    def found(placement: str) -> list[list[Tensor]]:
        made = make(name, placement=placement, **told)
        loss = network.loss(ids, LABELS[:1])
        left = []
        for _ in range(3):
            made(network, loss, network.outputs(ids))
            left.append(gradients(network))
        return left

    for one, other in zip(found("output"), found("matrix"), strict=True):
        close(one, other)


@pytest.mark.parametrize("name", ["vat", "smart"])
def test_the_same_for_those_that_start_at_random(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Net(padding=None)
    ids = torch.tensor([[5, 2, 6, 1]])
    table = torch.randn(7, 3, dtype=torch.float64)
    made = {place: make(name, placement=place) for place in ("output", "matrix")}

    def normal(passes: Passes, deviation: float) -> Any:
        kept = torch.zeros(7, 1).index_fill_(0, ids[0], 1.0).double() * table
        return lambda zeros, count: deviation * (kept if zeros.dim() == 2 else table[ids])

    monkeypatch.setattr(Passes, "normal", normal)
    loss = network.loss(ids, LABELS[:1])
    left = []
    for one in made.values():
        one(network, loss, network.outputs(ids))
        left.append(gradients(network))
    close(*left)


def test_a_generator_s_first_symbol_is_no_padding() -> None:
    class Reader(Net):
        space = TextSpace(7, 5, eos=1)

    network = Reader(padding=None)
    ids = torch.tensor([[0, 4, 5, 0]])
    place = Passes(network, FGM()).target
    with place.shifted(lambda zeros, count: torch.ones_like(zeros)) as here:
        network.table(ids)
    assert here.shifts[0][0, :, 0].tolist() == [1, 1, 1, 0]
    Reader.space = TextSpace(7, 5)
    place = Passes(network, FGM()).target
    with place.shifted(lambda zeros, count: torch.ones_like(zeros)) as here:
        network.table(ids)
    assert here.shifts[0][0, :, 0].tolist() == [1, 1, 1, 1]


def test_what_is_read_without_gradients_is_a_constant() -> None:
    network = Net()
    own = network.table.weight.detach()[IDS]
    with Passes(network, FGM()).target.shifted(lambda zeros, count: torch.ones_like(zeros)) as here:
        with torch.no_grad():
            assert torch.equal(network.table(IDS), own)
        assert not here.shifts
        assert torch.equal(network.table(IDS).detach(), own + (IDS != 0).unsqueeze(-1))
    assert len(here.shifts) == 1


@methods
def test_closures_that_read_several_texts_and_some_without_gradients(name: str) -> None:
    network = Net()
    real, fake = IDS, torch.tensor([[3, 1, 2], [6, 0, 0]])

    def read() -> Tensor:
        with torch.no_grad():
            shift = network(IDS[:1]).mean()  # a constant of the loss
        return torch.cat([network(real), network(fake)]) - shift

    def loss() -> Loss:
        said = read()
        return F.cross_entropy(said[:3], LABELS) + F.cross_entropy(said[3:], LABELS[:2]), {}

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
    found = gradients(network)
    if name not in ("vat", "smart"):  # whose means over both are others than over each
        apart = zip(one(real, LABELS), one(fake, LABELS[:2]), strict=True)
        close(found, [a + b for a, b in apart])


@placements
def test_texts_that_change_between_passes_are_refused(placement: str) -> None:
    for first, second in ((IDS, IDS[:2]), (IDS, IDS[:, :2])):
        network = Net()
        texts = [second, first]

        def loss(texts: list[Tensor] = texts, network: Net = network) -> Loss:
            ids = texts.pop()
            return F.cross_entropy(network(ids), LABELS[: len(ids)]), {}

        before = state_of(network)
        if placement == "output":
            with pytest.raises(RuntimeError, match="draw them before"):
                FGM()(network, loss)
        else:
            FGM(placement="matrix")(network, loss)
        same_state(network, before)
    network, reads = Net(), [1, 2]

    def fewer() -> Loss:
        values = [network.loss()()[0] for _ in range(reads.pop())]
        return torch.stack(values).sum(), {}

    with pytest.raises(RuntimeError, match="draw them before"):
        FGM()(network, fewer)


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
    found = gradients(network)
    assert all(gradient.isfinite().all() for gradient in found)
    assert found[0].any()
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


# which passes


@methods
@placements
def test_as_many_passes_as_are_promised(name: str, placement: str) -> None:
    network, backward = Net(), list[int]()
    made = make(name, placement=placement)

    def count(tensor: Tensor) -> Tensor:
        tensor.register_hook(lambda gradient: backward.append(1))
        return tensor

    with watching(network) as forward:
        made(
            network,
            lambda: (count(network.loss()()[0]), {}),
            lambda: count(network(IDS)),
        )
    assert len(forward) == PASSES.get(name, 2)
    assert len(backward) == BACKWARD.get(name, 2)


@pytest.mark.parametrize(("told", "forward"), [
    (PGD(steps=5), 6), (PGD(steps=2, init="random"), 4),
    (PGD(steps=2, init="random", include_clean=False), 3), (FreeLB(passes=4), 4),
    (VAT(iterations=3), 6), (SMART(steps=3), 6), (SMART(steps=3, mu=1.0), 7),
], ids=str)  # fmt: skip
def test_passes_with_other_settings(told: Any, forward: int) -> None:
    network = Net()
    with watching(network) as passes:
        told(network, network.loss(), network.outputs())
    assert len(passes) == forward


@methods
def test_dropout_falls_alike_in_all_passes(name: str) -> None:
    network = Net(dropout=0.5).train()
    still = {
        "fgm": {"epsilon": 0.0}, "fgsm": {"epsilon": 0.0}, "pgd": {"epsilon": 0.0},
        "freelb": {"alpha": 0.0}, "yopo": {"alpha": 0.0}, "free_at": {"replays": 1},
        "vat": {"epsilon": 0.0, "xi": 1e-300}, "smart": {"sigma": 0.0, "eta": 0.0},
    }[name]  # fmt: skip
    seen: list[Tensor] = []
    network.output.register_forward_hook(lambda module, read, out: seen.append(out.detach()))
    for same in (True, False):
        seen.clear()
        make(name, same_dropout=same, **still)(network, network.loss(), network.outputs())
        alike = [torch.equal(seen[0], other) for other in seen[1:]]
        assert all(alike) if same else not any(alike)


@methods
def test_the_stream_of_random_numbers_goes_on(name: str) -> None:
    """Two calls are not alike, and the same seed gives the same."""
    network = Net(dropout=0.5).train()

    def three() -> list[list[Tensor]]:
        torch.manual_seed(0)
        found = []
        for _ in range(3):
            make(name)(network, network.loss(), network.outputs())
            found.append(gradients(network))
        return found

    first, again = three(), three()
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(first[0][1], first[1][1])


def test_noise() -> None:
    network = Net(padding=None)
    passes = Passes(network, FGM())
    uniform, normal = passes.uniform(0.7), passes.normal(0.3)
    assert uniform is not None and normal is not None
    assert passes.uniform(0.0) is None and passes.normal(0.0) is None
    zeros = torch.zeros(40, 50, 30, dtype=torch.float64)
    count = torch.ones_like(zeros, dtype=torch.bool)
    count[:, 20:] = False
    start = uniform(zeros, count)[:, :20]
    # the true length times the embedding's size
    assert 0.999 * 0.7 / 600**0.5 < start.abs().max() <= 0.7 / 600**0.5
    of_length = start.flatten(1).norm(dim=1)
    torch.testing.assert_close(
        of_length, torch.full_like(of_length, 0.7 / 3**0.5), rtol=0.1, atol=0
    )
    drawn = normal(zeros, torch.ones_like(count)) / 0.3
    assert abs(drawn.mean()) < 5 / drawn.numel() ** 0.5
    assert abs(drawn.square().mean() - 1) < 5 * (2 / drawn.numel()) ** 0.5
    for z, share in ((1.0, 0.841345), (-0.5, 0.308538), (2.5, 0.993790)):
        assert abs((drawn < z).double().mean() - share) < 5 * 0.5 / drawn.numel() ** 0.5
    assert not torch.equal(drawn[0], drawn[1])


# what is wrong


@methods
def test_no_embedding_is_an_error_before_anything_happens(name: str) -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(UserError, match="there is no embedding that words go through in Linear"):
        make(name)(network, lambda: (network(torch.ones(2)).sum(), {}), lambda: network.weight)
    assert network.weight.grad is None


@pytest.mark.parametrize(("told", "names"), [
    ("fgn", ["discriminator.perturb", "'fgn'", "did you mean 'fgm'?", "freelb"]),
    ("fgm(epsilom=1)", ["discriminator.perturb.epsilom", "did you mean 'epsilon'?", "placement"]),
    ("fgm(epsilon=-1)", ["discriminator.perturb.epsilon = -1", "greater than or equal to 0"]),
    ("fgm(epsilon=inf)", ["discriminator.perturb.epsilon = inf", "finite"]),
    ("fgm(placement=words)", ["discriminator.perturb.placement = 'words'", "'matrix'"]),
    ("fgm(epsilon=1", ["discriminator.perturb = 'fgm(epsilon=1'", "fgm(epsilon=1.0)"]),
    ("fgm epsilon=1)", ["discriminator.perturb", "fgm(epsilon=1.0)"]),
    ("fgm(epsilon)", ["discriminator.perturb = 'fgm(epsilon)'", "'epsilon' is not a setting",
                      "epsilon=1.0"]),
    ("fgm(epsilon=1, epsilon=2)", ["'epsilon=2' is there twice"]),
    ("pgd(steps=0)", ["discriminator.perturb.steps = 0"]),
    ("smart(divergence=js)", ["discriminator.perturb.divergence = 'js'", "'squared'"]),
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


def test_five_lines_on_a_plain_model() -> None:
    network = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(12, 2))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    values = []
    made = FGM(epsilon=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        value, _ = made(network, lambda: (F.cross_entropy(network(IDS), LABELS), {}))
        optimiser.step()
        values.append(float(value))
    assert values[-1] < values[0] / 3


@methods
@placements
def test_a_hugging_face_model(name: str, placement: str) -> None:
    transformers = pytest.importorskip("transformers")
    told = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**told, intermediate_size=5, max_position_embeddings=8)
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


def test_a_hugging_face_model_s_shifts_are_of_its_words() -> None:
    transformers = pytest.importorskip("transformers")
    told = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**told, intermediate_size=5, max_position_embeddings=8)
    network = transformers.BertForSequenceClassification(config).double()
    seen: list[Tensor] = []
    norm = network.bert.embeddings.LayerNorm
    norm.register_forward_pre_hook(lambda module, read: seen.append(read[0].detach()))
    FGM(epsilon=0.3)(network, lambda: (F.cross_entropy(network(IDS).logits, LABELS), {}))
    torch.testing.assert_close(lengths(seen[1] - seen[0]), torch.full((3,), 0.3).double())
    assert not (seen[1] - seen[0])[IDS == 0].any()


class ByName(nn.Module):
    """A network that reads its embedding by the name of the argument, or not at all."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.reads = reads

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.embedding(input=ids) if self.reads else torch.ones(3, requires_grad=True)
        return vectors.square().sum()


def test_an_embedding_may_be_read_by_keyword() -> None:
    network, ids = ByName(True), torch.tensor([[1, 2]])
    value, _ = FGM(epsilon=0.5)(network, lambda: (network(ids), {}))
    vectors = network.embedding.weight[[1, 2]].detach()
    assert torch.allclose(value, vectors.square().sum())
    shift = 0.5 * vectors / vectors.norm()
    assert network.embedding.weight.grad is not None
    assert torch.allclose(
        network.embedding.weight.grad[[1, 2]], 2 * vectors + 2 * (vectors + shift)
    )


def test_a_loss_that_does_not_read_the_embedding_is_refused() -> None:
    network = ByName(False)
    with pytest.raises(UserError, match="does not read the embedding"):
        FGM()(network, lambda: (network(torch.tensor([[1, 2]])), {}))
    assert not network.embedding._forward_hooks


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


def test_fgsm_on_a_linear_model() -> None:
    network = Linear()
    FGSM(epsilon=0.2)(network, network.loss)
    signs = (network.shares.view(3, 1, 1) * network.output.weight.detach()).sign() * WORDS
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(0.2 * signs)
    agree(left(network), (one[0] + other[0], one[1] + other[1]))


def test_the_plain_formulas_on_a_linear_model_s_table() -> None:
    network = Linear()
    _, slope = by_hand(torch.zeros(3, 4, 3))
    shift = 0.7 * slope / slope.norm()
    assert shift[4].norm() > 0 and not shift[0].any()
    value, metrics = FGM(epsilon=0.7, placement="matrix")(network, network.loss)
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(shift[IDS])
    agree(left(network), (one[0] + other[0], one[1] + other[1]))
    agree(metrics["perturbed_loss"], value + 0.7 * slope.norm())


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
        agree(of_length, torch.full_like(of_length, 0.6))
    with watching(network) as shifts:
        apply(make("fgsm", epsilon=0.6, placement=placement), network)
    moved = shifts[-1][shifts[-1] != 0]
    assert len(moved) == (27 if placement == "output" else 18)
    agree(moved.abs(), torch.full_like(moved, 0.6))


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


@pytest.mark.parametrize("name", ["vat", "smart"])
def test_what_compares_outputs_needs_them(name: str) -> None:
    network = Net()
    with pytest.raises(UserError, match=f"{name} compares what a network says: give it outputs"):
        make(name)(network, network.loss())
    with pytest.raises(UserError, match=rf"{name}: outputs gives a tensor of shape \(3,\)"):
        make(name)(network, network.loss(), lambda: network(IDS)[:, 0])
