"""Attacks: closed forms in a linear classifier, what stays untouched, what can only grow."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from textgan.classifiers.attack import attack, margins, typical_norm, without_dropout
from textgan.core.errors import UserError
from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.discriminators.rnn import RNNDiscriminator
from textgan.models.embedding import TokenEmbedding

SPACE = TextSpace(vocabulary=12, length=7, eos=1, classes=2)
SIZES = [7, 4, 2, 1, 3, 6]


class Linear(Discriminator):
    """One product with the mean of a text's vectors."""

    def __init__(self, space: TextSpace) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, 5)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(5, space.classes)

    def features(self, text: Text) -> Tensor:
        inside = text.mask.unsqueeze(2)
        return (self.embedding(text.inputs) * inside).sum(1) / text.lengths.unsqueeze(1)


def texts(classes: int = 2) -> Text:
    tokens = torch.randint(1, SPACE.vocabulary, (len(SIZES), SPACE.length))
    sizes = torch.tensor(SIZES)
    inside = torch.arange(SPACE.length) < sizes.unsqueeze(1)
    return Text(tokens * inside, sizes, condition=Condition(torch.arange(len(SIZES)) % classes))


def linear() -> Linear:
    return Linear(SPACE).double()


def plain_margins(network: Discriminator, text: Text) -> Tensor:
    assert text.labels is not None
    with torch.enable_grad(), without_dropout(network):
        return margins(network.class_logits(text), text.labels).detach()


def random(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_margins_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.5], [0.0, 0.0, -1.0], [1.0, 4.0, 2.0]])
    result = margins(scores, torch.tensor([0, 1, 2]))
    assert result.tolist() == [-0.5, 0.0, 2.0]


def test_fgm_of_a_linear_classifier_has_a_closed_form() -> None:
    """|w| is the length of the margin's gradient in the mean vector, |w| / sqrt(n) in n vectors."""
    network, text = linear(), texts()
    w = network.output.weight[1] - network.output.weight[0]
    before = plain_margins(network, text)
    absolute = attack(network, text, 0.3) - before
    torch.testing.assert_close(absolute, 0.3 * w.norm() / text.lengths.double().sqrt())
    # sqrt(words) of the radius cancels it: sentences of any length move as far
    relative = attack(network, text, 0.3, norm=2.0) - before
    torch.testing.assert_close(relative, (0.6 * w.norm()).expand(len(text)).detach())


def test_pgd_finds_nothing_better_in_a_linear_classifier() -> None:
    network, text = linear(), texts()
    once = attack(network, text, 0.7, norm=1.5)
    more = attack(network, text, 0.7, norm=1.5, steps=6, restarts=3, random=random())
    torch.testing.assert_close(more, once)


def test_the_runner_up_is_what_a_text_is_mistaken_for() -> None:
    """With several classes FGM climbs towards the best wrong one: its margin by the closed form."""
    network, text = Linear(TextSpace(12, 7, 1, 4)).double(), texts(4)
    scores = network.eval().class_logits(text)
    assert text.labels is not None
    rivals = scores.scatter(1, text.labels.unsqueeze(1), -torch.inf).argmax(1)
    weight = network.output.weight
    length = (weight[rivals] - weight[text.labels]).norm(dim=1)
    small = 1e-4  # the rival stays the rival
    risen = attack(network, text, small, norm=1.0) - margins(scores, text.labels)
    torch.testing.assert_close(risen, small * length)


@pytest.mark.parametrize("build", [Linear, CNNDiscriminator, RNNDiscriminator])
def test_no_radius_changes_nothing(build: Callable[[TextSpace], Discriminator]) -> None:
    network, text = build(SPACE).double(), texts()
    result = attack(network, text, 0.0, norm=3.0, steps=3, restarts=3, random=random())
    assert torch.equal(result, plain_margins(network, text))


@pytest.mark.parametrize("build", [CNNDiscriminator, RNNDiscriminator])
def test_more_steps_restarts_and_fgm_itself(build: Callable[[TextSpace], Discriminator]) -> None:
    network, text = build(SPACE), texts()
    clean = plain_margins(network, text)
    fgm = attack(network, text, 0.5, norm=1.0)
    pgd = attack(network, text, 0.5, norm=1.0, steps=5)
    best = attack(network, text, 0.5, norm=1.0, steps=5, restarts=3, random=random())
    assert bool((fgm >= clean).all())
    assert bool((pgd >= fgm).all())
    assert bool((best >= pgd).all())
    assert bool((fgm > clean).any())
    assert bool((best > fgm).any())
    again = attack(network, text, 0.5, norm=1.0, steps=5, restarts=3, random=random())
    assert torch.equal(again, best)
    with torch.no_grad():  # as one evaluates
        again = attack(network, text, 0.5, norm=1.0, steps=5)
    assert torch.equal(again, pgd)


