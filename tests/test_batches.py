"""What every method makes of a batch: of its shards, of its classes, of one or two texts."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import family
import pytest
import torch
from states import training
from tables import exact_rollouts
from torch import Tensor, nn
from worlds import VARIABLE, enumerate_texts, small_discriminator, small_generator

from textgan.core import registry
from textgan.core.distributed import Group
from textgan.core.errors import UserError
from textgan.core.optim import Loss, Reduction
from textgan.data.text import Condition, Text, TextSpace, exchange_sources
from textgan.objectives.base import Objective, without_state
from textgan.training.schedule import Step
from textgan.training.shards import Shard, accumulate
from textgan.training.steps import train_step

METHODS = [  # those of pairs alone have tests of their own, see support/pairs.py
    name
    for name in family.ANY_TEXT
    if registry.find("objective", name).__module__.startswith("textgan.")
]
ADVERSARIAL = [name for name in METHODS if registry.find("objective", name).discriminator]
CLASSES = TextSpace(4, 3, eos=1, classes=2)
ANSWERS = replace(VARIABLE, source=TextSpace(3, 2))
# whose losses compare the texts of a batch with each other, so that a shard is a batch of its own:
# as README says. Of the generator: weights relative to the batch's, or features matched
COMPARE_JUDGED = {"rankgan", "textgan_mmd"}
COMPARE_WRITTEN = {"rankgan", "textgan_mmd", "maligan", "jsdgan", "leakgan"}
BASELINE = {"reinforce", "coldgan", "jeffreys"}  # the others' mean, by default
DRAWS = {"random_reward"}  # its loss is another one every time


class World(NamedTuple):
    objective: Objective
    generator: Any
    judge: Any
    real: Text
    fake: Text


def world(name: str, space: TextSpace, **settings: Any) -> World:
    """A method and its usual pair, with twelve texts and the fakes that answer them."""
    part = registry.find("objective", name)
    pair = part.usual_pair(space.source is not None)
    generator = small_generator(space, pair[0])
    judge: Any = None
    if pair[1] is not None:
        made = (
            small_discriminator if part.discriminator_kind == "discriminator" else small_generator
        )
        judge = made(space, pair[1], seed=1)
    objective: Objective = part(**settings)
    real = enumerate_texts(replace(space, classes=0))[:12]
    which = torch.arange(12) % 2
    source = None if space.source is None else enumerate_texts(space.source)[3 * which]
    real = replace(real, condition=Condition(which if space.classes else None, source))
    objective.connect(generator, judge, real)
    if name == "spin":  # whose first loss, against the generator as it is, is the same of any texts
        copy = small_generator(space, pair[0], seed=9).requires_grad_(False)
        objective.state = dict(copy.named_parameters()) | {"updates": torch.tensor(1)}
    torch.manual_seed(3)
    answered = real.repeat(objective.group)
    with torch.no_grad():
        fake = objective.sample(generator, answered, 0.5)
    if hasattr(objective, "penalty"):  # at places that are drawn
        objective.penalty = 0.0
    return World(objective, generator, judge, real, fake)


def gradient(network: nn.Module, shards: list[Shard], reduction: Reduction) -> Tensor:
    network.zero_grad()
    accumulate(network, shards, range(len(shards)), reduction, Group())
    result = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return torch.cat(result)


def judged(here: World, parts: list[slice]) -> Tensor:
    """The gradient of the discriminator's loss by the shards of a batch of pairs."""

    def loss(part: slice) -> Loss:
        return here.objective.discriminator_loss(here.judge, here.real[part], here.fake[part])

    shards = [Shard(lambda p=p: loss(p), here.real[p]) for p in parts]  # type: ignore[misc]
    return gradient(here.judge, shards, "mean_sentence")


def written(here: World, parts: list[slice]) -> Tensor:
    """The same of the generator's loss; each text is answered `group` times."""
    n = here.objective.group
    answered = here.real.repeat(n)
    here.objective.on_fakes(replace(here.fake, soft_tokens=None))

    def fakes(part: slice) -> slice:
        return slice(part.start * n, part.stop * n)

    def loss(part: slice) -> Loss:
        at = fakes(part)
        fake = here.fake[at]
        if here.fake.soft_tokens is not None:  # the path goes through the drawing
            torch.manual_seed(7)
            whole = here.objective.sample(here.generator, answered, 0.5)
            fake = whole[at]
        given = (here.generator, here.judge, answered[at], fake, 0.5)
        return without_state(here.objective.generator_loss(*given))[0]

    shards = [Shard(lambda p=p: loss(p), here.fake[fakes(p)]) for p in parts]  # type: ignore[misc]
    return gradient(here.generator, shards, here.objective.reduction)


