"""One optimiser step: a loss, how its gradient is accumulated, the clipped update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from textgan.core.device import is_asynchronous
from textgan.core.errors import UserError, described
from textgan.core.precision import precision
from textgan.core.settings import FROZEN


class NotFinite(UserError):
    """A gradient or a measure is not a number; the message says what became of the weights."""


def update(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[], Loss],
    backward: Backward,
    clip: float,
    *,
    with_dropout: bool = True,
    wait: bool = True,
) -> dict[str, Tensor]:
    """Do one optimiser step: clear, accumulate, clip the norm at `clip` (0: never), step.

    with_dropout: whether the network's dropout is on in the loss. wait: see `clipped_step`, which
    also says what it raises.
    """
    optimiser.zero_grad()
    with dropout(network) if with_dropout else nullcontext():
        value, metrics = backward(network, loss)
    return {**clipped_step(network, optimiser, value, clip, wait=wait), **metrics}


def clipped_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    clip: float,
    *,
    wait: bool = True,
) -> dict[str, Tensor]:
    """Clip the norm of the accumulated gradient at `clip` (0: never) and step.

    loss: only for what is logged. wait: whether the host waits for an accelerator to raise
    NotFinite; without, fused Adam skips the step there, and only `gradient_norm` shows it. Raises
    NotFinite, the weights unchanged, if the gradient's norm is not a number.
    """
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    norm = joint_norm(gradients)
    if not wait and is_asynchronous(norm) and optimiser.defaults.get("fused"):
        _step_if_finite(optimiser, norm, clip)
        return {"loss": loss.detach(), "gradient_norm": norm.detach()}
    finite, exceeds = torch.stack([norm.isfinite(), norm > clip]).tolist()
    if not finite:
        name = type(network).__name__
        raise NotFinite(
            f"the gradient of {name} is not finite (loss {float(loss.detach()):g}), "
            "its weights are unchanged"
        )
    if clip > 0 and exceeds:
        for gradient in gradients:
            gradient.mul_(clip / norm)
    optimiser.step()
    return {"loss": loss.detach(), "gradient_norm": norm.detach()}


def _step_if_finite(optimiser: torch.optim.Optimizer, norm: Tensor, clip: float) -> None:
    """Step, the norm clipped, unless it is not a number: the device decides, as it does for
    `torch.amp.GradScaler`, whose two attributes a fused optimiser reads."""
    scale = (norm.float() / clip).clamp(min=1) if clip > 0 else None
    vars(optimiser).update(grad_scale=scale, found_inf=(~norm.isfinite()).float())
    try:
        optimiser.step()
    finally:
        del optimiser.grad_scale, optimiser.found_inf  # type: ignore[attr-defined]


def joint_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Compute the Euclidean norm of all tensors together, a scalar; 0 of none.

    By dot products, which take half the time of torch's norms on a processor, in float32; on an
    accelerator by torch's, in few kernels.
    """
    if not tensors:
        return torch.zeros(())
    if is_asynchronous(tensors[0]):
        norms: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
        return norms
    with precision("float32", tensors[0].device):
        flat = [tensor.flatten() for tensor in tensors]
        return torch.stack([torch.dot(vector, vector) for vector in flat]).sum().sqrt()


@contextmanager
def dropout(network: nn.Module) -> Iterator[None]:
    """Dropout on inside, off outside. Only the dropout modules are switched: cuDNN refuses a
    recurrent network's backward pass in eval mode, and losses go back through discriminators."""
    modules = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    for module in modules:
        module.train()
    try:
        yield
    finally:
        for module in modules:
            module.eval()


