"""The transformer discriminator, against torch's own layers and in closed form."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import TOY, TOY_TEXT, small_parts
from worlds import FIXED, VARIABLE, one_hot, same, small_discriminator

import textgan
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.optim import dropout
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.transformer import Block, TransformerDiscriminator
from textgan.perturb.fgm import FGM
from textgan.perturb.shifts import EmbeddingOutput, find_embedding, words_of

SPACE = TextSpace(9, 8, eos=1)


def network_of(space: TextSpace = SPACE, **settings: Any) -> TransformerDiscriminator:
    usual: dict[str, Any] = {"embedding": 8, "heads": 2, "feedforward": 12}
    made = small_discriminator(space, "transformer", **usual | settings)
    assert isinstance(made, TransformerDiscriminator)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "norm" in name:  # ones and zeros would hide what is not read
                weight.add_(torch.randn_like(weight) / 3)
    return made


def text_of(*sentences: list[int]) -> Text:
    width = max(map(len, sentences))
    tokens = torch.tensor([[*some, *[0] * (width - len(some))] for some in sentences])
    return Text(tokens, torch.tensor([len(some) for some in sentences]))


TEXT = text_of([4, 5, 6, 4, 7, 1], [3, 1], [1], [8, 7, 6, 5, 4, 3, 2, 8])


def torchs(block: Block) -> nn.TransformerEncoderLayer:
    """Torch's layer with the weights of a block."""
    first, second = block.layers[0], block.layers[2]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    layer = nn.TransformerEncoderLayer(
        block.joins.in_features, block.heads, first.out_features, 0.0, nn.GELU(),
        batch_first=True, norm_first=True,
    ).double()  # fmt: skip
    own = {
        "self_attn.in_proj_weight": block.looks.weight,
        "self_attn.in_proj_bias": block.looks.bias,
        **{f"self_attn.out_proj.{name}": part for name, part in block.joins.named_parameters()},
        **{f"linear1.{name}": part for name, part in first.named_parameters()},
        **{f"linear2.{name}": part for name, part in second.named_parameters()},
        **{f"norm1.{name}": part for name, part in block.norms[0].named_parameters()},
        **{f"norm2.{name}": part for name, part in block.norms[1].named_parameters()},
    }
    layer.load_state_dict(own)
    return layer.train()  # its fast path is another computation


def test_blocks_are_torchs_for_each_sentence_alone() -> None:
    network = network_of()
    states, features = network.states(TEXT), network.features(TEXT)
    for row, size in enumerate(TEXT.lengths.tolist()):
        expected = network.embedding.weight[TEXT.tokens[row, :size]] + network.places[:size]
        expected = expected.unsqueeze(0)
        for block in network.blocks:
            assert isinstance(block, Block)
            expected = torchs(block)(expected)
        expected = network.norm(expected)[0]
        assert same(states[row, :size], expected)
        assert same(features[row], expected.mean(0))


def test_padding_changes_nothing_at_all() -> None:
    network = network_of()
    scores, states = network(TEXT), network.states(TEXT)
    scribbled = Text(torch.where(TEXT.mask, TEXT.tokens, 7), TEXT.lengths)
    assert torch.equal(network(scribbled), scores)
    assert torch.equal(network(TEXT.pad_to(20)), scores)  # wider than there are places
    assert same(network.states(TEXT.pad_to(20))[:, :8], states)
    relaxed = one_hot(TEXT[3:], SPACE)
    assert same(network(relaxed), scores[3:])


def test_numbers_are_the_same_in_every_mode() -> None:
    network = network_of(dropout=0.0)
    scores = network(TEXT)
    with torch.no_grad():
        assert torch.equal(network(TEXT), scores)
        network.train()
        assert torch.equal(network(TEXT), scores)


def test_order_is_known_by_places_alone() -> None:
    network, text = network_of(), TEXT[3:]
    places = torch.arange(8).unsqueeze(0)
    states = network.states(text)
    assert torch.equal(network.states(text, places), states)
    order = torch.randperm(8)
    mixed = Text(text.tokens[:, order], text.lengths)
    assert same(network.states(mixed, places[:, order]), states[:, order])
    assert not same(network.states(mixed), states[:, order], 1e-3)


