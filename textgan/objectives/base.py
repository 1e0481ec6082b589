"""Objective: the three questions that every adversarial method answers.

1. What do the fakes look like?            `sample`
2. What does the discriminator minimise?   `discriminator_loss`
3. What does the generator minimise?       `generator_loss`

A subclass is a dataclass whose fields are the method's hyper-parameters. It never trains, logs or
draws real data: the trainer does that for all methods alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.errors import UserError, described
from textgan.core.moved import FormerName, adopt_former_names
from textgan.core.names import Kind, title
from textgan.core.optim import Loss, Reduction
from textgan.core.seeds import fork_rng
from textgan.core.settings import CheckedSettings
from textgan.core.streams import Purpose, stream
from textgan.data.text import Text
from textgan.losses import nll
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator

# who else has an optimiser, and so names that a method's own networks may not have
PAIR = ("mle", "generator", "discriminator")
StatefulLoss = tuple[Tensor, Mapping[str, Tensor], Mapping[str, Tensor]]  # and what is to be kept


@dataclass(kw_only=True)
class Objective(CheckedSettings, ABC):
    """A method of adversarial text generation."""

    part_kind: ClassVar[Kind] = "objective"
    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    generator: ClassVar[str] = "lstm"  # the usual pair, taken where a run names no other
    discriminator: ClassVar[str | None] = "cnn"  # None: the method has no discriminator
    # where the discriminator's name is looked up; "generator" where it is a language model
    discriminator_kind: ClassVar[Kind] = "discriminator"
    # the usual one where texts answer a source; empty: pair_cnn, or attention
    source_discriminator: ClassVar[str] = ""
    # why it cannot train on texts that answer a source, as the end of a sentence; empty if it can
    refuses_source: ClassVar[str] = ""
    # settings of a run that suit the method better than the common ones, by their dotted keys
    defaults: ClassVar[Mapping[str, Any]] = {}
    # what config.json of a version without a setting means by its absence, by the dotted keys:
    # needed where the setting's default is not what was done before there was one
    legacy: ClassVar[Mapping[str, Any]] = {}
    # the fewest real texts, and fakes, that an update can compare
    least: ClassVar[int] = 1
    # whether it trains only on texts that answer a source, since it compares them with a reference
    needs_source: ClassVar[bool] = False
    # whether it trains only generators that know the probability of what they write
    needs_likelihood: ClassVar[bool] = True
    # whether the generator's dropout is on in its adversarial updates and while the texts of this
    # method are drawn for training. On where the gradient flows through relaxed texts, whose masks
    # are part of the graph, and where the loss is that of real words, as in MLE. Off, as most need
    # it, where a loss takes the generator's probability of a text as that of its distribution:
    # a score function, a ratio, a rollout, a divergence. A thinned network is another policy
    generator_dropout: ClassVar[bool] = False
    # whether the sign of the discriminator's score of a text is its verdict, real or fake
    score_is_logit: ClassVar[bool] = True

    # what the method keeps from step to step (a lagged policy, a running mean), for checkpoints
    # too. `setup`, `on_fakes` and `after_discriminator_step` may change it; losses only read it,
    # and a generator's loss returns what is to be kept
    state: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    # what the method trains beside the pair (a critic), made by `build_networks`
    networks: nn.ModuleDict = field(
        default_factory=nn.ModuleDict, init=False, repr=False, compare=False
    )

    # the true language of a synthetic run, which knows the probability of every text; its run gives
    # it before `connect`. For what no other run has: an upper bound
    oracle: AutoregressiveGenerator | None = field(
        default=None, init=False, repr=False, compare=False
    )

    # of a run that goes on to draw as the first version did, see `textgan.core.streams`
    old: bool = field(default=False, init=False, repr=False)

    # as version 0.1 called them
    memory = FormerName("state")
    prepare = FormerName("setup")
    remember = FormerName("on_fakes")
    constrain = FormerName("after_discriminator_step")

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_former_names(cls)
        cls.name = name or cls.__name__
        if name:
            registry.register("objective", name, cls)

    @classmethod
    def usual_pair(cls, has_source: bool) -> tuple[str, str | None]:
        """Return the names of the generator and of the discriminator of a run that names no others.

        has_source: whether its texts answer a source, which both then have to read.
        """
        if not has_source or cls.needs_source:
            return cls.generator, cls.discriminator
        reader = "attention" if cls.discriminator_kind == "generator" else "pair_cnn"
        return "attention", cls.discriminator and (cls.source_discriminator or reader)

    @property
    def group(self) -> int:
        """The number of fakes that answer each real text in a generator update; a method that
        compares them with each other needs several."""
        return 1

    @property
    def completions(self) -> int:
        """The number of completions of each prefix that a generator update draws, from which its
        memory is predicted: the setting `rollouts`, where a method has one; 0: none."""
        rollouts = getattr(self, "rollouts", 0)
        return rollouts if isinstance(rollouts, int) else 0

    @property
    def reduction(self) -> Reduction:
        """The reduction of `generator_loss` over the texts of a batch: how the losses of its shards
        add up.

        A method that leaves it to its user has a field of this name instead.
        """
        return "mean_sentence"

    def connect(
        self, generator: Generator, discriminator: Discriminator | None, train: Text
    ) -> None:
        """Connect the networks and the training text with the method; called before training.

        Raises ValueError for a pair that does not fit, naming what the method needs.
        """
        kind = type(self)
        if kind.needs_source and train.source is None:
            raise ValueError(f"{kind.name} needs texts that answer a source")
        if kind.needs_likelihood and not isinstance(generator, AutoregressiveGenerator):
            name = type(generator).__name__
            raise ValueError(f"{kind.name} needs a likelihood, which {name} lacks")
        if kind.discriminator is not None and discriminator is None:
            raise ValueError(f"{kind.name} needs a discriminator")
        language_model = isinstance(discriminator, AutoregressiveGenerator)
        if kind.discriminator_kind == "generator" and not language_model:
            raise ValueError(
                f"{kind.name} needs a discriminator that is a language model, such as "
                f"{kind.discriminator}; got {type(discriminator).__name__}"
            )
        self.setup(generator, discriminator, train)
        if kind.build_networks is Objective.build_networks:
            return
        weight = next(generator.parameters())
        # random numbers of their own, so that with and without them a run draws the same
        with fork_rng(stream(Purpose.METHOD_WEIGHTS, torch.initial_seed()), weight.device):
            networks = self.build_networks(generator, discriminator)
        self.networks = nn.ModuleDict(_checked(networks, f"{title(kind)}.build_networks"))
        self.networks.to(weight.device, weight.dtype)

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        """Keep what is needed of the pair and of the training text; refuse with a ValueError
        what does not fit. A generator that it changes must declare `reads_discriminator`, for
        others are loaded without it."""

    def build_networks(
        self, generator: Generator, discriminator: Discriminator | None
    ) -> Mapping[str, nn.Module]:
        """Build the networks that the method trains beside the pair, by their names; called after
        `setup`.

        They are in `networks` from then on, and in checkpoints. Each has an optimiser of its own
        (at `optimisers.method_lr`), which follows the gradient of `generator_loss`: a method adds
        to that what such a network shall minimise.
        """
        return {}

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        """Make one fake in answer to each real text; by default the generator draws it.

        progress: goes from 0 to 1 over the rounds. Gradients are recorded only where a method
        that defines this does so.
        """
        return generator.sample(len(real), condition=real.condition)

    def discriminator_sample(self, generator: Generator, real: Text, progress: float) -> Text:
        """Make the fakes that the discriminator is trained on, one in answer to each real text; by
        default as those that the generator is."""
        return self.sample(generator, real, progress)

    def mle_loss(self, generator: AutoregressiveGenerator, real: Text) -> Loss:
        """Compute the loss of an MLE update of the generator: the mean over the tokens of real
        text."""
        return nll(generator.log_prob(real), real.mask), {}

    def teacher_loss(
        self, generator: AutoregressiveGenerator, discriminator: Discriminator, real: Text
    ) -> Loss:
        """Compute the loss of an MLE update among the rounds (`schedule.mle_steps`): by default
        that of pretraining. The discriminator's dropout is off, the generator's on."""
        return self.mle_loss(generator, real)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        """Compute the discriminator's loss. Pure: it may be called several times an update.

        A method without a discriminator has none.
        """
        raise TypeError(f"{type(self).name} has no discriminator, so no loss of one")

    @abstractmethod
    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss | StatefulLoss:
        """Compute the generator's loss; called once an update. The discriminator's dropout is off,
        the generator's follows `generator_dropout`.

        real: what `fake` answers, text by text; each of its texts comes `group` times in a row.
        A method that keeps something of the update returns that as a third value, tensors by their
        names in `state`. Of a batch in shards, real numbers in it are averaged.
        """

    def on_fakes(self, fake: Text) -> None:
        """Receive the fakes of a generator update, without soft tokens; called before its loss."""

    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        """Constrain the discriminator's weights; called after each of its updates."""


