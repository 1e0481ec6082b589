"""Classifiers differ in nothing but a perturbation and a seed."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from classified import FLAGS, SMALL, after_each_update, trained, untimed
from toys import Cli, refused

from textgan.classifiers.train import classify
from textgan.core import registry
from textgan.data.text import Text
from textgan.models.discriminators.cnn import CNNDiscriminator


def test_the_same_command_gives_the_same_numbers(reviews: Path) -> None:
    stream = torch.get_rng_state()
    settings = {"epochs": 2, "lr": 3e-3, "attack.restarts": 2}
    first, second = (trained(reviews, "pgd", 2, **settings) for _ in range(2))
    assert untimed(first) == untimed(second)
    assert first.runs[0].norm != first.runs[2].norm  # another seed, another network
    assert torch.equal(torch.get_rng_state(), stream)
    # a seed's numbers depend on no other
    [alone, _] = untimed(trained(reviews, "pgd", 1, **settings))
    assert alone == untimed(first)[0]


def test_perturbations_differ_in_nothing_else(reviews: Path) -> None:
    """One that does nothing ends in none's own classifier, to the bit: the same first weights,
    batches and dropout."""
    name = "pgd(epsilon=0.0, include_clean=false)"
    none, other = untimed(trained(reviews, name, epochs=2, lr=3e-3))
    assert other.pop("perturb") == name
    assert none.pop("perturb") == "none"
    assert none == other


def test_batches_are_the_same_whatever_is_drawn(
    reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Text] = []
    really = CNNDiscriminator.class_logits

    def watched(network: CNNDiscriminator, text: Text) -> torch.Tensor:
        # dropout is on in training alone; a perturbation reads each batch several times
        if network.dropout.training and not (seen and seen[-1] is text):
            seen.append(text)
        return really(network, text)

    monkeypatch.setattr(CNNDiscriminator, "class_logits", watched)
    made = trained(reviews, "pgd(same_dropout=false)", epochs=2)
    assert made.runs[0].norm != made.runs[1].norm
    batches = 7
    assert len(seen) == 2 * 2 * batches
    none, pgd = seen[: 2 * batches], seen[2 * batches :]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(none, pgd, strict=True))
    first, second = none[:batches], none[batches:]
    assert not all(torch.equal(a.tokens, b.tokens) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", registry.names("perturbation"))
def test_every_perturbation_trains(name: str, reviews: Path) -> None:
    made = trained(reviews, name, epochs=2)
    assert [one.perturb for one in made.runs] == ["none", name]
    for one in made.runs:
        assert all(0 <= share <= 1 for share in one.accuracy.values())
    assert made.runs[1].norm != made.runs[0].norm, "it left no trace"


def test_replays_are_counted_as_epochs(reviews: Path) -> None:
    updates: list[int] = []
    with after_each_update(lambda: updates.append(1)):
        made = trained(reviews, "free_at(replays=3)")
    none, free = made.runs
    assert (none.epochs, free.epochs) == (6, 2)
    batches = 7  # of 8 out of 80 - 8 - 16 sentences
    assert len(updates) == 2 * 6 * batches


@pytest.mark.parametrize("network", ["rnn", "transformer"])
def test_other_networks(network: str, reviews: Path) -> None:
    settings = {key: value for key, value in SMALL.items() if not key.startswith("network.")}
    result = classify(
        reviews, network=network, perturb="none", seeds=1, quiet=True, **(settings | {"lr": 0.01})
    )
    assert result.runs[0].accuracy["clean"] == 1.0
    assert result.facts["network"] == network


def test_the_best_epoch_counts(reviews: Path) -> None:
    """A shorter run is the beginning of a longer one: another epoch changes the classifier where it
    does better on the validation sentences, and nowhere else."""
    runs = [trained(reviews, epochs=n, lr=0.005).runs[0] for n in range(1, 6)]
    for n, (before, after) in enumerate(itertools.pairwise(runs), 2):
        better = after.valid > before.valid
        assert after.epoch == (n if better else before.epoch)
        assert after.valid >= before.valid
        assert (after.norm != before.norm) == better  # of the classifier that was kept
    assert len({one.epoch for one in runs}) > 1
    assert runs[-1].epoch < 5


def test_weights_that_stop_being_numbers(reviews: Path, cli: Cli, tmp_path: Path) -> None:
    flags = [*FLAGS, "--perturb", "none", "--seeds", 1]
    really = torch.nn.functional.cross_entropy

    def broken(*arguments: Any, **more: Any) -> Any:
        return really(*arguments, **more) * torch.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", broken)
        message = refused(cli, "classify", reviews, *flags, "--out", tmp_path / "study")
    assert "none, seed 0: the gradient of CNNDiscriminator is not finite" in message
    assert message.endswith("try a smaller lr")
