"""The discriminator over the grid of all pairs of words, against torch's own convolution of it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import same

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.pair_grid import PairGridDiscriminator

SPACE = TextSpace(9, 12, eos=1, source=TextSpace(7, 14, eos=1))


def make(space: TextSpace = SPACE, **settings: Any) -> PairGridDiscriminator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = PairGridDiscriminator(space, embedding=3, maps=4, units=5, **settings).double()
    for layer in (judge.of_target, judge.second, judge.hidden):
        assert layer.bias is not None
        nn.init.normal_(layer.bias, std=0.3)
    return judge.eval()


def sentences(vocabulary: int, lengths: list[int], seed: int = 0) -> Text:
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, vocabulary, (len(lengths), max(lengths)), generator=random)
    text = Text(tokens, torch.tensor(lengths))
    return Text(torch.where(text.mask, tokens, 0), text.lengths)


def pairs(targets: list[int], sources: list[int]) -> Text:
    text = sentences(9, targets)
    return Text(text.tokens, text.lengths, condition=Condition(source=sentences(7, sources, 1)))


def stacked(judge: PairGridDiscriminator, source: list[int], target: list[int]) -> Tensor:
    """[x_i; y_j] of one pair, (1, 2 * E, S, T), each side extended to three positions."""
    x, y = judge.source_embedding.weight[source], judge.embedding.weight[target]
    x, y = (F.pad(side, (0, 0, 0, max(0, 3 - len(side)))) for side in (x, y))
    grid = [[torch.cat([of_source, of_target]) for of_target in y] for of_source in x]
    return torch.stack([torch.stack(row) for row in grid]).permute(2, 0, 1).unsqueeze(0)


def full_kernel(judge: PairGridDiscriminator) -> Tensor:
    """A kernel (maps, 2 * E, 3, 3) that is not constant in any direction, whose sums are the two
    kernels of the discriminator."""
    of_source, of_target = judge.of_source.weight, judge.of_target.weight
    kernel = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    missing = of_source - kernel[:, :3].sum(3)
    kernel[:, :3] += missing.unsqueeze(3) / 3
    missing = of_target - kernel[:, 3:].sum(2)
    kernel[:, 3:] += missing.unsqueeze(2) / 3
    return kernel


def at_least_three(grid: Tensor) -> Tensor:
    return F.pad(grid, (0, max(0, 3 - grid.shape[3]), 0, max(0, 3 - grid.shape[2])))


LENGTHS = [(12, 14), (3, 3), (12, 3), (4, 9), (7, 14), (1, 1), (2, 5), (11, 1), (5, 6)]


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a2_it_is_the_convolution_of_the_stacked_grid(activation: str) -> None:
    judge = make(activation=activation)
    kernel = full_kernel(judge)
    text = pairs([target for target, _ in LENGTHS], [source for _, source in LENGTHS])
    features, asked = judge.features(text), text.source
    assert asked is not None
    for row, (source, target) in enumerate(zip(asked.tolist(), text.tolist(), strict=True)):
        first = F.conv2d(stacked(judge, source, target), kernel, judge.of_target.bias)
        cells = F.max_pool2d(judge.activation(first), 2, ceil_mode=True)
        second = judge.second(at_least_three(cells))
        cells = F.max_pool2d(judge.activation(second), 2, ceil_mode=True)
        flat = torch.zeros(1, 4, *judge.grid, dtype=torch.float64)
        flat[:, :, : cells.shape[2], : cells.shape[3]] = cells
        assert same(features[row], judge.activation(judge.hidden(flat.flatten(1)))[0], 1e-12)


def test_the_first_layer_alone() -> None:
    """Sums of maxima are maxima of sums, over every cell of the grid."""
    judge = make()
    text = pairs([12], [14])
    source = text.source
    assert source is not None
    grid = stacked(judge, source.tolist()[0], text.tolist()[0])
    first = F.max_pool2d(F.conv2d(grid, full_kernel(judge), judge.of_target.bias), 2)
    seen = []
    judge.second.register_forward_pre_hook(lambda _, read: seen.append(read[0]))
    judge.features(text)
    assert same(seen[0], first.relu(), 1e-12)


def test_cells_without_a_window_are_zero_and_pass_no_gradient() -> None:
    judge = make()
    text = pairs([4, 12], [5, 14])
    seen = []
    judge.hidden.register_forward_pre_hook(lambda _, read: seen.append(read[0]))
    judge.features(text)
    height, width = judge.grid
    cells = seen[0].view(2, 4, height, width)
    assert (height, width) == (2, 2)
    assert not cells[0, :, 1:].any()
    assert not cells[0, :, :, 1:].any()
    assert cells[1].any(0).all()
    slopes = torch.autograd.grad(judge(text[:1]).sum(), list(judge.parameters()))
    assert all(slope.isfinite().all() for slope in slopes)


def test_no_grid_of_all_pairs_is_made() -> None:
    judge = make()
    shapes = []
    for layer in (judge.of_source, judge.of_target):
        layer.register_forward_hook(lambda _, __, made: shapes.append(tuple(made.shape)))
    judge.features(pairs([12, 12, 12], [14, 14, 14]).repeat(5))
    assert shapes == [(3, 4, 12), (15, 4, 10)]


def test_the_papers_sizes() -> None:
    side = TextSpace(100, 50, eos=1)
    judge = PairGridDiscriminator(TextSpace(100, 50, eos=1, source=side), embedding=620)
    assert judge.grid == (11, 11)  # 50, 48, 24, 22, 11
    assert judge.second.weight.shape == (20, 20, 3, 3)
    assert judge.hidden.weight.shape == (20, 20 * 11 * 11)
    assert judge.output.in_features == 20
