"""Contrastive losses, attacks and templates, against their closed forms."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.seeds import fork_rng
from textgan.core.settings import settings_of
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import EOS, MASK_WORD, UNKNOWN, WordTokenizer
from textgan.data.tokenizers import FIRST as WORD
from textgan.encoders.config import rate_at
from textgan.encoders.contrast.base import Batch, vectors
from textgan.encoders.contrast.losses import cosines, info_nce, unit
from textgan.encoders.contrast.masked_words import MaskedWords, hide
from textgan.encoders.contrast.promptbert import PromptBERT
from textgan.encoders.contrast.scal import SCAL
from textgan.encoders.contrast.simcse import SimCSE
from textgan.encoders.contrast.uscal import USCAL
from textgan.encoders.data import batch_rows
from textgan.encoders.templates import FIRST, SECOND, Template
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.rnn import RNNDiscriminator
from textgan.models.discriminators.transformer import TransformerDiscriminator
from textgan.models.embedding import TokenEmbedding
from textgan.perturb.shifts import EmbeddingOutput, Shifts

WORDS = ["a", "cat", "dog", "sees", "likes", "trees", "This", "sentence", "of", '"', "means", "."]
LINES = ["a cat", "a dog sees a cat", "trees", "dog likes trees .", "a cat likes a dog sees trees"]
TAU = 0.05


def tokenizer(length: int = 30, words: Sequence[str] = (*WORDS, ":", MASK_WORD)) -> WordTokenizer:
    return WordTokenizer(tuple(words), length=length)


def space_of(vocabulary: int) -> TextSpace:
    return TextSpace(vocabulary, 30, EOS, unknown=UNKNOWN)


def batch(labels: Sequence[int] | None = None, lines: Sequence[str] = LINES) -> Batch:
    ids = tokenizer().encode(lines)
    return Batch(ids, None if labels is None else torch.tensor(labels))


def transformer(dropout: float = 0.0, classes: int = 0, length: int = 30) -> Any:
    space = TextSpace(tokenizer().space.vocabulary, length, EOS, classes)
    network = TransformerDiscriminator(space, embedding=8, layers=2, heads=2, dropout=dropout)
    return network.double()


class Bag(Discriminator):
    """h = tanh of a linear map of the sum of a sentence's vectors: a network that can be written
    down as a function of what the embedding reads out."""

    def __init__(self, classes: int = 0, dropout: float = 0.0) -> None:
        super().__init__(TextSpace(tokenizer().space.vocabulary, 30, EOS, classes))
        self.embedding = TokenEmbedding(self.space.vocabulary, 6)
        self.inner = nn.Linear(6, 5)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(5, max(1, classes))

    def features(self, text: Text) -> Tensor:
        return self.of(self.embedding(text.inputs), text.mask)

    def of(self, read: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.inner((read * mask.unsqueeze(2)).sum(1)).tanh()
        return found


class Spy(EmbeddingOutput):
    """Remembers the shifts that it was told."""

    told: list[Shifts]

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Any]:
        self.told.append(shifts)
        with super().shifted(shifts) as here:
            yield here


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The shifts of all passes of USCAL and SCAL."""
    found: list[Any] = []
    monkeypatch.setattr(Spy, "told", found, raising=False)
    monkeypatch.setattr("textgan.perturb.shifts.EmbeddingOutput", Spy)
    return found


def gradients(module: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(w) if w.grad is None else w.grad for w in module.parameters()]


def assert_gradients(module: nn.Module, expected: Tensor) -> None:
    wanted = torch.autograd.grad(expected, list(module.parameters()), allow_unused=True)
    for found, one in zip(gradients(module), wanted, strict=True):
        torch.testing.assert_close(found, torch.zeros_like(found) if one is None else one)


# the loss


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_identical_orthonormal_views(size: int, temperature: float) -> None:
    basis = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]
    scaled = basis * torch.rand(size, 1, dtype=torch.float64)  # lengths do not count
    expected = math.log1p((size - 1) * math.exp(-1 / temperature))
    assert float(info_nce(basis, scaled, temperature)) == pytest.approx(expected, rel=1e-12)


def test_a_batch_of_one_costs_nothing() -> None:
    a, b = torch.randn(2, 1, 5, dtype=torch.float64)
    assert float(info_nce(a, b, TAU)) == 0.0


