"""The gradient of a loss, accumulated as a value, and over the shards of a batch.

A `Backward` is called with a network and a closure that computes its loss; it may call the closure
several times, with the network's embeddings shifted (see `perturb`), before the optimiser takes its
one step. So the closure is pure: but for dropout it draws nothing, and it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from textgan.core.distributed import Group
from textgan.core.optim import Backward, Loss, Outputs, Reduction, plain
from textgan.core.seeds import fork_rng
from textgan.data.text import Text, concatenate


class Shard(NamedTuple):
    """One of the equal parts of a batch.

    loss, outputs: the closures of a `Backward`. text: whose tokens the loss is about.
    """

    loss: Callable[[], Loss]
    text: Text
    outputs: Outputs | None = None


class Shards:
    """The division of texts into `count` shards, and which of these are this process's own."""

    def __init__(self, count: int, group: Group) -> None:
        self.count, self.group = count, group
        self.own = group.share(count)

    def split(self, text: Text) -> list[Text]:
        """Return this process's shards of a batch, or of another number of texts, nearly equal."""
        bounds = self._bounds(len(text))
        return [text[slice(bounds[shard], bounds[shard + 1])] for shard in self.own]

    def gather(self, shards: Sequence[Text], real: Text) -> Text:
        """Gather the texts of all processes, in their order, of which `shards` are this one's.

        real: what they answer, text by text.
        """
        own = concatenate(shards)
        if self.group.size == 1:
            return own
        start = self._bounds(len(real))[self.own.start]

        def whole(part: Tensor) -> Tensor:
            return self.group.whole(part, start, len(real))

        rows = None if own.soft_tokens is None else whole(own.soft_tokens)
        return Text(whole(own.tokens), whole(own.lengths), rows, real.condition, own.prompt_length)

    def _bounds(self, texts: int) -> list[int]:
        """Return where each shard of that many texts begins, and the last one ends."""
        return [texts * shard // self.count for shard in range(self.count + 1)]


def accumulate(
    network: nn.Module,
    shards: Sequence[Shard],
    streams: Sequence[int],
    reduction: Reduction,
    group: Group,
    backward: Backward = plain,
) -> Loss:
    """Accumulate the gradient of a whole batch from its shards, of which each process has as many.

    streams: seeds of what the loss of each shard draws, such as dropout. reduction: what the loss
    is over a batch. Gradients are added up, or averaged, by the numbers of tokens where the loss is
    a mean over tokens. Metrics are averaged. A single shard is the batch, and draws from the stream
    of random numbers as it is.
    """
    parts = group.size * len(shards)
    if parts == 1:
        return backward(network, shards[0].loss, shards[0].outputs)
    seen: list[Tensor] = []
    names: list[str] = []
    for shard, shard_stream in zip(shards, streams, strict=True):
        weight = shard.text.lengths.sum() if reduction == "mean_token" else torch.tensor(1)
        with fork_rng(shard_stream, shard.text.tokens.device):
            value, metrics = backward(network, shard.loss, shard.outputs, weight)
        names = list(metrics)
        scalars = [weight, value.detach() * weight, *map(torch.as_tensor, metrics.values())]
        each = [scalar.detach().to(value.device, torch.float64).reshape(()) for scalar in scalars]
        seen.append(torch.stack(each))
    total = torch.stack(seen).sum(0)
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    group.add([*gradients, total])
    weight, value = total[0], total[1]
    if reduction != "sum":
        value = value / weight
        for gradient in gradients:
            gradient.div_(weight)
    return value, dict(zip(names, total[2:] / parts, strict=True))


def averaged(states: Sequence[Mapping[str, Tensor]], group: Group) -> dict[str, Tensor]:
    """Merge what the losses of a batch's shards ask to be kept (see `Objective.generator_loss`).

    Real numbers are averaged over all shards of all processes; the rest is the same in all.
    """
    merged = dict(states[0])
    parts = group.size * len(states)
    if parts == 1:
        return merged
    for name, tensor in merged.items():
        if tensor.is_floating_point():
            merged[name] = torch.stack([state[name] for state in states]).sum(0)
    real = [tensor for tensor in merged.values() if tensor.is_floating_point()]
    group.add(real)
    for tensor in real:
        tensor.div_(parts)
    return merged