@pytest.mark.parametrize("build", [Linear, CNNDiscriminator, RNNDiscriminator])
def test_the_network_is_left_as_it_was(build: Callable[[TextSpace], Discriminator]) -> None:
    network, text = build(SPACE), texts()
    network.output.weight.grad = torch.full_like(network.output.weight, 2.0)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    stream = torch.get_rng_state()
    attack(network, text, 1.0, norm=1.0, steps=3, restarts=2, random=random())
    typical_norm(network, [text])
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert list(gradients) == ["output.weight"]
    assert torch.equal(gradients["output.weight"], torch.full_like(network.output.weight, 2.0))
    assert network.dropout.training
    assert not network.embedding._forward_hooks
    assert torch.equal(torch.get_rng_state(), stream)


def test_places_stay_in_the_ball_and_off_padding() -> None:
    network, text = linear(), texts()
    seen: list[Tensor] = []
    plain = network.embedding(text.inputs).detach()

    def watched(text: Text) -> Tensor:
        vectors = network.embedding(text.inputs)
        seen.append((vectors - plain).detach())
        return (vectors * text.mask.unsqueeze(2)).sum(1) / text.lengths.unsqueeze(1)

    network.features = watched  # type: ignore[method-assign]
    attack(network, text, 0.5, norm=2.0, steps=4, restarts=3, stride=0.6, random=random())
    assert len(seen) == 3 * (1 + 4)
    radius = 0.5 * 2.0 * text.lengths.double().sqrt()
    for shift in seen:
        assert not shift[~text.mask].any()
        assert bool((shift.flatten(1).norm(dim=1) <= radius * (1 + 1e-12)).all())
    for start in (seen[5], seen[10]):
        torch.testing.assert_close(start.flatten(1).norm(dim=1), radius)
    assert not torch.equal(seen[5], seen[10])


def test_a_classifier_does_not_win_by_growing_its_vectors() -> None:
    network, text = linear(), texts()
    grown = linear()
    grown.load_state_dict(network.state_dict())
    with torch.no_grad():
        grown.embedding.weight.mul_(8)
        grown.output.weight.div_(8)
    result = [
        attack(one, text, 0.2, norm=typical_norm(one, [text]), steps=3) for one in (network, grown)
    ]
    torch.testing.assert_close(*result)
    with pytest.raises(AssertionError):  # in plain numbers it would
        torch.testing.assert_close(attack(network, text, 0.2), attack(grown, text, 0.2))


def test_typical_norm_is_of_words_alone() -> None:
    network, text = linear(), texts()
    norms = network.embedding.weight.detach().norm(dim=1)[text.tokens]
    words = text.mask
    expected = float((norms * words).sum() / words.sum())
    assert typical_norm(network, [text]) == pytest.approx(expected, rel=1e-12)
    halves = [text[slice(0, 1)], text[slice(1, None)]]
    assert typical_norm(network, halves) == pytest.approx(expected, rel=1e-12)
    longer = text.pad_to(20)
    assert typical_norm(network, [longer]) == pytest.approx(expected, rel=1e-12)


def test_a_sure_network_is_misled_all_the_same() -> None:
    """Where a loss has no gradient left in float32, the margin still has."""
    network, text = linear().float(), texts()
    with torch.no_grad():
        network.output.weight.mul_(1e4)
    right = texts()
    before = plain_margins(network, right)
    assert text.labels is not None
    network.dropout.eval()
    loss = nn.functional.cross_entropy(network.class_logits(right), text.labels, reduction="none")
    assert bool((loss[before < -200] == 0).all())
    assert bool((before < -200).any())
    assert bool((attack(network, right, 50.0, norm=1.0) > 0).all())


def test_numbers_that_are_none_do_not_pass_for_right() -> None:
    network, text = linear(), texts()
    with torch.no_grad():
        network.output.bias.fill_(torch.nan)
    assert not bool((attack(network, text, 0.1) < 0).any())


def test_what_cannot_be_attacked_is_said() -> None:
    network = linear()
    with pytest.raises(ValueError, match="without labels"):
        attack(network, Text.full(torch.ones(2, 3, dtype=torch.long)), 1.0)
    network.embedding = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(UserError, match="no embedding"):
        attack(network, texts(), 1.0)