FAKES, DISCRIMINATOR, GENERATOR = (
    Step(do, "adversarial", 1, 0) for do in ("fakes", "discriminator", "generator")
)
WHOLE, SHARDS = [slice(0, 12)], [slice(0, 6), slice(6, 12)]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in METHODS:
        module = sys.modules[registry.find("objective", name).__module__]
        if hasattr(module, "rollout_values"):
            monkeypatch.setattr(module, "rollout_values", exact_rollouts)


def some(names: Sequence[str]) -> list[Any]:
    """Each of these methods without sources, and each that can with them."""
    plain = [pytest.param(name, VARIABLE, id=name) for name in names]
    answering = [name for name in names if name in family.ANSWERING]
    return plain + [pytest.param(name, ANSWERS, id=f"{name}-sources") for name in answering]


@pytest.mark.parametrize(("name", "space"), some(ADVERSARIAL))
def test_the_discriminators_shards_are_its_batch_where_texts_are_not_compared(
    name: str, space: TextSpace
) -> None:
    here = world(name, space)
    assert here.real.lengths[:6].sum() != here.real.lengths[6:].sum()
    whole, shards = judged(here, WHOLE), judged(here, SHARDS)
    alike = torch.allclose(whole, shards, rtol=1e-10, atol=1e-13)
    assert alike == (name not in COMPARE_JUDGED)


@pytest.mark.parametrize(("name", "space"), some([name for name in METHODS if name not in DRAWS]))
def test_the_generators_shards_are_its_batch_where_texts_are_not_compared(
    name: str, space: TextSpace, exact: None
) -> None:
    here = world(name, space, **({"baseline": "none"} if name in BASELINE else {}))
    whole, shards = written(here, WHOLE), written(here, SHARDS)
    alike = torch.allclose(whole, shards, rtol=1e-10, atol=1e-13)
    compare = COMPARE_WRITTEN - ({"maligan"} if space.source else set())  # texts of one source
    assert alike == (name not in compare)


# --- classes ---


@pytest.mark.parametrize("name", [name for name in family.ANY_TEXT if name not in DRAWS | {"mle"}])
def test_which_class_a_text_is_of_changes_what_is_learnt(name: str) -> None:
    """The labels of the texts that are judged or written, turned round."""
    here = world(name, CLASSES)
    assert here.real.labels is not None
    labels = here.real.repeat(here.objective.group).labels
    turned = replace(here.fake, condition=Condition(1 - labels))
    if here.judge is not None:
        pairs = [(here.real, here.fake[:12]), (here.real, turned[:12])]
        if name == "sentigan":  # to whose discriminator fakes are a class of their own
            pairs[1] = replace(here.real, condition=Condition(1 - here.real.labels)), here.fake[:12]
        losses = [here.objective.discriminator_loss(here.judge, *pair)[0] for pair in pairs]
        assert not torch.isclose(*losses, rtol=1e-6)
    losses = []
    for fake in (here.fake, turned):
        real = fake if fake.soft_tokens is None else here.real  # what jsdgan reads
        real = here.real if name == "spin" else real
        here.objective.on_fakes(replace(here.fake, soft_tokens=None))
        torch.manual_seed(5)
        losses.append(here.objective.generator_loss(here.generator, here.judge, real, fake, 0.5)[0])
    assert not torch.isclose(*losses, rtol=1e-6)


@pytest.mark.parametrize("name", ["rankgan", "textgan_mmd"])
def test_texts_are_compared_within_their_class(name: str, exact: None) -> None:
    """Without labels, swapped classes cannot be told; a discriminator that knows no label can."""
    here = world(name, CLASSES)
    plain = replace(here.real, condition=Condition()), replace(here.fake, condition=Condition())
    one = here.objective.discriminator_loss
    if name == "rankgan":  # whose loss sees labels nowhere else
        same = one(here.judge, *plain)[0]
        assert not torch.isclose(one(here.judge, here.real, here.fake)[0], same)
    # the names of the classes are no matter, only which texts share one
    both = here.objective.generator_loss
    if name == "textgan_mmd":
        renamed = (
            replace(text, condition=Condition(1 - text.labels))
            for text in (here.real, here.fake)
            if text.labels is not None
        )
        assert torch.isclose(
            both(here.generator, here.judge, here.real, here.fake, 0.5)[0],
            both(here.generator, here.judge, *renamed, 0.5)[0],
            rtol=1e-12,
        )


