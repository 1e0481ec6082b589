"""Answers of a machine under evaluators that are trained for it (Li et al. 2017, section 4.2).

An evaluator reads pairs, a source and an answer, and learns to tell positives from negatives, as
many of each. The pairs are divided into as many parts as there are evaluators, no two of them with
a source or a conversation in common: evaluator e is scored on part e, stops by the part after it
and learns from the others. With its accuracy a_e and the mean over e,

    adversuc           = mean 1 - a_e                of human (+) against machine (-)
    machine_vs_random  = mean a_e                    of machine (+) against random human answers (-)
    ere                = sum_k |mean (1 - a_e,k) - gold_k| / 4

    k  name        +         -                                                    gold
    1  human       human     human, other sources                                 0.5
    2  machine     machine   machine, other sources                               0.5
    3  random      human     human answers of other sources                       0
    4  following   human     what followed the human answer                       0

Departs from the paper:
- evaluators learn from held-out pairs and never from the training part, which the generator has
  seen: files have no others, and a generator that recites is not taken for a person
- pairs of one conversation are in one part, for an answer of one pair follows that of another; of a
  source that several conversations have, only the pairs of one part are kept. Where conversations
  are not known (files, translation) the parts are by source alone
- several evaluators, each scored on pairs of its own, in the place of one; intervals are Student's
  over them, so they hold the chance of the pairs and that of the training
- random answers are those of the same part, each once, so that an evaluator that does not look at
  the source is right about half of them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Annotated, ClassVar, NamedTuple, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core import registry
from textgan.core.errors import UserError, option
from textgan.core.own_code import Typed
from textgan.core.score import Better, Score
from textgan.core.seeds import fork_rng
from textgan.core.statistics import SHARE, over_evaluators
from textgan.core.streams import Purpose, stream
from textgan.data.batches import by_size
from textgan.data.sentences import joined
from textgan.data.text import Condition, Text
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import Metric, MetricInputs, Pairs, Unavailable
from textgan.metrics.functional.nearest import places
from textgan.metrics.networks import mean_size, read, train_network, train_tokenizer
from textgan.models.discriminators.base import Discriminator

FEWEST = 100  # pairs of a side
EVALUATOR_SECONDS = 4e-5  # of a word that an evaluator reads while it trains, on one core
GOLD = {"human": 0.5, "machine": 0.5, "random": 0.0, "following": 0.0}


class Task(NamedTuple):
    """What an evaluator learns to tell apart: as many positives as negatives."""

    positive: Pairs
    negative: Pairs


Scorer = Callable[[Pairs], Tensor]
"""The scores of pairs, (B,), above 0 for what are positives to it."""


class Evaluator(Protocol):
    """A way to train a scorer on a task: it stops by another one, and a seed decides the rest."""

    def __call__(self, learn: Task, stop: Task, seed: int) -> Scorer: ...


def accuracies(parts: Sequence[Task], evaluator: Evaluator, seed: int) -> Tensor:
    """Compute the accuracy of an evaluator for each part, (E,) float64, of three parts or more: it
    has not seen that part, stopped by the next and learnt from the others."""
    found = []
    for e, part in enumerate(parts):
        stop = (e + 1) % len(parts)
        others = [other for i, other in enumerate(parts) if i not in (e, stop)]
        learn = Task(*(joined_pairs(sides) for sides in zip(*others, strict=True)))
        score = evaluator(learn, parts[stop], stream(Purpose.PAIR_EVALUATOR, seed, e))
        right = (score(part.positive) > 0).double().mean()
        found.append((right + (score(part.negative) <= 0).double().mean()) / 2)
    return torch.stack(found)


def divide(sides: Sequence[Pairs], n: int, most: int, seed: int) -> list[list[Pairs]]:
    """Divide sets of pairs into n parts at random, without a common source or conversation, and
    return of each part as many pairs of every set, at most `most`.

    A source that is in several parts is left out of all but one of them: common ones ("hi") would
    link all conversations to one.
    """
    source, conversation = groups(sides)
    random = torch.Generator().manual_seed(stream(Purpose.PAIR_PARTS, seed))
    part = (torch.randperm(int(conversation.max()) + 1, generator=random) % n)[conversation]
    part = part.where(part == part[source], -1)
    parts = []
    for k in range(n):
        rows = [(some == k).nonzero().squeeze(1) for some in part.split([*map(len, sides)])]
        fewest = min(most, *map(len, rows))
        chosen = []
        for row in rows:  # of sets with the same sources the same ones
            random = torch.Generator().manual_seed(stream(Purpose.PAIR_PARTS, seed, k))
            chosen.append(row[torch.randperm(len(row), generator=random)[:fewest]])
        parts.append([side[row] for side, row in zip(sides, chosen, strict=True)])
    return parts


def groups(sides: Sequence[Pairs]) -> tuple[Tensor, Tensor]:
    """Return of all pairs of these sets, (B,) each: the first pair with the same source, and the
    number of the conversation, from 0; where that is not known, of the source."""
    every = joined([side.sources for side in sides])
    source = places(every, every)
    known = [side.conversations for side in sides if side.conversations is not None]
    group = torch.cat(known) if len(known) == len(sides) else source
    conversation: Tensor = torch.unique(group, return_inverse=True)[1]
    return source, conversation


def joined_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Join several sets of pairs to one, without what followed them and their conversations."""
    return Pairs(joined([one.sources for one in parts]), joined([one.answers for one in parts]))


