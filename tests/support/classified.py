"""Studies of classifiers that take a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook
from toys import keys

from textgan.classifiers.results import Classification
from textgan.classifiers.train import classify

SMALL: dict[str, Any] = {
    "network.embedding": 8,
    "network.sizes": [1, 2],
    "network.counts": [6, 6],
    "network.highway": False,
    "batch": 8,
    "lr": 0.02,
    "epochs": 6,
    "attack.epsilon": [0.0, 0.3],
    "attack.steps": 2,
    "noise.rate": [0.0, 0.3],
    "noise.kind": ["drop", "typo"],
}
FLAGS = [*keys(SMALL), "--network", "cnn"]
ONE_EPOCH = [*keys(SMALL | {"epochs": 1}), "--network", "cnn"]
TROUBLES = ["clean", "attack 0", "attack 0.3", "drop 0", "drop 0.3", "typo 0", "typo 0.3"]


def trained(
    reviews: Path, perturb: str = "none", seeds: int = 1, **settings: Any
) -> Classification:
    settings = {"network": "cnn"} | SMALL | settings
    return classify(reviews, perturb=perturb, seeds=seeds, quiet=True, **settings)


def untimed(made: Classification) -> list[dict[str, Any]]:
    return [{k: v for k, v in vars(run).items() if k != "seconds"} for run in made.runs]


@contextmanager
def after_each_update(hook: Callable[[], None]) -> Iterator[None]:
    """Call a hook after each step of any optimiser."""
    handle = register_optimizer_step_post_hook(lambda *_: hook())
    try:
        yield
    finally:
        handle.remove()