def test_info_nce_is_its_formula() -> None:
    a, b = torch.randn(4, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    total = 0.0
    for i in range(4):
        terms = [math.exp(float(F.cosine_similarity(a[i], b[j], dim=0)) / 0.3) for j in range(6)]
        total -= math.log(terms[i] / sum(terms))
    assert float(info_nce(a, b, 0.3)) == pytest.approx(total / 4, rel=1e-12)


def test_the_order_of_a_batch_is_nothing() -> None:
    a, b = torch.randn(2, 7, 4, dtype=torch.float64)
    order = torch.randperm(7)
    torch.testing.assert_close(info_nce(a[order], b[order], TAU), info_nce(a, b, TAU))
    assert not torch.isclose(info_nce(a[order], b, TAU), info_nce(a, b, TAU))


def test_the_gradient_of_a_cosine_is_orthogonal_to_the_vector() -> None:
    a, b = torch.randn(2, 5, 4, dtype=torch.float64).unbind()
    a.requires_grad_(), b.requires_grad_()
    of_a, of_b = torch.autograd.grad(info_nce(a, b, 0.1), (a, b))
    assert of_a.norm() > 1e-3
    torch.testing.assert_close((a * of_a).sum(1), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close((b * of_b).sum(1), torch.zeros(5, dtype=torch.float64))


def test_a_vector_of_zeros_has_no_direction_and_no_gradient() -> None:
    a = torch.randn(3, 4, dtype=torch.float64)
    a[1] = 0
    a.requires_grad_()
    assert not unit(a)[1].any()
    assert not cosines(a, a)[1].any()
    value = info_nce(a, torch.randn(3, 4, dtype=torch.float64), TAU)
    (slope,) = torch.autograd.grad(value, a)
    assert value.isfinite()
    assert slope.isfinite().all()
    assert not slope[1].any()


# simcse


def test_simcse_contrasts_two_draws_of_dropout() -> None:
    method = SimCSE(transformer(dropout=0.3), tokenizer()).double()
    text = method.read(batch())
    with fork_rng(3, torch.device("cpu")):
        first, second = (method.head(method.network.dropout(method.network.features(text)))
                         for _ in range(2))  # fmt: skip
    assert not torch.equal(first, second)
    with fork_rng(3, torch.device("cpu")):
        value, _ = method.accumulate(batch())
    torch.testing.assert_close(value, info_nce(first, second, TAU).detach())
    assert_gradients(method, info_nce(first, second, TAU))


def test_looks_of_a_network_without_inner_dropout_differ() -> None:
    space = TextSpace(tokenizer().space.vocabulary, 30, EOS)
    method = SimCSE(RNNDiscriminator(space, embedding=4, hidden=3, dropout=0.5), tokenizer())
    text = method.read(batch())
    assert torch.equal(method.network.features(text), method.network.features(text))
    assert not torch.equal(method.view(text), method.view(text))


def test_held_out_loss_draws_dropout_and_leaves_it_off() -> None:
    method = SimCSE(transformer(dropout=0.3), tokenizer()).double()
    off = [module.eval() for module in method.modules() if isinstance(module, nn.Dropout)]
    with fork_rng(1, torch.device("cpu")):
        one = method.validation_step(batch())
    with fork_rng(2, torch.device("cpu")):
        other = method.validation_step(batch())
    assert not one.requires_grad
    assert one != other
    assert not any(module.training for module in off)


@pytest.mark.parametrize("on", [True, False])
def test_the_head_stands_in_training_only(on: bool) -> None:
    method = SimCSE(Bag().double(), tokenizer(), head=on).double()
    text = method.read(batch())
    features = vectors(method.network, text)
    expected = features
    if on:
        linear = method.head[0]  # type: ignore[index]
        expected = (features @ linear.weight.T + linear.bias).tanh()
    torch.testing.assert_close(method.view(text), expected)
    own = {name for name, _ in method.network.named_parameters()}
    heads = {name for name, _ in method.named_parameters() if not name.startswith("network.")}
    assert heads == ({"head.0.weight", "head.0.bias"} if on else set())
    assert not any("head" in name for name in own)


# uscal


def test_uscals_shift_is_epsilon_long_and_zero_on_padding(told: list[Any]) -> None:
    method = USCAL(transformer(dropout=0.2), tokenizer(), epsilon=0.7).double()
    method.accumulate(batch())
    first, (shift,) = told
    assert first is None
    mask = method.read(batch()).mask
    assert not shift[~mask].any()
    norms = shift.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, 0.7))


