"""Which embedding is perturbed, which of its vectors are shifted, and how far."""

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    Net,
    agree,
    apply,
    close,
    gradients,
    lengths,
    make,
    methods,
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
from textgan.perturb.fgm import FGM
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import find_embedding


def test_the_embedding_that_is_meant() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word_embeddings = nn.Embedding(4, 2)
            self.position_embeddings = nn.Embedding(4, 2)

    network = Two()
    with pytest.raises(UserError, match=r"several embeddings that words go through in Two.*one of: "
                       "word_embeddings, position_embeddings"):  # fmt: skip
        find_embedding(network)
    assert find_embedding(network, "word") is network.word_embeddings
    with pytest.raises(UserError, match="no embedding called 'segment' in Two; give embedding as "
                       "one of: word_embeddings, position_embeddings"):  # fmt: skip
        find_embedding(network, "segment")
    with pytest.raises(UserError, match="several embeddings called 'embeddings'"):
        find_embedding(network, "embeddings")
    with pytest.raises(UserError, match="one of: none"):
        find_embedding(nn.Linear(2, 2))
    exact = nn.ModuleDict({"embedding": nn.Embedding(2, 2), "embedding_2": nn.Embedding(2, 2)})
    assert find_embedding(exact, "embedding") is exact["embedding"]


RANDOM = {"freelb": {"magnitude": 0.5}, "yopo": {"magnitude": 0.5}, "pgd": {"init": "random"}}


@methods
def test_padding_is_never_shifted(name: str) -> None:
    class Careless(Net):
        """Sees padding, too."""

        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.output(self.rest(self.table(ids), torch.ones_like(ids)))
            return logits

    network = Careless()
    settings = RANDOM.get(name, {}) | ({"layer": "rest.first"} if name == "yopo" else {})
    made = make(name, **settings)
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
    for settings in ({}, RANDOM.get(name, {})):
        close(
            apply(make(name, **settings), network, wider),
            apply(make(name, **settings), network),
        )


@methods
def test_a_table_and_what_is_read_of_it_are_one_for_a_sentence_without_repeats(name: str) -> None:
    network = Net(padding=None)
    ids = torch.tensor([[5, 2, 6, 1]])
    settings = {"vat": {"epsilon": 0.0}, "smart": {"sigma": 0.0, "eta": 0.0}}.get(name, {})

    def found(placement: str) -> list[list[Tensor]]:
        made = make(name, placement=placement, **settings)
        loss = network.loss(ids, LABELS[:1])
        left = []
        for _ in range(3):
            made(network, loss, network.outputs(ids))
            left.append(gradients(network))
        return left

    for one, other in zip(found("output"), found("matrix"), strict=True):
        close(one, other)


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
def test_no_embedding_is_an_error_before_anything_happens(name: str) -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(UserError, match="there is no embedding that words go through in Linear"):
        make(name)(network, lambda: (network(torch.ones(2)).sum(), {}), lambda: network.weight)
    assert network.weight.grad is None


def test_a_hugging_face_model_s_shifts_are_of_its_words() -> None:
    transformers = pytest.importorskip("transformers")
    settings = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**settings, intermediate_size=5, max_position_embeddings=8)
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
    settings = {
        "pgd": {"alpha": 0.3, "steps": 6, "init": "random"},
        "free_at": {"alpha": 0.3, "replays": 6},
        "yopo": {"alpha": 0.3, "passes": 6, "magnitude": 2.0},
        "freelb": {"alpha": 0.3, "passes": 6, "magnitude": 2.0},
        "smart": {"eta": 0.3, "steps": 6, "sigma": 0.3},
    }[name]
    made = make(name, epsilon=0.5, placement=placement, **settings)
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