@pytest.mark.parametrize("space", [CLASSES, TextSpace(3, 3, classes=2)], ids=["ended", "fixed"])
def test_jsdgan_descends_the_divergence_of_text_and_class(space: TextSpace) -> None:
    """Against the sum over classes of p(c) KL terms, all texts of both classes enumerated."""
    generator = small_generator(space)
    plain = enumerate_texts(replace(space, classes=0))
    texts = replace(plain.repeat(2), condition=Condition(torch.arange(2).repeat(len(plain))))
    rows = torch.tensor([0, 2, 4, 6, 8, 10, 1, 3])  # six of class 0, two of class 1
    train = texts[rows]
    assert train.labels is not None
    counts = train.labels.bincount()
    log_g = torch.where(train.mask, generator.log_prob(train), 0.0).sum(1)
    share, p = (counts.double() / 8)[train.labels], 1 / counts.double()[train.labels]
    g = log_g.exp()
    each = share * (p * (p / (p + g)).log() + g * (g / (p + g)).log())
    generator.zero_grad()
    each.sum().backward()
    right = torch.cat([w.grad.flatten() for w in generator.parameters() if w.grad is not None])
    objective = registry.find("objective", "jsdgan")()
    objective.connect(generator, None, train)
    generator.zero_grad()
    objective.generator_loss(generator, None, train, train, 0.0)[0].backward()
    result = torch.cat([w.grad.flatten() for w in generator.parameters() if w.grad is not None])
    assert torch.cosine_similarity(result, right, 0) > 1 - 1e-10


@pytest.mark.parametrize("name", ["rankgan", "textgan_mmd", "pg_bleu", "seqgan"])
def test_swapped_classes_are_put_right(name: str) -> None:
    """All texts of class 0 begin with 2, of class 1 with 3; the generator has it the other way."""
    space = TextSpace(4, 2, classes=2)
    generator = small_generator(space, hidden=6)
    judge: Any = small_discriminator(space, sizes=[1, 2], counts=[6, 6], dropout=0.0)
    real = Text.full(torch.tensor([[2, 0], [2, 1], [3, 0], [3, 1]]))
    real = replace(real, condition=Condition(torch.tensor([0, 0, 1, 1]))).repeat(6)
    settings: dict[str, Any] = {"textgan_mmd": {"temperature": 0.5}, "pg_bleu": {"order": 2}}
    part = registry.find("objective", name)
    objective: Objective = part(**settings.get(name, {"baseline": "batch", "rollouts": 2}))
    objective.connect(generator, judge if part.discriminator else None, real)
    torch.manual_seed(0)
    wrong = replace(real, condition=Condition(1 - real.labels))  # type: ignore[operator]
    trained = [part for part in generator.parameters() if part.requires_grad]
    taught, of_judge = torch.optim.Adam(trained, 0.03), torch.optim.Adam(judge.parameters(), 0.02)
    for _ in range(12):
        taught.zero_grad()
        (-generator.log_prob(wrong)).mean().backward()
        taught.step()

    def right() -> float:
        with torch.no_grad():
            return float(generator.log_prob(real)[:, 0].exp().mean())

    assert right() < 0.3
    for step in range(120):
        if step % 10 == 0 and right() > 0.9:
            break
        for _ in range(2 if part.discriminator else 0):
            with torch.no_grad():
                fake = objective.sample(generator, real, 0.0)
            of_judge.zero_grad()
            objective.discriminator_loss(judge, real, fake)[0].backward()
            of_judge.step()
        taught.zero_grad()
        fake = objective.sample(generator, real, 0.0)
        objective.generator_loss(generator, judge, real, fake, 0.0)[0].backward()
        taught.step()
    assert right() > 0.8


# --- sources ---


@pytest.mark.parametrize("name", [name for name in family.ANSWERING if name not in DRAWS])
def test_which_source_a_text_answers_changes_what_is_learnt(name: str, exact: None) -> None:
    """The sources of the texts that are judged or written, exchanged."""
    settings = {"smoothing": "add_one"} if name == "pg_bleu" else {}  # else few score at all
    here = world(name, ANSWERS, **settings)
    if here.judge is not None:
        fake = here.fake[:12]
        pairs = [(here.real, fake), (exchange_sources(here.real), exchange_sources(fake))]
        losses = [here.objective.discriminator_loss(here.judge, *pair)[0] for pair in pairs]
        assert not torch.isclose(*losses, rtol=1e-6)
    real, losses = here.real.repeat(here.objective.group), []
    rows = torch.arange(len(real)).roll(here.objective.group)
    exchanged = real.condition[rows]
    for condition in (real.condition, exchanged):
        given = [replace(text, condition=condition) for text in (real, here.fake)]
        here.objective.on_fakes(replace(given[1], soft_tokens=None))
        torch.manual_seed(5)
        if here.fake.soft_tokens is not None:  # which depend on it, too
            given[1] = here.objective.sample(here.generator, given[0], 0.5)
        losses.append(here.objective.generator_loss(here.generator, here.judge, *given, 0.5)[0])
    assert not torch.isclose(*losses, rtol=1e-6)