def test_uscals_shift_increases_the_contrastive_loss_to_first_order(told: list[Any]) -> None:
    method = USCAL(transformer(dropout=0.2), tokenizer(), epsilon=1.0).double()
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
        second = method.view(method.read(batch())).detach()
    with fork_rng(5, torch.device("cpu")):
        method.accumulate(batch())
    (shift,) = told[1]
    text, place = method.read(batch()), EmbeddingOutput(method.network.embedding, lambda s: s != 0)

    def loss(t: float) -> tuple[float, float]:
        """The loss with the first look shifted by t * shift, and how long its gradients are."""
        with place.shifted([t * shift]) as here, fork_rng(once, torch.device("cpu")):
            value = info_nce(method.view(text), second, TAU)
        (slope,) = here.gradients(value)
        return float(value.detach()), float(slope.flatten(1).norm(dim=1).sum())

    step = 1e-6
    rise = (loss(step)[0] - loss(-step)[0]) / (2 * step)
    steepest = loss(0.0)[1]  # of all shifts of that length none rises faster
    assert steepest > 0.1
    assert rise == pytest.approx(steepest, rel=1e-6)


@pytest.mark.parametrize("clean", [False, True])
def test_uscals_gradient_by_hand(clean: bool) -> None:
    network = Bag().double()
    method = USCAL(network, tokenizer(), epsilon=0.4, alpha=0.3, clean=clean).double()
    text = method.read(batch())
    value, figures = method.accumulate(batch())

    def look(read: Tensor) -> Tensor:
        found: Tensor = method.head(network.of(read, text.mask))
        return found

    read = network.embedding(text.tokens)
    leaf = read.detach().requires_grad_()
    (slope,) = torch.autograd.grad(info_nce(look(leaf), look(read).detach(), TAU), leaf)
    slope = slope * text.mask.unsqueeze(2)
    delta = 0.4 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    worst = info_nce(look(read), look(read + delta), TAU)
    same = info_nce(look(read), look(read), TAU)
    expected = 1.3 * worst + (same if clean else 0.0)  # without dropout both looks are the same
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(figures["contrastive_loss"], same.detach())
    torch.testing.assert_close(figures["perturbed_loss"], figures["across_loss"])
    assert_gradients(method, expected)


def test_uscal_at_epsilon_zero_looks_again_with_the_first_dropout() -> None:
    method = USCAL(transformer(dropout=0.3), tokenizer(), epsilon=0.0, alpha=0.5).double()
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
        second = method.view(method.read(batch()))
        after = torch.rand(())
    with fork_rng(once, torch.device("cpu")):
        first = method.view(method.read(batch()))
    expected = info_nce(first, first, TAU) + 0.5 * info_nce(second, first, TAU)
    with fork_rng(5, torch.device("cpu")):
        value, _ = method.accumulate(batch())
        assert torch.equal(torch.rand(()), after)  # the next batch has numbers of its own
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)


# scal


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_scal_at_epsilon_zero(dropout: float) -> None:
    method = SCAL(transformer(dropout, classes=3), tokenizer(), epsilon=0.0).double()
    told = batch([0, 1, 2, 1, 0])
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
    with fork_rng(once, torch.device("cpu")):
        features = method.network.features(method.read(told))
        scores = method.network.output(method.network.dropout(features))
    views = method.head(features)
    assert told.labels is not None
    expected = 2 * F.cross_entropy(scores, told.labels) + info_nce(views, views, TAU)
    with fork_rng(5, torch.device("cpu")):
        value, figures = method.accumulate(told)
    torch.testing.assert_close(value, expected.detach())
    assert torch.equal(figures["cross_entropy"], figures["perturbed_loss"])
    assert_gradients(method, expected)


