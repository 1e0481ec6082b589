"""The contracts of generators and discriminators beyond a dry run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.contracts.outcome import Broken, Check, LeftOut, may_refuse
from textgan.contracts.worlds import Trial, World, begin, resumes_exactly
from textgan.core.names import title
from textgan.core.registry import remarks
from textgan.data.text import Condition, Text, TextSpace, exchange_sources
from textgan.models.contract import check_discriminator, check_generator, dropout_off
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import softmax

NEAR = 1e-4  # what float32 may be off by
DRAWN = 4000  # texts of which the frequencies are compared with probabilities
Network = Callable[[World], tuple[Any, Text]]  # a new one, connected, and real texts of its world


def checks_of_generator(part: type[Generator], trial: Trial) -> list[tuple[str, Check]]:
    """Return the promises of a generator and how each is checked."""
    checks: list[tuple[str, Check]] = [
        *_worlds(part, trial, partial(_generator, trial)),
        ("gradients reach all its weights", partial(_all_weights, partial(_generator, trial))),
    ]
    if issubclass(part, AutoregressiveGenerator):
        checks += _reads(part, partial(_generator, trial))
        checks += [
            ("probabilities sum to one", partial(_normalised, trial)),
            ("texts are drawn as its likelihood says", partial(_drawn, trial)),
            ("word by word as all at once", partial(_stepwise, trial)),
            ("a text does not depend on its batch", partial(_alone, partial(_generator, trial))),
        ]
    return [*checks, ("killed and resumed, the same bits", partial(resumes_exactly, trial))]


def checks_of_discriminator(part: type[Discriminator], trial: Trial) -> list[tuple[str, Check]]:
    """Return the promises of a discriminator and how each is checked."""
    make = partial(_discriminator, trial)
    return [
        *_worlds(part, trial, make),
        ("gradients reach all its weights", partial(_all_weights, make)),
        ("padding never changes a score", partial(_padding, make)),
        ("a text does not depend on its batch", partial(_alone, make)),
        ("one-hot rows are scored as their words", partial(_rows, make)),
        *_reads(part, make),
        ("killed and resumed, the same bits", partial(resumes_exactly, trial)),
    ]


def _worlds(part: type[nn.Module], trial: Trial, make: Network) -> list[tuple[str, Check]]:
    def tried(world: World) -> str:
        with may_refuse(title(part)):
            network, real = make(world)
        with dropout_off(network):
            if isinstance(network, Generator):
                check_generator(network, real, likelihood=True)
            else:
                check_discriminator(network, real)
        return "; ".join(remarks(part)) if world == "fixed" else ""

    return [
        ("texts of one length", partial(tried, "fixed")),
        ("texts of several lengths", partial(tried, "variable")),
        ("labelled texts", partial(tried, "labelled")),
    ]


def _reads(part: type[Generator | Discriminator], make: Network) -> list[tuple[str, Check]]:
    return [("the source matters", partial(_source, make))] if part.reads_source else []


def _generator(trial: Trial, world: World, **changes: Any) -> tuple[Any, Text]:
    training = begin(trial.one if world == "fixed" and not changes else trial.run(world, **changes))
    return training.generator, training.run.corpus.train[:8]


def _discriminator(trial: Trial, world: World) -> tuple[Any, Text]:
    training = begin(trial.one if world == "fixed" else trial.run(world))
    return training.discriminator, training.run.corpus.train[:8]


def _all_weights(make: Network) -> str:
    network, real = make("fixed")
    if isinstance(network, AutoregressiveGenerator):
        value = network.log_prob(real).sum()
    elif isinstance(network, Generator):
        rows = network.sample(len(real), choose=softmax, condition=real.condition).soft_tokens
        if rows is None:
            raise LeftOut("its texts have no rows, so no gradient flows through them")
        value = (rows * torch.randn_like(rows)).sum()
    else:
        value = (network(real) * torch.arange(1.0, len(real) + 1)).sum()
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
    missing = [name for name, gradient in zip(weights, gradients, strict=True) if gradient is None]
    if len(missing) == len(weights):
        raise Broken("no gradient reaches any of its weights")
    if missing:
        # a network may have weights for another use, as a leak's manager has
        return f"all but {', '.join(missing)}, which other losses may reach"
    return ""


def enumerated(space: TextSpace) -> Text:
    """Return all texts of a small space, each once."""
    words = [word for word in range(space.vocabulary) if word not in space.unwritten]
    every = torch.tensor(list(product(words, repeat=space.length)))
    texts = Text.ended(every, space)
    return texts[_first_of_each(texts.tokens)]


def _first_of_each(rows: Tensor) -> Tensor:
    _, where = rows.unique(dim=0, return_inverse=True)
    first = torch.full((int(where.max()) + 1,), len(rows))
    return first.scatter_reduce(0, where, torch.arange(len(rows)), "amin")


def _small(trial: Trial) -> tuple[AutoregressiveGenerator, Condition]:
    """A generator of few texts, and what one of its texts is written for."""
    generator, real = _generator(trial, "fixed", oracle__vocabulary=4, oracle__length=3)
    assert isinstance(generator, AutoregressiveGenerator)
    with torch.no_grad():
        for weight in generator.parameters():  # with opinions, for at the start all are alike
            if weight.requires_grad:
                weight.add_(0.5 * torch.randn_like(weight))
    return generator, real.condition[:1]


def _probabilities(generator: AutoregressiveGenerator, condition: Condition) -> tuple[Text, Tensor]:
    every = enumerated(generator.space)
    every = replace(every, condition=condition.repeat(len(every)))
    with dropout_off(generator), torch.no_grad():
        log_prob = torch.where(every.mask, generator.log_prob(every), 0.0)
    return every, log_prob.double().sum(1).exp()


def _normalised(trial: Trial) -> str:
    _, chances = _probabilities(*_small(trial))
    if abs(float(chances.sum()) - 1) > NEAR:
        raise Broken(f"the probabilities of all {len(chances)} texts sum to {chances.sum():.6g}")
    return f"{len(chances)} texts"


def _drawn(trial: Trial) -> str:
    generator, condition = _small(trial)
    every, chances = _probabilities(generator, condition)
    with dropout_off(generator), torch.no_grad():
        drawn = generator.sample(DRAWN, condition=condition.repeat(DRAWN))
    radix = generator.space.vocabulary ** torch.arange(generator.space.length)
    codes = every.tokens @ radix
    counts = torch.bincount(drawn.tokens @ radix, minlength=int(codes.max()) + 1)[codes].double()
    expected = DRAWN * chances
    common = expected >= 5
    differences = (counts - expected)[common].square() / expected[common]
    freedom = max(1, int(common.sum()) - 1)
    if float(differences.sum()) > freedom + 6 * (2 * freedom) ** 0.5:
        raise Broken(
            f"{DRAWN} texts have other frequencies than its probabilities (chi-square "
            f"{float(differences.sum()):.0f} at {freedom} degrees of freedom)"
        )
    return f"{DRAWN} texts"


def _stepwise(trial: Trial) -> None:
    generator, real = _generator(trial, "variable")
    with dropout_off(generator), torch.no_grad():
        whole = generator(real)
        state = generator.start(len(real), real.condition)
        symbol = torch.full((len(real),), generator.space.bos)
        for position in range(real.tokens.shape[1]):
            # as rollouts fork a hypothesis
            again = state[torch.arange(len(real))]
            logits, state = generator.step(symbol, again)
            symbol = real.tokens[:, position]
            alive = real.mask[:, position]
            ours = logits.log_softmax(1)[alive]
            theirs = whole[:, position].log_softmax(1)[alive]
            if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=NEAR):
                raise Broken(
                    f"read and logits say other probabilities of word {position + 1} than forward"
                )


def _padding(make: Network) -> str:
    network, real = make("variable")
    short = real[real.lengths <= 3]
    if not len(short):
        raise LeftOut("no text is short")
    with dropout_off(network), torch.no_grad():
        if real.source is not None:
            source = real.source.pad_to(real.source.tokens.shape[1] + 2, network.space.source.pad)
            longer = replace(real, condition=replace(real.condition, source=source))
            if not torch.allclose(network(real), network(longer), atol=NEAR):
                raise Broken("a score depends on the padding of the source: use text.source.mask")
        wide, narrow = network(short), network(short.trimmed())
        if not torch.allclose(wide, narrow, atol=NEAR):
            raise Broken(
                f"a text scores {float(wide[0]):.4g} with padding up to {short.tokens.shape[1]} "
                f"words and {float(narrow[0]):.4g} without: leave out what text.mask leaves out"
            )
    return ""


def _source(make: Network) -> None:
    network, real = make("variable")
    other = exchange_sources(real)
    with dropout_off(network), torch.no_grad():
        if isinstance(network, AutoregressiveGenerator):
            ours, theirs = network.log_prob(real)[real.mask], network.log_prob(other)[real.mask]
        else:
            ours, theirs = network(real), network(other)
    if torch.equal(ours, theirs):
        raise Broken(
            "it says the same whatever the source is; read text.source, or do not set reads_source"
        )


def _alone(make: Network) -> None:
    network, real = make("variable")
    with dropout_off(network), torch.no_grad():
        if isinstance(network, AutoregressiveGenerator):

            def score(text: Text) -> Tensor:
                return torch.where(text.mask, network.log_prob(text), 0.0).sum(1)
        else:

            def score(text: Text) -> Tensor:
                scores: Tensor = network(text)
                return scores

        together = score(real)
        alone = torch.cat([score(real[i : i + 1]) for i in range(len(real))])
    if not torch.allclose(together, alone, atol=NEAR):
        raise Broken("what it says of a text depends on the other texts of the batch")


def _rows(make: Network) -> str:
    network, real = make("fixed")
    rows = F.one_hot(real.tokens, network.space.vocabulary).float()
    with dropout_off(network), torch.no_grad():
        words = network(real)
        try:
            relaxed = network(replace(real, soft_tokens=rows))
        except Exception as error:
            raise LeftOut(
                f"it reads no rows ({type(error).__name__}); methods of relaxed text need them "
                "(text.inputs, TokenEmbedding)"
            ) from None
    if not torch.allclose(words, relaxed, atol=NEAR):
        raise Broken("one-hot rows have other scores than the words they are; read text.inputs")
    return ""
