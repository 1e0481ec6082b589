"""Small networks of single methods."""

from typing import Any

import torch
from worlds import build, enumerate_texts, small_discriminator, small_generator

from textgan.core import registry
from textgan.data.text import TextSpace
from textgan.models.discriminators.representations import RepresentationsDiscriminator
from textgan.models.discriminators.stepwise import StepwiseDiscriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.noise import NoiseGenerator
from textgan.models.generators.relational_memory import RelationalMemoryGenerator
from textgan.objectives.leakgan import LeakGAN


def remembering(space: TextSpace, slots: int = 1, seed: int = 0) -> RelationalMemoryGenerator:
    generator = small_generator(
        space, "relational_memory", seed, slots=slots, heads=2, head_size=3, embedding=4
    )
    assert isinstance(generator, RelationalMemoryGenerator)
    return generator


def judging(space: TextSpace, **settings: Any) -> RepresentationsDiscriminator:
    usual = {"representations": 5, "embedding": 2, "sizes": [1, 2, 3], "counts": [3, 2, 2]}
    judge = small_discriminator(space, "representations", **usual | settings)
    assert isinstance(judge, RepresentationsDiscriminator)
    return judge


def pair(space: TextSpace, judge: str = "cnn", **settings: Any) -> tuple[Any, Any]:
    """A generator and the discriminator whose features it is shown."""
    generator = build(
        "generator", "leak", space, embedding=3, hidden=4, goal_size=2, init=0.7, **settings
    )
    discriminator = small_discriminator(space, judge)
    discriminator.embedding.weight.data.mul_(5)  # features that differ much
    LeakGAN().connect(generator, discriminator, enumerate_texts(space))
    return generator, discriminator


def stepwise(space: TextSpace, **settings: Any) -> StepwiseDiscriminator:
    judge = small_discriminator(space, "stepwise", **settings)
    assert isinstance(judge, StepwiseDiscriminator)
    return judge


AUTOREGRESSIVE = [
    name
    for name in registry.names("generator")
    if issubclass(registry.find("generator", name), AutoregressiveGenerator)
]
FROM_NOISE: dict[str, dict[str, Any]] = {
    "convolutional": {"noise": 3, "channels": 4, "blocks": 2},
    "noise_lstm": {"noise": 3, "embedding": 3, "hidden": 4, "init": 0.7},
}


def noise_generator(space: TextSpace, name: str, **settings: Any) -> NoiseGenerator:
    generator: NoiseGenerator = build("generator", name, space, **FROM_NOISE[name] | settings)
    for key, parameter in generator.named_parameters():  # zeros would hide a mistake
        if "bias" in key and parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) / 2
    return generator