def test_scals_gradient_by_hand() -> None:
    network = Bag(classes=2).double()
    method = SCAL(network, tokenizer(), epsilon=0.4).double()
    told = batch([0, 1, 1, 0, 1])
    text, labels = method.read(told), torch.tensor([0, 1, 1, 0, 1])
    value, _ = method.accumulate(told)

    def cost(read: Tensor) -> Tensor:
        return F.cross_entropy(network.output(network.of(read, text.mask)), labels)

    read = network.embedding(text.tokens)
    leaf = read.detach().requires_grad_()
    (slope,) = torch.autograd.grad(cost(leaf), leaf)
    delta = 0.4 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    assert float(cost(read + delta).detach()) > float(cost(read).detach())
    there = read + delta
    views = [method.head(network.of(part, text.mask)) for part in (read, there)]
    expected = cost(read) + cost(there) + info_nce(views[0], views[1], TAU)
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)


def test_scal_counts_what_is_right() -> None:
    method = SCAL(Bag(classes=2).double(), tokenizer()).double()
    told = method.network.class_logits(method.read(batch())).argmax(1)
    told[0] = 1 - told[0]
    assert float(method.validation_step(batch(told.tolist()))) == pytest.approx(4 / 5)
    with pytest.raises(ValueError, match="learns from labels"):
        method.accumulate(batch())


# masked words


def test_hidden_words_are_as_told() -> None:
    known = tokenizer()
    assert known.mask_id is not None
    vocabulary, mask_id = known.space.vocabulary, known.mask_id
    tokens = torch.randint(WORD, WORD + len(WORDS), (400, 30))
    tokens[:, 3], tokens[:, 4], tokens[:, 27], tokens[:, 28:] = UNKNOWN, mask_id, EOS, 0
    text = Text(tokens, torch.full((400,), 28))
    hidden, chosen = hide(text, known.space, mask_id, 0.15)
    assert not chosen[:, [3, 4, 27, 28, 29]].any()
    assert torch.equal(hidden.tokens[~chosen], tokens[~chosen])
    words = chosen.new_ones(30)
    words[[3, 4, 27, 28, 29]] = False
    assert float(chosen[:, words].double().mean()) == pytest.approx(0.15, abs=0.015)
    now, was = hidden.tokens[chosen], tokens[chosen]
    assert float((now == mask_id).double().mean()) == pytest.approx(0.8, abs=0.04)
    # a random word may be the same one
    stay = 0.1 + 0.1 / (vocabulary - WORD - 1)
    assert float((now == was).double().mean()) == pytest.approx(stay, abs=0.03)
    assert int(now.min()) >= WORD
    assert torch.equal(tokens[:, 4], hidden.tokens[:, 4])


def test_every_word_but_mask_may_be_drawn() -> None:
    text = Text(torch.full((2000, 5), WORD), torch.full((2000,), 5))
    hidden, _ = hide(text, space_of(WORD + 4), WORD + 1, 0.999)
    drawn = hidden.tokens[hidden.tokens != WORD + 1].unique().tolist()
    assert drawn == [WORD, WORD + 2, WORD + 3]


def test_some_word_is_always_hidden_where_there_is_one() -> None:
    text = Text(torch.tensor([[4, EOS, 0], [5, 6, EOS]]), torch.tensor([2, 3]))
    for _ in range(20):
        _, chosen = hide(text, space_of(9), 8, 1e-9)
        assert int(chosen.sum()) == 1
        assert not chosen[[0, 0, 1], [1, 2, 2]].any()
    none = Text(torch.tensor([[UNKNOWN, EOS]]), torch.tensor([2]))
    assert not hide(none, space_of(9), 8, 0.5)[1].any()


def test_masked_words_are_told_from_what_was_there() -> None:
    method = MaskedWords(transformer(), tokenizer()).double()
    text, known = method.read(batch()), tokenizer()
    assert known.mask_id is not None
    with fork_rng(4, torch.device("cpu")):
        hidden, chosen = hide(text, known.space, known.mask_id, 0.15)
    states = method.words.states(hidden)
    logits = states @ method.words.embedding.weight.T
    expected = F.cross_entropy(logits[chosen], text.tokens[chosen])
    with fork_rng(4, torch.device("cpu")):
        value, _ = method.accumulate(batch())
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)
    assert method.accumulate(batch(lines=["nothing known"]))[0] == 0


def test_only_the_transformer_from_scratch_learns_masked_words() -> None:
    with pytest.raises(UserError, match="--network transformer"):
        MaskedWords(Bag(), tokenizer())
    with pytest.raises(UserError, match="--network transformer"):
        MaskedWords(transformer(), tokenizer(words=WORDS))


