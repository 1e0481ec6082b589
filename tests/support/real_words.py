"""What is true of every loss of real words, and distributions at which one is at rest."""

from collections.abc import Callable
from typing import Any

from pairs import in_shards
from tables import TableGenerator
from torch import Tensor, nn
from worlds import VARIABLE, enumerate_texts, gradient, same, small_generator

from textgan.data.text import Text
from textgan.models.generators.base import NEVER, AutoregressiveGenerator
from textgan.objectives.base import Objective, without_state
from textgan.objectives.mle import MLE


def loss_of(objective: Objective, generator: AutoregressiveGenerator, real: Text) -> Tensor:
    """The loss of an update on these real texts."""
    given: Any = (generator, None, real, objective.sample(generator, real, 0.0), 0.0)
    return without_state(objective.generator_loss(*given))[0][0]


def assert_is_mle(objective: Objective, generator: AutoregressiveGenerator, real: Text) -> None:
    """Loss and gradient are those of maximum likelihood."""
    loss, mle = loss_of(objective, generator, real), loss_of(MLE(), generator, real)
    assert same(loss, mle)
    assert same(gradient(loss, generator), gradient(mle, generator))


def weighted(generator: AutoregressiveGenerator, real: Text, weights: Tensor) -> Tensor:
    """-sum w log q over all tokens, by the number of tokens; weights (B, T) are constants."""
    each = weights.detach() * generator.log_prob(real) * real.mask
    return -each.sum() / real.mask.sum()


def assert_of_real_words(objective: Objective) -> None:
    """Nothing is drawn, padding changes nothing, and two shards are the whole batch."""
    generator, real = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    assert type(objective).discriminator is None
    assert type(objective).generator_dropout
    assert objective.sample(generator, real, 0.5) is real
    plain, padded = (loss_of(objective, generator, text) for text in (real, real.pad_to(5)))
    assert same(plain, padded)
    assert same(gradient(plain, generator), gradient(padded, generator))
    some = real[:14]  # an even number, of several lengths
    assert len(set(some[:7].lengths.tolist())) > 1 and some[:7].mask.sum() != some[7:].mask.sum()
    whole, parts = (in_shards(objective, generator, None, some, some, n) for n in (1, 2))
    assert same(whole, parts)


def conditionals_as(
    generator: TableGenerator, change: Callable[[Tensor], Tensor]
) -> TableGenerator:
    """A table generator whose distribution (V,) after each prefix is `change` of this one's, over
    the tokens that may be written."""
    first = 0 if generator.space.eos is None else 1
    table = nn.functional.pad(generator.table.detach()[..., first:].softmax(2), (first, 0))
    for rows in table:
        for row in rows:
            row[first:] = change(row[first:].clone())
    return TableGenerator(generator.space, table.log().clamp(min=NEVER))