def test_every_dropout_is_a_module_that_can_be_switched() -> None:
    network = network_of(layers=1, dropout=0.5)
    scores = network(TEXT)
    modules = {at: part for at, part in network.named_modules() if isinstance(part, nn.Dropout)}
    assert len(modules) == 4
    for part in modules.values():
        part.train()
        assert not same(network(TEXT), scores, 1e-3)
        part.eval()
    with dropout(network):
        assert not same(network(TEXT), scores, 1e-3)
    assert torch.equal(network(TEXT), scores)


def test_second_derivatives() -> None:
    network = network_of(VARIABLE, embedding=4, feedforward=3, layers=1)
    rows = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    tokens = torch.zeros(2, 3, dtype=torch.long)

    def score(rows: Tensor) -> Tensor:
        return network(Text(tokens, torch.tensor([3, 2]), rows))

    assert torch.autograd.gradcheck(score, rows)
    assert torch.autograd.gradgradcheck(score, rows)


def test_words_are_told_by_their_vectors() -> None:
    network = network_of()
    states = network.states(TEXT)
    logits = network.word_logits(states)
    assert logits.shape == (4, 8, 9)
    assert same(logits[1, 0, 5], states[1, 0] @ network.embedding.weight[5])
    (slope,) = torch.autograd.grad(logits[..., 5].sum(), [network.embedding.weight])
    assert slope[5].any()
    # untrained, they are of the size of logits, so that no word begins as the only one
    large = registry.build("discriminator", "transformer", {"embedding": 64}, TextSpace(500, 20, 1))
    with torch.no_grad():
        first = large.word_logits(large.eval().states(Text.full(torch.randint(3, 500, (40, 20)))))
    assert 0.5 < first.std() < 2


def test_what_is_perturbed_is_the_vector_of_a_word() -> None:
    network = network_of()
    module = find_embedding(network)
    assert module is network.embedding
    place = EmbeddingOutput(module, words_of(network, module))
    with place.shifted(None) as here:
        slopes = here.gradients(network(TEXT).sum())
    assert torch.equal(here.masks[0][..., 0], TEXT.mask)
    assert torch.equal(slopes[0].any(2), TEXT.mask)
    # the same as the slope in the vectors, placed or not
    shift = torch.zeros(4, 8, 8, dtype=torch.float64, requires_grad=True)
    vectors = network.embedding.weight[TEXT.tokens] + shift
    handle = module.register_forward_hook(lambda *_: vectors)
    (expected,) = torch.autograd.grad(network(TEXT).sum(), [shift])
    handle.remove()
    assert same(slopes[0], expected)
    loss, _ = FGM(epsilon=0.1)(network, lambda: (network(TEXT).square().mean(), {}))
    assert loss.isfinite()
    assert all(weight.grad is not None for weight in network.parameters())


def test_heads_that_do_not_divide_are_refused() -> None:
    settings = {"embedding": 10, "heads": 4}
    with pytest.raises(UserError, match="embedding = 10 is not divisible by heads = 4") as refused:
        registry.build("discriminator", "transformer", settings, FIXED)
    assert "\n" not in str(refused.value)


def test_a_uniform_network_has_the_mean_of_values() -> None:
    """Where all tokens are equally interesting, each learns the mean of what they say."""
    network = network_of(layers=1)
    (block,) = network.blocks
    assert isinstance(block, Block)
    with torch.no_grad():
        block.looks.weight[:16] = 0  # neither queries nor keys
        block.looks.bias[:16] = 0
    states = torch.randn(4, 8, 8, dtype=torch.float64)
    result = block.attend(states, TEXT.mask)
    values = states @ block.looks.weight[16:].t() + block.looks.bias[16:]
    for row, size in enumerate(TEXT.lengths.tolist()):
        mean = values[row, :size].mean(0) @ block.joins.weight.t() + block.joins.bias
        assert same(result[row], mean.expand(8, 8))


@pytest.mark.parametrize("labelled", [False, True])
def test_it_is_seqgans_discriminator(labelled: bool, tmp_path: Path) -> None:
    toy = TOY_TEXT if labelled else TOY
    settings = {key: value for key, value in toy.items() if not key.startswith("discriminator.")}
    settings |= small_parts("seqgan", discriminator="transformer")
    settings |= {"discriminator.name": "transformer", "discriminator.layers": 1}
    if labelled:
        data = tmp_path / "moods.tsv"
        lines = [f"{'ab'[i % 2]}\t{'so very much'[: i % 9 + 3]} {i % 7}" for i in range(60)]
        data.write_text("\n".join(lines) + "\n")
        settings["data.file"] = str(data)
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, plot=False, **settings)
    assert list(results.rows)[-1] == "seqgan, last"