# templates and PromptBERT


@pytest.mark.parametrize("told", [FIRST, SECOND, "[MASK] means [X] .", "[X] [MASK]"])
def test_the_mask_is_found_around_every_sentence(told: str) -> None:
    known, lines = tokenizer(length=14), ["", "a", "a cat sees a dog", "a cat " * 20]
    template = Template.of(told, known)
    ids = known.encode(lines)
    text = template.around(ids)

    class Echo(TransformerDiscriminator):
        """Its states are the tokens themselves."""

        def states(self, text: Text, positions: Tensor | None = None) -> Tensor:
            return text.tokens.unsqueeze(2).double()

    network = Echo(known.space, embedding=4, layers=1, heads=1)
    assert template.state(network, ids).squeeze(1).tolist() == [known.mask_id] * 4
    assert template.alone(network, template.sizes(ids)).squeeze(1).tolist() == [known.mask_id] * 4
    assert (text.tokens == known.mask_id).sum(1).tolist() == [1] * 4
    assert int(text.lengths.max()) == 14  # cut, but the template is whole
    assert text.tokens[torch.arange(4), text.lengths - 1].tolist() == [EOS] * 4
    assert template.sizes(ids).tolist() == [0, 1, 5, template.room]


def test_a_template_is_what_it_says() -> None:
    known = tokenizer()
    text = Template.of(FIRST, known).around(known.encode(["a cat"]))
    assert known.decode(text.tolist()) == [f'This sentence of " a cat " means {MASK_WORD} .']


def test_a_shift_moves_only_the_tail() -> None:
    template = Template.of(FIRST, tokenizer())
    places = template.shifted(torch.tensor([0, 1, 7]))
    size = int(template.around([()]).lengths)
    assert places[0].tolist() == list(range(size))
    for row, n in enumerate([0, 1, 7]):
        assert places[row, :4].tolist() == [0, 1, 2, 3]
        assert places[row, 4:].tolist() == [place + n for place in range(4, size)]


def test_nothing_is_left_of_an_empty_sentence() -> None:
    network, known = transformer(), tokenizer()
    template = Template.of(FIRST, known)
    ids: list[list[int]] = [[], *known.encode(["a cat"]), []]
    with torch.no_grad():
        state = template.state(network, ids[:1])
        alone = template.alone(network, template.sizes(ids[:1]))
        assert torch.equal(state, alone)  # to the bit
        left = template.state(network, ids) - template.alone(network, template.sizes(ids))
    torch.testing.assert_close(left[[0, 2]], torch.zeros(2, 8, dtype=torch.float64))
    assert left[1].abs().max() > 1e-3


def test_alone_is_the_network_at_shifted_places() -> None:
    network, known = transformer(), tokenizer()
    template = Template.of(SECOND, known)
    sizes = torch.tensor([3, 0, 3, 9])
    found = template.alone(network, sizes)
    text = template.around([()])
    where = text.tokens[0].tolist().index(known.mask_id or 0)
    (gap,) = known.encode(['This sentence : "'])
    for row, n in enumerate(sizes.tolist()):
        places = torch.tensor([[p + n * (p >= len(gap)) for p in range(text.tokens.shape[1])]])
        torch.testing.assert_close(found[row], network.states(text, places)[0, where])
    assert not torch.allclose(found[0], found[1])


def test_vectors_do_not_depend_on_padding() -> None:
    network, known = transformer(), tokenizer()
    template = Template.of(FIRST, known)
    short, long = known.encode(["a cat", "a cat likes a dog sees trees . a cat"])
    beside = template.state(network, [short, long])
    torch.testing.assert_close(beside[:1], template.state(network, [short]), rtol=1e-12, atol=1e-12)
    alone = template.alone(network, torch.tensor([2, 10]))
    torch.testing.assert_close(alone[:1], template.alone(network, torch.tensor([2])))
    text = template.around([short])
    states = network.states(text), network.states(text.pad_to(25))
    torch.testing.assert_close(states[0], states[1][:, : text.tokens.shape[1]])


