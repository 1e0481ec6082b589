"""classify: text classifiers trained with perturbations, and what the perturbations are worth.

The claims are that a classifier trained through shifted vectors does better on new sentences, and
that it is harder to mislead. So each perturbation trains classifiers from the same weights, on the
same batches, for as many epochs; the epoch that does best in validation counts; and accuracy is
measured on the test sentences as they are, attacked, and with noise in their words. What differs
between two seeds is chance, so only differences seed by seed count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from textgan.classifiers.classifier import Classifier, save_classifier
from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.data import read_classifier_data
from textgan.classifiers.results import NONE, Classification, Runs, opened, write
from textgan.classifiers.trainer import ClassifierTrainer
from textgan.core.arguments import checked_arguments
from textgan.core.checks import CLASSIFIERS
from textgan.core.device import Device, choose_device
from textgan.core.errors import Interrupted, UserError, option
from textgan.core.files import system_errors
from textgan.core.progress import counting_bar
from textgan.core.settings import make_settings
from textgan.core.terminal import stop_signals

MODELS = "models"  # the folder of the classifiers that are kept


@system_errors()
@checked_arguments
def classify(
    file: Annotated[str | Path, "a labelled file"],
    *,
    network: Annotated[str, "a discriminator's name, or hf:FOLDER"] = "rnn",
    perturb: Annotated[str | Sequence[str], "at least one name (see textgan list)"] = "none,fgm",
    seeds: Annotated[int, CLASSIFIERS] = 5,
    out: Annotated[str | Path | None, "a folder"] = None,
    keep: bool = False,
    device: Device = "auto",
    quiet: bool = False,
    **settings: Any,
) -> Classification:
    """Train and measure classifiers of a labelled file as `textgan classify` does.

    file: lines of label, tab, sentence. network: a discriminator's name, or hf:FOLDER. perturb: see
    `textgan list`; none is always among them. seeds: how many, from 0. out: a folder in which every
    run is kept, so that the same call goes on where it was stopped. keep: the networks, too (see
    `load_classifier`). settings: by dotted key, see `ClassifierConfig`.
    Raises UserError, and Interrupted on Ctrl-C.

    Example:
        >>> textgan.classify("moods.tsv", perturb="none,fgm,freelb(passes=3)", seeds=5)
    """
    names = split_names(perturb if isinstance(perturb, str) else ",".join(perturb))
    config, chosen = make_settings(ClassifierConfig, settings), choose_device(device)
    data = read_classifier_data(Path(file), network, config)
    trainer = ClassifierTrainer(network, config, data, chosen)
    trainer.check(names)
    if keep and out is None:
        raise UserError(
            f"keep = True needs a folder to keep networks in: give {option('out', 'FOLDER')}, too"
        )
    if keep and len({_slug(name) for name in names}) < len(names):
        raise UserError("perturb: the folders of two of these would have the same name; not both")
    folder = None if out is None else Path(out)
    facts = trainer.facts | {"perturb": names, "seeds": seeds, "keep": keep}
    jobs = [(name, seed) for seed in range(seeds) for name in names]
    with ExitStack() as stack:
        stack.enter_context(stop_signals())
        runs: Runs = {} if folder is None else stack.enter_context(opened(folder, facts))
        _train_all(trainer, jobs, runs, folder, facts, quiet)
        result = Classification(facts, tuple(runs[job] for job in jobs))
        if folder is not None:
            write(folder, result.to_dict())
    return result


def _train_all(
    trainer: ClassifierTrainer,
    jobs: Sequence[tuple[str, int]],
    runs: Runs,
    folder: Path | None,
    facts: Mapping[str, Any],
    quiet: bool,
) -> None:
    """Train each job that is not among the runs, and add it to them and to the folder.

    jobs: perturbations and seeds. Raises Interrupted on Ctrl-C.
    """
    steps = {name: trainer.steps(name) for name, _ in jobs}
    with counting_bar(
        sum(steps[name] for name, _ in jobs),
        done=sum(steps[name] for name, _ in runs),
        unit="step",
        quiet=quiet,
    ) as bar:
        saved = len(runs)
        try:
            for name, seed in jobs:
                if (name, seed) in runs:
                    continue
                bar.set_description(f"{name}, seed {seed}")
                runs[name, seed], network = trainer.train(name, seed, bar.update)
                if folder is not None:
                    if facts["keep"]:
                        place = folder / MODELS / f"{_slug(name)}-{seed}"
                        split, config = trainer.data.split, trainer.config
                        classifier = Classifier(network, trainer.data.tokenizer, split.names)
                        about = {"perturb": name, "data": split.facts}
                        save_classifier(place, classifier, trainer.network, config.network, about)
                    write(folder, {"facts": facts, "runs": [asdict(one) for one in runs.values()]})
                    saved = len(runs)
        except KeyboardInterrupt:
            kept = f"{saved} of {len(jobs)} runs are in {folder}: the same command goes on"
            lost = f"nothing is kept without {option('out', 'FOLDER')}"
            raise Interrupted(f"stopped; {kept if folder else lost}") from None


def split_names(perturbations: str) -> list[str]:
    """Split a list of perturbations at its commas: each name once, `none` first."""
    names = [name.strip() for name in re.split(r",(?![^(]*\))", perturbations)]
    return list(dict.fromkeys([NONE, *filter(None, names)]))


def _slug(name: str) -> str:
    """A perturbation as the name of a folder."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")
