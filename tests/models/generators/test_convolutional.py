"""The convolutional generator, and its block by hand."""

import torch
from networks import noise_generator
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import (
    FIXED,
    same,
)

from textgan.data.text import TextSpace
from textgan.models.generators.convolutional import ConvolutionalGenerator, ResidualBlock


def test_a_block_by_hand() -> None:
    block = ResidualBlock(2).double()
    vectors = torch.randn(3, 2, 4, dtype=torch.float64)
    for convolution in (block.first, block.second):
        assert convolution.bias is not None
        convolution.bias.data = torch.randn(2, dtype=torch.float64)

    def convolve(convolution: nn.Conv1d, values: Tensor) -> Tensor:
        assert convolution.bias is not None
        wide = F.pad(values, (2, 2))
        columns = [
            torch.einsum("bck,dck->bd", wide[:, :, t : t + 5], convolution.weight)
            for t in range(values.shape[2])
        ]
        return torch.stack(columns, 2) + convolution.bias[:, None]

    right = vectors + 0.3 * convolve(block.second, convolve(block.first, vectors.relu()).relu())
    assert same(block(vectors), right)


def test_the_convolutional_generator_is_the_papers() -> None:
    generator = ConvolutionalGenerator(TextSpace(100, 32, eos=1))
    blocks = 5 * 2 * (5 * 512 * 512 + 512)
    expected = 32 * 512 * (128 + 1) + blocks + 100 * (512 + 1)
    assert sum(part.numel() for part in generator.parameters()) == expected
    for name, parameter in generator.named_parameters():
        if "bias" in name:
            assert not parameter.any()
            continue
        inputs = parameter[0].numel()
        outputs = len(parameter) * (5 if "blocks" in name else 1)
        gain = 2 if name == "input.weight" else 4
        assert abs(parameter.std().item() / (gain / (inputs + outputs)) ** 0.5 - 1) < 0.02
        assert parameter.abs().max() / parameter.std() < 1.8  # even, not normal


def test_noise_becomes_one_vector_a_position() -> None:
    # the released code lays the linear layer out as channels by positions
    generator = noise_generator(FIXED, "convolutional", blocks=0)
    assert isinstance(generator, ConvolutionalGenerator)
    noise = torch.randn(2, 3, dtype=torch.float64)
    vectors = generator.input(noise).view(2, 4, 3)
    right = torch.stack([generator.output(vectors[:, :, t]) for t in range(3)], 1)
    assert same(generator(noise), right)
