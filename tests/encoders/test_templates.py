"""A sentence among other words, and the state at [MASK]."""

import pytest
import torch
from contrast import WORDS, Bag, tokenizer, transformer
from torch import Tensor

from textgan.core.errors import UserError
from textgan.data.text import Text
from textgan.data.tokenizers import EOS, MASK_WORD
from textgan.encoders.contrast.promptbert import PromptBERT
from textgan.encoders.templates import FIRST, SECOND, Template
from textgan.models.discriminators.transformer import TransformerDiscriminator


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
    result = template.alone(network, sizes)
    text = template.around([()])
    where = text.tokens[0].tolist().index(known.mask_id or 0)
    (gap,) = known.encode(['This sentence : "'])
    for row, n in enumerate(sizes.tolist()):
        places = torch.tensor([[p + n * (p >= len(gap)) for p in range(text.tokens.shape[1])]])
        torch.testing.assert_close(result[row], network.states(text, places)[0, where])
    assert not torch.allclose(result[0], result[1])


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