@pytest.mark.parametrize("frozen", [False, True])
def test_promptberts_gradient_by_hand(frozen: bool) -> None:
    method = PromptBERT(transformer(), tokenizer(), frozen=frozen).double()
    value, _ = method.accumulate(batch())

    def view(template: Template) -> Tensor:
        state = template.state(method.words, batch().ids)
        alone = template.alone(method.words, torch.tensor([len(some) for some in batch().ids]))
        found: Tensor = method.head(state - (alone.detach() if frozen else alone))
        return found

    first, second = (Template.of(told, tokenizer()) for told in (FIRST, SECOND))
    expected = info_nce(view(first), view(second), TAU)
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)


def test_without_denoising_the_state_itself_is_contrasted() -> None:
    method = PromptBERT(transformer(), tokenizer(), denoise=False, head=False).double()
    template = Template.of(FIRST, tokenizer())
    expected = template.state(method.words, batch().ids)
    torch.testing.assert_close(method.view(method.first, batch()), expected)
    assert method.pooling == {"pooling": "mask", "template": FIRST}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("This sentence means [MASK] .", r"give one \[X\]"),
        ("This [X] means .", r"one \[MASK\]"),
        ("[X] [X] [MASK]", r"give one \[X\]"),
        ("That [X] means [MASK] .", "no word for all of 'That'"),
    ],
)
def test_templates_that_are_none(told: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        Template.of(told, tokenizer())


def test_a_template_needs_room_and_a_mask() -> None:
    with pytest.raises(UserError, match="cut at 9 tokens"):
        Template.of(FIRST, tokenizer(length=9))
    assert Template.of(FIRST, tokenizer(length=10)).room == 1
    with pytest.raises(UserError, match=r"no token for \[MASK\]"):
        Template.of(FIRST, tokenizer(words=WORDS))
    with pytest.raises(UserError, match="states of tokens"):
        PromptBERT(Bag(), tokenizer())


# batches, rates, all methods


@pytest.mark.parametrize(("n", "size"), [(2, 64), (5, 2), (33, 32), (64, 64), (100, 7), (3, 2)])
def test_batches_are_even_and_nobody_is_alone(n: int, size: int) -> None:
    parts = batch_rows(n, size)
    assert torch.cat(list(parts)).tolist() == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= max(size, 3)


def test_the_rate_rises_and_falls() -> None:
    found = [rate_at(update, 10, 0.4) for update in range(10)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [rate_at(update, 2, 0.0) for update in range(2)] == [1, 0.5]
    assert all(0 < rate_at(update, 7, 1.0) <= 1 for update in range(7))


def test_every_method_is_known_and_documented() -> None:
    names = registry.names("contrast")
    assert names == ["mlm", "promptbert", "scal", "simcse", "uscal"]
    for name in names:
        part = registry.find("contrast", name)
        assert part.paper
        assert (part.__doc__ or "").splitlines()[0].endswith(".")
        assert all(setting.doc for setting in settings_of(part))


@pytest.mark.parametrize("name", ["simcse", "uscal", "scal", "promptbert"])
def test_the_order_of_sentences_changes_no_gradient(name: str) -> None:
    method = registry.build("contrast", name, {}, transformer(classes=2), tokenizer()).double()
    labels = [0, 1, 1, 0, 1]
    method.accumulate(batch(labels))
    before = [slope.clone() for slope in gradients(method)]
    method.zero_grad()
    order = [3, 0, 4, 2, 1]
    ids = batch().ids
    method.accumulate(Batch([ids[i] for i in order], torch.tensor(labels)[order]))
    for one, other in zip(before, gradients(method), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_an_objective_may_use_the_names_of_version_0_1() -> None:
    class Former(SimCSE):
        labelled = True
        measure = "former_loss"
        rises = True

        def look(self, text: Text) -> Tensor:
            return 2 * super().look(text)

        def held_out(self, batch: Batch) -> Tensor:
            return super().held_out(batch) + 1

    assert (Former.needs_labels, Former.metric, Former.higher_is_better) == (
        True, "former_loss", True,
    )  # fmt: skip
    network = transformer().eval()
    former, now = (kind(network, tokenizer(), head=False).double() for kind in (Former, SimCSE))
    text = now.read(batch())
    torch.testing.assert_close(former.view(text), 2 * now.view(text))
    torch.testing.assert_close(former.validation_step(batch()), now.validation_step(batch()) + 1)