def halves(pairs: Pairs, seed: int) -> Task:
    """Divide pairs at random into two parts of equal size, without a common source or
    conversation."""
    source, group = groups([pairs])
    # those of many pairs occur first, so that in that order one half would have all of them
    random = torch.Generator().manual_seed(stream(Purpose.PAIR_PARTS, seed))
    group = torch.randperm(int(group.max()) + 1, generator=random)[group]
    order, ends = group.argsort(stable=True), group.bincount().cumsum(0)
    fewest = torch.minimum(ends, len(pairs) - ends)  # where the pairs are cut after a group
    second = group > group[order[int(ends[fewest.argmax()]) - 1]]
    own = (second == second[source])[order]  # the half that the first pair of its source is in
    one, two = order[own & ~second[order]], order[own & second[order]]
    n = min(len(one), len(two))
    return Task(pairs[one[len(one) - n :]], pairs[two[:n]])


def with_random_answers(pairs: Pairs, people: Pairs, seed: int) -> Pairs:
    """Give the sources of pairs the answers of as many people to other sources, each once. Raises
    Unavailable where one source has so many of both that this cannot be."""
    random = torch.Generator().manual_seed(stream(Purpose.PAIR_PARTS, seed))
    order = torch.randperm(len(people), generator=random)
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    asked, answered = groups([pairs, people])[0].split(len(pairs))
    for i in (asked == answered[other]).nonzero().squeeze(1).tolist():
        if asked[i] != answered[other[i]]:  # another one has swapped with it
            continue
        fits = ((asked != asked[i]) & (answered[other] != asked[i])).nonzero().squeeze(1)
        if not len(fits):
            raise Unavailable("needs pairs of more different sources; most of a part have one")
        j = int(fits[torch.randint(len(fits), (1,), generator=random)])
        other[[i, j]] = other[[j, i]]
    return Pairs(pairs.sources, people.answers[other])


