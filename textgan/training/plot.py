"""The picture of a run: curves.png."""

from __future__ import annotations

import io
import warnings

from textgan.core.files import write_file
from textgan.core.log import read_records
from textgan.training.panels import NATS, OF_PAIRS, ORACLE_ENTROPY, OVERVIEW, UPDATES
from textgan.training.run import Run


def plot_curves(run: Run) -> bool:
    """Draw curves.png: quality, coverage, entropy and the discriminator over epochs and rounds, or
    what there is of a run that lacks some of these.

    Returns whether matplotlib was there to do it.
    """
    try:
        import matplotlib

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own deprecations are not the user's concern
            matplotlib.use("Agg")
            from matplotlib import pyplot
    except ImportError:
        return False
    records = [r for r in read_records(run.folder) if r["phase"] != "discriminator"]
    epochs = sum(record["phase"] == "mle" for record in records)
    places = list(range(1, len(records) + 1))  # pretraining of the discriminator changes no curve

    def curve(tag: str) -> tuple[list[int], list[float]]:
        points = [(x, r[tag]) for x, r in zip(places, records, strict=True) if tag in r]
        return [x for x, _ in points], [y for _, y in points]

    # the first four of which there is something to show
    every = (*OVERVIEW[:2], *OF_PAIRS, *OVERVIEW[2:], *UPDATES)
    shown = [p for p in every if any(curve(tag)[0] for tag in p.curves)][:4]
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), constrained_layout=True)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, shown, strict=False):
        for tag, label in panel.curves.items():
            if curve(tag)[0]:
                axis.plot(*curve(tag), label=label, linewidth=1.5)
        level = panel.level
        if run.oracle_entropy is not None and panel.unit == NATS:
            level = run.oracle_entropy, ORACLE_ENTROPY
        if level is not None:
            axis.axhline(level[0], color="grey", linestyle=":", label=level[1])
        axis.update_datalim([(1, value) for value in panel.reach])
        axis.autoscale_view()
        if 0 < epochs < len(records):
            axis.axvline(epochs + 0.5, color="black", linewidth=0.8)
            if axis is axes[0, 0]:
                axis.annotate(
                    "adversarial rounds",
                    (epochs + 0.5, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(4, -12),
                    textcoords="offset points",
                    fontsize=8,
                )
        axis.set_xlim(0.5, max(len(records), 2) + 0.5)
        axis.set_title(panel.title, fontsize=10)
        phases = "MLE epochs, then rounds" if epochs < len(records) else "MLE epochs"
        axis.set_xlabel(phases if epochs else "rounds")
        axis.set_ylabel(panel.unit)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    config = run.config
    title = f"{config.objective.name} on {run.corpus.name}, seed {config.seed}"
    figure.suptitle(_drawable(title))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    pyplot.close(figure)
    write_file(run.folder / "curves.png", drawn.getvalue())
    return True


def _drawable(text: str) -> str:
    """The text with `?` for what the picture's font does not have, of which it would complain on
    the terminal."""
    from matplotlib import font_manager

    known = font_manager.get_font(
        font_manager.findfont(font_manager.FontProperties())
    ).get_charmap()
    return "".join(one if ord(one) in known else "?" for one in text)
