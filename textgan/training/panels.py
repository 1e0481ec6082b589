"""The curves of a run that are shown: in TensorBoard, in curves.png and in the report alike.

The tags are fixed, so that runs compare: `mle/loss`, `discriminator/loss`,
`discriminator/accuracy`, `generator/loss`, `generator/reward`, `generator/entropy`,
`*/gradient_norm`, `eval/<measure>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from textgan.core.log import Layout

NATS = "nats per token"
NGRAMS = range(1, 9)


class Panel(NamedTuple):
    """Curves that share a vertical axis.

    curves: what each is called, by its tag. level: a horizontal line, and what it means. reach:
    values that the axis has in any case. each: where a chart has room for one curve, there is a
    chart for each of them; else for the first that was measured.
    """

    title: str
    unit: str
    curves: Mapping[str, str]
    level: tuple[float, str] | None = None
    reach: Sequence[float] = ()
    each: bool = False


# what is measured of a run, the most important first
OVERVIEW = [
    Panel("NLL_oracle: quality", NATS, {"eval/nll_oracle": "generator"}),
    Panel(
        "NLL of held-out text: coverage",
        NATS,
        {"eval/nll_test": "test text", "eval/nll_valid": "validation text"},
    ),
    Panel("entropy of the samples", NATS, {"generator/entropy": "generator"}),
    Panel(
        "accuracy of the discriminator",
        "share",
        {
            "discriminator/accuracy_held_out": "on new text",
            "discriminator/accuracy": "on its training text",
        },
        level=(0.5, "cannot tell"),
        reach=(0.5, 1.0),
    ),
    Panel(
        "distance of n-grams from the training text",
        "bits",
        {f"eval/jsd{n}": f"JSD-{n}" for n in NGRAMS},
        each=True,
    ),
    Panel("different samples", "share", {"eval/unique": "generator"}, reach=(0.0, 1.0)),
    Panel("estimate of the Wasserstein distance", "score", {"discriminator/wasserstein": "D"}),
]
# how the updates go
UPDATES = [
    Panel("loss of the generator", "loss", {"generator/loss": "adversarial", "mle/loss": "MLE"}),
    Panel("loss of the discriminator", "loss", {"discriminator/loss": "D"}),
    Panel(
        "perturbed losses",
        "loss",
        {"mle/perturbed_loss": "MLE", "discriminator/perturbed_loss": "D"},
    ),
    Panel("reward", "", {"generator/reward": "finished sentences", "generator/value": "prefixes"}),
    Panel("effective sample size of importance weights", "share", {"generator/ess": "generator"}),
    Panel(
        "gradient norms",
        "",
        {f"{who}/gradient_norm": who for who in ("mle", "discriminator", "generator", "critic")},
    ),
]
ORACLE_ENTROPY = "entropy of the oracle"  # the level of all that is in nats

# the first of these that an update has is shown beside a progress bar, by this name
HEADLINE = {
    "generator/reward": "reward",
    "generator/loss": "loss",
    "mle/loss": "loss",
    "discriminator/loss": "D loss",
}

# the same of runs whose texts answer sources alone
OF_PAIRS = [
    Panel(
        "BLEU of greedy answers",
        "from 0 to 100",
        {"eval/sacrebleu_valid": "to validation sources"},
        reach=(0.0, 1.0),
    )
]

# measures of `textgan evaluate` by which TensorBoard's table sorts runs. It only knows those that
# are announced when a run's settings are written, so they are announced before they are taken
SORTED_BY = [
    f"eval/{name}"
    for name in (
        *(f"bleu{n}" for n in (2, 3, 4, 5)), *(f"self_bleu{n}" for n in (2, 3, 4, 5)), "lm_score",
        "reverse_lm", "frechet", "mauve", "d_accuracy", "jsd4", "ms_jaccard4", "distinct2",
        "novelty", "kl_generator", "kl_oracle", "js",
    )
]  # fmt: skip


def sorted_by(pairs: bool) -> list[str]:
    """Return the measures by which TensorBoard's table sorts runs.

    pairs: whether their texts answer sources.
    """
    of_pairs = ("sacrebleu", "chrf", "ter", "adversuc", "machine_vs_random", "ere", "peakiness")
    return SORTED_BY + ([f"eval/{name}" for name in of_pairs] if pairs else [])


def tensorboard_layout(pairs: bool = False) -> Layout:
    """Return the panels as TensorBoard's custom scalars. pairs: whether the run's texts answer
    sources."""
    overview = [*OF_PAIRS, *OVERVIEW] if pairs else OVERVIEW
    return {
        group: {
            f"{panel.title} ({panel.unit})" if panel.unit else panel.title: [
                "Multiline",
                [
                    f"{tag}$"
                    for tag in (*panel.curves, *["eval/oracle_entropy"] * (panel.unit == NATS))
                ],
            ]
            for panel in panels
        }
        for group, panels in {"Overview": overview, "Updates": UPDATES}.items()
    }