@dataclass(frozen=True, kw_only=True)
class EvaluatorSettings:
    """Settings of the evaluators, and the numbers that are taken by them."""

    network: Annotated[
        str, Field(description="of an evaluator: a pair discriminator, with its own defaults")
    ] = "hierarchical"
    evaluators: Annotated[
        int, Field(ge=3, description="each is scored on pairs of its own and stops by others")
    ] = 5
    pairs: Annotated[int, Field(ge=FEWEST, description="of each kind, at most")] = 5_000
    lr: Annotated[float, Field(gt=0, description="learning rate of Adam")] = 1e-3
    batch: Annotated[int, Field(ge=1, description="pairs a step, of both kinds")] = 64
    reads: Annotated[int, Field(ge=1, description="pairs an evaluator reads while it trains")] = (
        30_000
    )
    vocabulary: Annotated[int, Field(ge=1, description="words it knows of a side, at most")] = (
        10_000
    )
    longest: Annotated[int, Field(ge=9, description="tokens at which either side is cut")] = 64

    def evaluator(self, inputs: MetricInputs) -> Evaluator:
        """Return the way to train an evaluator. Raises UserError for a network that is no pair
        discriminator."""
        part = registry.find("discriminator", self.network, "network", Typed())
        if not part.reads_source:
            pairs = [
                name
                for name in registry.names("discriminator")
                if registry.find("discriminator", name).reads_source
            ]
            raise UserError(
                f"network = {self.network!r} does not read the source; give one of: "
                f"{', '.join(pairs)}"
            )
        return _Networks(self, part, inputs)

    def needed(self, inputs: MetricInputs) -> tuple[Pairs, Pairs]:
        """Return the pairs of people, and those that are measured. Raises Unavailable where there
        are too few of them."""
        human, machine = real_pairs(inputs), answered(inputs)
        return enough(human), enough(machine)

    def divided(self, inputs: MetricInputs, *sides: Pairs) -> list[list[Pairs]]:
        """Return the parts of sets of pairs, one an evaluator."""
        return divide(sides, self.evaluators, self.pairs // self.evaluators, inputs.seed)

    def accuracies(self, inputs: MetricInputs, parts: Sequence[Task]) -> Tensor:
        """Compute the accuracies (E,) of evaluators. Raises Unavailable where a part is empty."""
        if not all(len(task.positive) and len(task.negative) for task in parts):
            raise Unavailable("needs pairs of more different sources; a part has none")
        return accuracies(parts, self.evaluator(inputs), inputs.seed)

    def score(
        self, inputs: MetricInputs, name: str, title: str, values: Tensor, parts: Sequence[Task],
        better: Better,
    ) -> Score:  # fmt: skip
        """Make the score of the mean of an evaluator's numbers (E,)."""
        estimate, replicates = over_evaluators(values.tolist(), SHARE)
        sizes = [2 * len(task.positive) for task in parts]
        by_source = inputs.conversations is None or real_pairs(inputs).conversations is None
        signature = inputs.sign(
            name,
            network=self.network,
            n_train=sum(sizes[2:]),
            n_test=sum(sizes),
            split="source" if by_source else "conversation",
            seeds=f"{inputs.seed}/0-{self.evaluators - 1}",
            reads=self.reads,
            batch=self.batch,
            lr=self.lr,
            words=self.vocabulary,
            cut=self.longest,
            tok=inputs.token_kind,
        )
        return Score(title, estimate, signature, better, "", replicates)

    def seconds(self, inputs: MetricInputs, tasks: int) -> float:
        """Estimate the seconds of so many tasks, on one core."""
        if inputs.sources is None:
            return 0.0
        words = mean_size(inputs.sources) + mean_size(inputs.predictions)
        return tasks * self.evaluators * self.reads * words * EVALUATOR_SECONDS


def real_pairs(inputs: MetricInputs) -> Pairs:
    """Return held-out pairs of people. Raises Unavailable where there are none."""
    if inputs.real_pairs is None:
        raise Unavailable(_without_sources())
    return inputs.real_pairs


def answered(inputs: MetricInputs) -> Pairs:
    """Return the pairs that are measured. Raises Unavailable where texts answer no source."""
    if inputs.sources is None:
        raise Unavailable(_without_sources())
    return Pairs(inputs.sources, inputs.predictions, None, inputs.conversations)


def _without_sources() -> str:
    return (
        f"needs texts that answer sources: a run on pairs, or files with {option('source', 'FILE')}"
        f" (line by line) and {option('references', 'FILE')}, what people answered to them"
    )


def enough(pairs: Pairs) -> Pairs:
    """Return the pairs. Raises Unavailable where there are too few to train evaluators on."""
    if len(pairs) < FEWEST:
        raise Unavailable(
            f"needs at least {FEWEST} pairs on each side; there are {len(pairs)} on one"
        )
    return pairs


@dataclass(frozen=True)
class _Networks:
    """Trains a network of this class on pairs of some inputs."""

    settings: EvaluatorSettings
    part: type[Discriminator]
    inputs: MetricInputs

    def __call__(self, learn: Task, stop: Task, seed: int) -> Scorer:
        settings, device = self.settings, self.inputs.device
        tokenizers = self.tokenizers(learn)

        def text(pairs: Pairs) -> Text:
            words = self.words(pairs)
            answers, sources = (
                read(one, side).to(device) for one, side in zip(tokenizers, words, strict=True)
            )
            return replace(answers, condition=Condition(source=sources))

        def both(task: Task) -> tuple[Text, Tensor]:
            pairs = text(joined_pairs(task))
            return pairs, (torch.arange(len(pairs), device=device) < len(task.positive)).float()

        train, positive = both(learn)
        seen, seen_positive = both(stop)
        answers, sources = (one.space for one in tokenizers)
        with fork_rng(seed, device):
            network = self.part(replace(answers, source=sources)).to(device)

            def loss(chosen: Tensor) -> Tensor:
                chosen = chosen.to(device)
                scores = network(trimmed(train[chosen]))
                return F.binary_cross_entropy_with_logits(scores, positive[chosen])

            def stop_loss() -> float:
                scores = scores_of(network, seen)
                return float(F.binary_cross_entropy_with_logits(scores, seen_positive))

            train_network(
                network,
                train.lengths.cpu(),
                loss,
                stop_loss,
                lr=settings.lr,
                batch=settings.batch,
                reads=settings.reads,
                progress=self.inputs.progress,
                what="evaluator",
            )
        return lambda pairs: scores_of(network, text(pairs)).cpu()

    def tokenizers(self, learn: Task) -> list[WordTokenizer]:
        """The tokenizers of answers and of sources, of the words that an evaluator learns from."""
        settings = self.settings
        answers, sources = (
            train_tokenizer(words, settings.vocabulary, settings.longest)[0]
            for words in self.words(joined_pairs(learn))
        )
        if turn := (self.inputs.source_tokenizer or answers).pre_tokenizer.turn:
            others = (word for word in sources.words if word != turn)
            split = replace(sources.pre_tokenizer, turn=turn)
            sources = WordTokenizer((turn, *others), split, settings.longest)
        return [answers, sources]

    def words(self, pairs: Pairs) -> tuple[list[list[str]], list[list[str]]]:
        """The words of answers and of sources."""
        tokenizer = self.inputs.source_tokenizer or self.inputs.tokenizer
        sources = [tokenizer.convert_ids_to_tokens(ids) for ids in pairs.sources.tolist()]
        return self.inputs.words(pairs.answers), sources


def trimmed(text: Text) -> Text:
    """Cut texts and their sources to the longest of them."""
    source = text.condition.require_source()
    return replace(text.trimmed(), condition=Condition(source=source.trimmed()))


@torch.no_grad()
def scores_of(network: Discriminator, text: Text) -> Tensor:
    """Compute the score of each pair, (B,), whatever else is in the batch."""
    scores = torch.zeros(len(text), device=text.tokens.device)
    for piece in by_size(text):
        scores[piece] = network(trimmed(text[piece]))
    return scores


@dataclass(frozen=True, kw_only=True)
class AdversarialSuccess(EvaluatorSettings, Metric, name="adversuc"):
    """AdverSuc: how often an evaluator cannot tell answers from those of people.

    1 - its accuracy on pairs that it has not seen, half of them of people: 0 where it tells all of
    them apart, 0.5 where it can tell none. Higher is better. The row of real text is that of other
    people's answers.

    Pitfalls: an evaluator that has learnt nothing gives 0.5 as well, so read it beside `ere`, which
    tests the evaluator, and beside machine_vs_random: random human sentences would win here, and
    sampling does better than what it says. It grows as evaluators get less to learn from or a
    weaker network, so only equal signatures compare, and published values of other evaluators do
    not. Parts share what evaluators learn from, so that intervals are somewhat narrow.
    """

    paper: ClassVar[str] = "Li et al. 2017, arXiv 1701.06547"
    trains: ClassVar[bool] = True
    pairs_only: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        self.needed(inputs)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": self.seconds(inputs, 1)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        human, machine = self.needed(inputs)
        parts = [Task(*sides) for sides in self.divided(inputs, human, machine)]
        values = 1 - self.accuracies(inputs, parts)
        return {"adversuc": self.score(inputs, "adversuc", "AdverSuc", values, parts, "higher")}


@dataclass(frozen=True, kw_only=True)
class MachineVsRandom(EvaluatorSettings, Metric, name="machine_vs_random"):
    """The accuracy of an evaluator that tells answers from random human ones.

    Random ones answer other sources. Higher is better: 1 where every answer is seen to belong to
    its source, or to be a machine's. In the row of real text only the former is possible, so it
    says how well evaluators read the source.

    Pitfalls: what gives a machine away helps here, too: dull answers are told from random sentences
    without a look at the source. So it means something only together with adversuc.
    """

    paper: ClassVar[str] = "Li et al. 2017, arXiv 1701.06547"
    trains: ClassVar[bool] = True
    pairs_only: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        self.needed(inputs)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": self.seconds(inputs, 1)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        human, machine = self.needed(inputs)
        parts = [
            Task(some, with_random_answers(some, people, inputs.seed))
            for some, people in self.divided(inputs, machine, human)
        ]
        values, name = self.accuracies(inputs, parts), "machine_vs_random"
        return {name: self.score(inputs, name, "Machine-vs-random", values, parts, "higher")}


@dataclass(frozen=True, kw_only=True)
class EvaluatorReliabilityError(EvaluatorSettings, Metric, name="ere"):
    """ERE: how far evaluators are from what is known of four tasks; 0 is perfect.

    ere_human, ere_machine: 1 - accuracy on two halves of people's, and of the machine's, pairs,
    which nobody can tell apart: 0.5 is right. ere_random, ere_following: of human answers against
    random ones, and against the utterance that follows the answer: 0 is right. Lower is better: it
    is a measure of the evaluators behind adversuc and not of the texts.

    Pitfalls: an evaluator that always says the same has 0.25, so that this is the worst to be
    expected and not 1, and one that solves the third task and not the fourth has 0.125; published
    values of 0.152 to 0.232 are nearer to the former than to a perfect one.
    """

    paper: ClassVar[str] = "Li et al. 2017, arXiv 1701.06547"
    trains: ClassVar[bool] = True
    pairs_only: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        human, _ = self.needed(inputs)
        if human.following is None:
            raise Unavailable(
                "needs the utterance that follows each answer, which only a run on whole "
                "conversations has (data.pairs of which each line goes on from the one before)"
            )
        enough(followed(human))

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": self.seconds(inputs, 1), "evaluators of human pairs": self.seconds(inputs, 3)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        human, machine = self.needed(inputs)

        def of_people() -> dict[str, tuple[Tensor, list[Task]]]:
            one, two = (self.divided(inputs, side) for side in (human, followed(human)))
            tasks = {
                "human": [halves(some, inputs.seed) for (some,) in one],
                "random": [
                    Task(some, with_random_answers(some, some, inputs.seed)) for (some,) in one
                ],
                "following": [
                    Task(some, Pairs(some.sources, some.following))
                    for (some,) in two
                    if some.following is not None
                ],
            }
            return {
                name: (1 - self.accuracies(inputs, parts), parts) for name, parts in tasks.items()
            }

        key = ("evaluators of human pairs", astuple(self), inputs.seed, human.digest())
        halved = [halves(some, inputs.seed) for (some,) in self.divided(inputs, machine)]
        known = {
            "machine": (1 - self.accuracies(inputs, halved), halved),
            **inputs.remember(key, of_people),
        }
        error = torch.stack([errors(known[name][0], gold) for name, gold in GOLD.items()]).mean(0)
        scores = {"ere": self.score(inputs, "ere", "ERE", error, halved, "lower")}
        for k, (name, gold) in enumerate(GOLD.items(), start=1):
            values, parts = known[name]
            title = f"ERE-{k} {name} ({gold:g})"
            better: Better = "like real text" if gold else "lower"
            scores[f"ere_{name}"] = self.score(inputs, f"ere_{name}", title, values, parts, better)
        return scores


def errors(values: Tensor, gold: float) -> Tensor:
    """Numbers (E,) of evaluators as distances from gold on the side of their mean, so that their
    mean is the distance of it; those of single evaluators would be above it by chance."""
    return (values - gold) * (values.mean() - gold).sign()


def followed(pairs: Pairs) -> Pairs:
    """Return the pairs whose following utterance is known."""
    if pairs.following is None:
        return pairs[torch.zeros(0, dtype=torch.long)]
    return pairs[(pairs.following.sizes > 0).nonzero().squeeze(1)]


@dataclass(kw_only=True)
class Commonest(Metric, name="commonest"):
    """The share of the texts that are among the commonest few.

    Dialogue models fall back on answers that fit anything ("i don't know"): near 0 where all texts
    differ, 1 where there are only so many. Good answers repeat each other as seldom as people's.

    Pitfalls: it grows as texts become fewer, so only numbers of as many texts compare. An answer
    with another comma is another answer.
    """

    pairs_only: ClassVar[bool] = True

    most: Annotated[int, Field(ge=1, description="how many texts are the commonest")] = 10

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts = inputs.sample
        if not len(texts):
            raise Unavailable("needs at least one text; there is none")
        first = places(texts, texts)

        def share(some: Tensor) -> float:
            times = torch.unique(first[some], return_counts=True)[1]
            return int(times.topk(min(self.most, len(times))).values.sum()) / len(some)

        whole = share(torch.arange(len(texts)))
        estimate, replicates = inputs.of_set(whole, share, len(texts), SHARE)
        signature = inputs.sign("commonest", most=self.most, hyps=len(texts), tok=inputs.token_kind)
        title = f"Commonest {self.most}"
        return {"commonest": Score(title, estimate, signature, "like real text", "", replicates)}