PUT_RIGHT = ["coldgan", "cot", "maligan", "pg_bleu", "rankgan"]


@pytest.mark.parametrize("name", PUT_RIGHT)
def test_exchanged_answers_are_put_right(name: str) -> None:
    """The answer to 0 0 is 2 and that to 1 1 is 3; the generator has it the other way."""
    space = TextSpace(4, 2, source=TextSpace(2, 2))
    pair = registry.find("objective", name).usual_pair(True)
    generator = small_generator(space, "attention", hidden=6)
    judge: Any = small_discriminator(space, "pair_cnn", sizes=[1, 2], counts=[6, 6], dropout=0.0)
    if name == "cot":
        judge = small_generator(space, "attention", seed=1, hidden=6)
    source = Text.full(torch.tensor([[0, 0], [0, 0], [1, 1], [1, 1]]))
    real = Text.full(torch.tensor([[2, 0], [2, 1], [3, 0], [3, 1]]))
    real = replace(real, condition=Condition(source=source))[torch.arange(24) % 4]
    wrong = replace(real, condition=real.condition[torch.arange(24).flip(0)])
    settings: dict[str, Any] = {"pg_bleu": {"order": 2}, "coldgan": {"replay": 0.5}}
    settings["rankgan"] = {"baseline": "batch", "rollouts": 2}
    part = registry.find("objective", name)
    objective: Objective = part(**settings.get(name, {}))
    objective.connect(generator, judge if pair[1] else None, real)
    torch.manual_seed(0)
    trained = [part for part in generator.parameters() if part.requires_grad]
    taught, of_judge = torch.optim.Adam(trained, 0.03), torch.optim.Adam(judge.parameters(), 0.02)
    for _ in range(12):
        taught.zero_grad()
        (-generator.log_prob(wrong)).mean().backward()
        taught.step()

    def right() -> float:
        with torch.no_grad():
            return float(generator.log_prob(real)[:, 0].exp().mean())

    assert right() < 0.3
    for step in range(120):
        if step % 10 == 0 and right() > 0.9:
            break
        for _ in range(2 if pair[1] else 0):
            with torch.no_grad():
                fake = objective.sample(generator, real, 0.0)
            of_judge.zero_grad()
            objective.discriminator_loss(judge, real, fake)[0].backward()
            of_judge.step()
        taught.zero_grad()
        answered = real.repeat(objective.group)
        fake = objective.sample(generator, answered, 0.0)
        objective.on_fakes(replace(fake, soft_tokens=None))
        objective.generator_loss(generator, judge, answered, fake, 0.0)[0].backward()
        taught.step()
    assert right() > 0.8


# --- one text, and two ---


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_one_or_two_texts_teaches_or_is_refused(
    name: str, size: int, tmp_path: Path
) -> None:
    least = registry.find("objective", name).least
    settings = {"schedule.batch_size": size, "schedule.discriminator_batch": size}
    if size // 2 < least:
        with pytest.raises(
            UserError, match=rf"^schedule.*: {name} compares {least} .* {2 * least} "
        ):
            training(name, tmp_path / "run", **settings)
        return
    here = training(name, tmp_path / "run", **settings)
    if here.adversary:
        train_step(here, FAKES)
        figures = [train_step(here, DISCRIMINATOR) for _ in range(3)]
        assert max(float(f["discriminator/gradient_norm"]) for f in figures) > 1e-9
    figures = [train_step(here, GENERATOR) for _ in range(6)]
    assert max(float(f["generator/gradient_norm"]) for f in figures) > 1e-9


@pytest.mark.parametrize("name", ["rankgan", "textgan_mmd"])
def test_shards_count_when_the_least_is_asked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in every shard; choose 8 or more"):
        training(name, tmp_path / "no", **{"schedule.batch_size": 4, "schedule.shards": 2})
    training(name, tmp_path / "yes", **{"schedule.batch_size": 8, "schedule.shards": 2})
