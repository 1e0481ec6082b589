"""Attacks on a trained classifier: the shift of a text's vectors that misleads it most.

An attack ascends the margin, the score of the best wrong class less that of the right one: unlike a
loss it does not flatten where a network is sure of itself, which would hide it from gradients.

Radii compare between networks only in units of what each of them reads: a network that makes its
vectors twice as long sees the same shift half as large. So a ball's radius is epsilon * norm *
sqrt(words) with the mean norm of the network's own vectors: epsilon is the length of the shift as a
share of the sentence's. A plain number as the radius of every ball is the other choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from textgan.data.text import Text
from textgan.models.discriminators.base import Discriminator
from textgan.perturb.shifts import ShiftedPass, Start, shift_target


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the score of the best wrong class less that of the right one, (B,), given scores (B,
    C) and labels (B,): below zero where the text is classified right."""
    right = labels.unsqueeze(1)
    wrong = scores.scatter(1, right, -torch.inf).amax(1)
    return wrong - scores.gather(1, right).squeeze(1)


def typical_norm(network: Discriminator, texts: Sequence[Text]) -> float:
    """Compute the mean Euclidean norm of the embedding vectors of texts."""
    target, norms = shift_target(network), []

    def note(_: nn.Module, read: tuple[Tensor, ...], vectors: Tensor) -> None:
        norms.append(vectors.detach().double().norm(dim=-1)[target.words(read[0])])

    handle = target.module.register_forward_hook(note)
    try:
        with without_dropout(network), torch.enable_grad():  # without, some networks read no words
            for text in texts:
                network.class_logits(text)
    finally:
        handle.remove()
    return float(torch.cat(norms).mean())


def attack(
    network: Discriminator,
    text: Text,
    epsilon: float,
    *,
    norm: float | None = None,
    steps: int = 1,
    restarts: int = 1,
    stride: float = 0.25,
    random: torch.Generator | None = None,
) -> Tensor:
    """Search a ball around the vectors of each labelled text for the largest margin (B,).

    epsilon: the radius, in units of norm * sqrt(words) where a norm is given (see `typical_norm`).
    steps, restarts: 1 and 1 are FGM, the end of one step along the gradient; more are PGD, which
    goes on from there by steps of `stride` radii, then begins again at random places of the edge.
    The text as it is counts as found, and so does every place on the way: more steps and restarts
    find no less. random: draws the places, on the network's device; the default generator if None.
    The network, its gradients and padding stay untouched; dropout is off.
    Raises ValueError for texts without labels, UserError where there is no embedding to shift.
    """
    if text.labels is None:
        raise ValueError("texts without labels cannot be misclassified")
    labels, target = text.labels, shift_target(network)
    largest = torch.full(labels.shape, -torch.inf, device=labels.device)

    def measure(shifts: Sequence[Tensor] | Start | None) -> tuple[ShiftedPass, list[Tensor]]:
        nonlocal largest
        with torch.enable_grad(), target.shifted(shifts) as current:
            margin = margins(network.class_logits(text), labels)
            gradients = current.gradients(margin.sum())
        largest = torch.maximum(largest.to(margin), margin.detach())
        return current, gradients

    def radius(shift: Tensor, mask: Tensor) -> Tensor:
        words = mask[..., :1].to(shift.dtype).sum(1, keepdim=True)
        return epsilon * (torch.ones_like(words) if norm is None else norm * words.sqrt())

    def edge(zeros: Tensor, mask: Tensor) -> Tensor:
        drawn = torch.where(mask, zeros.normal_(generator=random), 0.0)
        return radius(drawn, mask) * target.direction(drawn)

    def further(current: ShiftedPass, gradients: Sequence[Tensor], length: float) -> list[Tensor]:
        moved = []
        for shift, mask, gradient in zip(current.shifts, current.masks, gradients, strict=True):
            most = radius(shift, mask)
            moved.append(target.project(shift + length * most * target.direction(gradient), most))
        return moved

    with without_dropout(network):
        for begin in [None] + [edge] * (restarts - 1):
            current, gradients = measure(begin)
            for step in range(steps):
                length = 1.0 if begin is None and step == 0 else stride
                current, gradients = measure(further(current, gradients, length))
    return largest


@contextmanager
def without_dropout(network: nn.Module) -> Iterator[None]:
    """Dropout off inside; outside as it was."""
    modules = [part for part in network.modules() if isinstance(part, nn.Dropout) and part.training]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module in modules:
            module.train()