@contextmanager
def swapped_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the network has other weights, by their names; outside its own, to the bit."""
    own = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    try:
        for name, weight in network.named_parameters():
            weight.data.copy_(weights[name])
        torch.clear_autocast_cache()
        yield
    finally:
        for name, weight in network.named_parameters():
            weight.data.copy_(own[name])
        torch.clear_autocast_cache()


def build_optimiser(
    network: nn.Module, lr: float, settings: Optimisers | None = None
) -> torch.optim.Optimizer:
    """Build an optimiser of the trained weights: as the settings say, or Adam with its usual ones.

    Fused Adam spares the update of a large discriminator a fifth of its time.
    """
    settings = settings or Optimisers()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if settings.method == "rmsprop":
        return torch.optim.RMSprop(trained, lr=lr)
    if settings.method == "sgd":
        return torch.optim.SGD(trained, lr=lr)
    return torch.optim.Adam(trained, lr=lr, betas=(settings.beta1, settings.beta2), fused=True)


class Optimisers(BaseModel):
    """Adam, but where a method asks for something else; MLE is always Adam's."""

    model_config = FROZEN

    method: Literal["adam", "rmsprop", "sgd"] = Field(
        "adam", description="of the adversarial updates"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's memory of gradients, adversarial")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's memory of their squares")

    mle_lr: float = Field(1e-2, gt=0, le=10, description="learning rate of MLE; paper: 0.01")
    generator_lr: float = Field(
        1e-3, gt=0, le=10, description="learning rate of the adversarial updates; paper: 0.01"
    )
    discriminator_lr: float = Field(
        1e-4, gt=0, le=10, description="learning rate of the discriminator; paper: 0.0001"
    )
    method_lr: float = Field(
        1e-3, gt=0, le=10, description="of what a method trains beside the two, such as a critic"
    )
    clip: float = Field(5.0, ge=0, description="norm of the generator's gradient at most; 0: any")
    discriminator_clip: float = Field(0.0, ge=0, description="the same for the discriminator")


Outputs = Callable[[], Tensor]


class Backward(Protocol):
    """Adds the gradient of scale * loss to that of a network's weights, and returns the loss.

    loss: computes it; several calls, dropout apart, compute the same. outputs: computes the
    network's logits of the same texts, (N, C) or (N, 1), for those that compare outputs.
    """

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss: ...


def computed(loss: Callable[[], Loss]) -> Loss:
    """Call the closure of a loss and return the loss. Raises UserError, which names what was
    expected, where it is none."""
    return as_loss(loss(), "the closure of the loss")


def plain(
    network: nn.Module,
    loss: Callable[[], Loss],
    outputs: Outputs | None = None,
    scale: float | Tensor = 1.0,
) -> Loss:
    """Accumulate the ordinary gradient: one forward and one backward pass."""
    value, metrics = computed(loss)
    (value * scale).backward()
    return value.detach(), metrics


Loss = tuple[Tensor, dict[str, Tensor]]  # a scalar to minimise, detached scalars to log


Reduction = Literal["sum", "mean_sentence", "mean_token"]


def as_loss(returned: object, who: str) -> Loss:
    """Return what `who` returned if it is a Loss with a gradient; raise UserError, which describes
    it, if not."""
    expected = (
        "expected (loss, metrics): a scalar tensor with a gradient, and scalars to log by their "
        "names, {} for none"
    )
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise UserError(f"{who} returned {described(returned)}; {expected}")
    value, metrics = returned
    if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
        raise UserError(f"{who} returned {described(value)} as the loss; {expected}")
    if not isinstance(metrics, Mapping):
        raise UserError(f"{who} returned {described(metrics)} as the metrics; {expected}")
    for name, figure in metrics.items():
        scalar = isinstance(figure, int | float) or (
            isinstance(figure, Tensor) and figure.numel() == 1
        )
        if not isinstance(name, str) or not scalar:
            raise UserError(f"{who} returned {described(figure)} as metric {name!r}; {expected}")
    if not value.requires_grad:
        raise UserError(
            f"{who} returned a loss without a gradient (it was detached, or computed under "
            f"torch.no_grad()); {expected}"
        )
    return value, dict(metrics)