def without_state(returned: Any) -> tuple[Loss, Mapping[str, Tensor]]:
    """Split what a generator's loss returned into the loss and the state to keep, if any."""
    if isinstance(returned, tuple) and len(returned) == 3:
        return (returned[0], returned[1]), returned[2]
    return returned, {}


def refuse_changes(objective: Objective, before: Mapping[str, Tensor]) -> None:
    """Raise UserError where a generator's loss changed state that it may only read."""
    now = objective.state
    for name in now.keys() | before.keys():
        if now.get(name) is not before.get(name):
            raise UserError(
                f"{title(type(objective))}.generator_loss changed state[{name!r}], which "
                f"losses only read; return it: loss, metrics, {{{name!r}: ...}}"
            )


def _checked(networks: Any, who: str) -> dict[str, nn.Module]:
    """What `build_networks` returned. Raises UserError unless it is networks by their names."""
    expected = "expected networks by their names, {} for none"
    if not isinstance(networks, Mapping):
        raise UserError(f"{who} returned {described(networks)}; {expected}")
    for name, network in networks.items():
        if not isinstance(name, str) or not name.isidentifier() or name in PAIR:
            others = ", ".join(PAIR)
            raise UserError(f"{who} calls a network {name!r}; give it a word, none of {others}")
        if not isinstance(network, nn.Module):
            raise UserError(f"{who} returned {described(network)} as {name!r}; {expected}")
    return dict(networks)
