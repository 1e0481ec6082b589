"""encode: train an encoder of sentences on a file of text, as `textgan encode` does.

The folder that it leaves holds the encoder at its best (see `textgan.encoders.folder`),
results.json, and the curves in metrics.jsonl and TensorBoard. The best weights are chosen on lines
that it does not learn from, by a metric that needs labels only where the method does; those that it
began with count, too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Any

from textgan.core.arguments import checked_arguments
from textgan.core.checks import SEEDS
from textgan.core.device import Device, choose_device
from textgan.core.errors import Interrupted, UserError, option
from textgan.core.files import (
    exists,
    is_file,
    is_folder,
    is_partial,
    make_folder,
    read_json,
    system_errors,
    write_file,
)
from textgan.core.locks import LOCK, locked
from textgan.core.log import Layout, Log
from textgan.core.memory import memory_errors, reuse_memory
from textgan.core.optim import NotFinite
from textgan.core.precision import without_denormals
from textgan.core.seeds import fork_rng
from textgan.core.settings import make_settings
from textgan.core.streams import Purpose, stream
from textgan.core.terminal import stop_signals
from textgan.core.version import __version__
from textgan.encoders.config import EncoderConfig
from textgan.encoders.folder import ABOUT, MODEL, WEIGHTS, save_encoder
from textgan.encoders.results import EncoderResult
from textgan.encoders.trainer import EncoderTrainer, prepare

UNFINISHED = "unfinished.json"  # in a folder whose encoder is still to come

CURVES: Layout = {
    "Encoder": {
        "loss": ["Multiline", ["encode/loss$"]],
        "held-out lines": ["Multiline", ["valid/.*"]],
        "norm of the gradient": ["Multiline", ["encode/gradient_norm$"]],
        "learning rate": ["Multiline", ["encode/lr$"]],
    },
}
HEADLINE = {"loss": "loss"}  # beside the progress bar


@system_errors()
@checked_arguments
def encode(
    method: Annotated[str, "a method's name, or path/to/file.py:Class"] = "simcse",
    *,
    data: Annotated[str | Path, "a file of sentences"],
    out: Annotated[str | Path, "a new folder"],
    network: Annotated[str | None, "a discriminator's name, or hf:FOLDER"] = None,
    start: Annotated[str | Path | None, "the folder of an encoder"] = None,
    seed: Annotated[int, SEEDS] = 0,
    device: Device = "auto",
    quiet: bool = False,
    **settings: Any,
) -> EncoderResult:
    """Train an encoder as `textgan encode` does, save it in a new folder, and return its table.

    method: a name, or `path/to/file.py:Class`. data: one sentence, or label, tab, sentence, a line.
    network: a discriminator's name or `hf:FOLDER`; by default a transformer from scratch.
    start: the folder of another encoder, whose network, words and weights are taken.
    settings: keys as keywords, such as `epochs=3` and `**{"contrast.temperature": 0.1}`.
    Raises UserError for whatever cannot be right, before it writes; Interrupted on Ctrl-C, once the
    best weights so far are saved.

    Example:
        >>> textgan.encode("simcse", data="train.txt", out="encoders/mine", epochs=3)
    """
    config = make_settings(EncoderConfig, settings)
    data, folder, chosen = Path(data), Path(out), choose_device(device)
    command = {
        "method": method,
        "data": str(data),
        "network": network,
        "start": None if start is None else str(start),
        "seed": seed,
        "settings": config.model_dump(mode="json"),
    }
    _refuse_used(folder, command)
    reuse_memory()
    with without_denormals(), fork_rng(stream(Purpose.ENCODER, seed), chosen):
        with memory_errors("a smaller data.vocabulary or network"):
            trainer = prepare(method, data, network, start, config, seed, chosen, quiet)
        with memory_errors("a smaller batch or data.length"):
            return train_encoder(trainer, folder, command)


def train_encoder(
    trainer: EncoderTrainer, folder: Path, command: Mapping[str, Any]
) -> EncoderResult:
    """Train an encoder and write its folder; see `encode`.

    command: what was asked for. The folder holds it until everything else is there, so that the
    same command may begin again.
    """
    before = trainer.measure()
    # before anything is written: whenever training stops, there are best weights
    try:
        trainer.best.offer(trainer.validate(), 0)
    except NotFinite as error:
        raise NotFinite(f"{error} before training; try other contrast.* settings") from None
    make_folder(folder, f"out = {str(folder)!r}")
    with locked(folder), stop_signals():
        _refuse_used(folder, command)  # another process may have been faster
        content = json.dumps(command, indent=1, ensure_ascii=False) + "\n"
        write_file(folder / UNFINISHED, content.encode("utf-8", "surrogatepass"))
        for old in [folder / "metrics.jsonl", *folder.glob("events.out.tfevents.*")]:
            old.unlink(missing_ok=True)
        with closing(Log(folder, 0, trainer.quiet, CURVES, HEADLINE)) as log:
            _train_and_save(trainer, folder, log)
            result = _report(trainer, folder, before, log)
        (folder / UNFINISHED).unlink()
    with suppress(OSError):  # the folder is an encoder's now, and in use for all others
        (folder / LOCK).unlink()
    return result


def _refuse_used(folder: Path, command: Mapping[str, Any]) -> None:
    """UserError for a folder that holds anything but what the same command, killed, left there."""
    if not exists(folder):
        return
    path = folder / UNFINISHED
    if is_folder(folder):
        if is_file(path) and read_json(path) == json.loads(json.dumps(command)):
            return
        if all(other.suffix == ".lock" or is_partial(other) for other in folder.iterdir()):
            return
    remedy = f"choose another {option('out')}"
    if is_file(path):
        remedy = f"another command did not finish there ({path.name} has it); " + remedy
    raise UserError(f"out = {str(folder)!r} is in use; {remedy}")


def _train_and_save(trainer: EncoderTrainer, folder: Path, log: Log) -> None:
    """Train, and save the best weights however training ends.

    Raises Interrupted and NotFinite, which name the folder.
    """
    stopped: Exception | None = None
    try:
        _introduce(trainer, log)
        trainer.train(log)
    except KeyboardInterrupt:
        stopped = Interrupted(f"stopped; {_kept(trainer, folder)}")
    except NotFinite as error:
        stopped = NotFinite(f"{error}; {_kept(trainer, folder)}; try a smaller lr")
    log.end_phase()
    _save(trainer, folder)
    if stopped:
        raise stopped


def _introduce(trainer: EncoderTrainer, log: Log) -> None:
    """Say what will be trained, on what."""
    data, initial = trainer.data, trainer.initial
    space, device = initial.tokenizer.space, initial.network.output.weight.device
    log.say(
        f"data       {data.facts['source']}: {len(data.train)} train, {len(data.valid)} valid, "
        f"{len(data.test)} test lines; {space.vocabulary} tokens, cut at {space.length}"
    )
    if data.facts.get("spacing"):
        log.say(f"           {data.facts['spacing']} lines (data.spaced=yes or no)")
    for warning in data.warnings:
        log.say(f"warning: {warning}")
    weights = sum(parameter.numel() for parameter in initial.network.parameters())
    origin = f", begun by {initial.encoder}" if initial.encoder else ""
    log.say(f"network    {initial.name}{origin}: {weights:,} weights, on {device}")
    log.say(f"training   {trainer.name}: {trainer.updates} updates")


def _kept(trainer: EncoderTrainer, folder: Path) -> str:
    best = trainer.chosen
    return (
        f"the best state so far (update {best['update']} of {trainer.updates}, {best['measure']} "
        f"{best['value']:.3f}) is in {folder}"
    )


def _training_settings(trainer: EncoderTrainer) -> dict[str, Any]:
    return trainer.config.model_dump(exclude={"data", "contrast", "network"})


def _save(trainer: EncoderTrainer, folder: Path) -> None:
    """Write the encoder, over what a start that was stopped or killed left."""
    initial = trainer.initial
    facts = trainer.objective.pooling | {
        "method": trainer.name,
        "settings": trainer.settings,
        "training": _training_settings(trainer),
        "start": initial.encoder,
        "seed": trainer.seed,
        "data": trainer.data.facts,
        "best": trainer.chosen,
        "textgan": __version__,
    }
    for old in (folder / ABOUT, folder / WEIGHTS):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    save_encoder(folder, initial.name, initial.settings, initial.network, initial.tokenizer, facts)


def _report(
    trainer: EncoderTrainer, folder: Path, before: dict[str, float], log: Log
) -> EncoderResult:
    """The table, also written to results.json and TensorBoard."""
    best, warnings = trainer.chosen, trainer.data.warnings
    if best["update"] == 0:
        warnings += (
            f"training made {best['measure']} of held-out lines no better, so the encoder is what "
            "it began as; try another lr",
        )
    name = f"best, update {best['update']} of {trainer.updates}"
    rows = {"before training": before, name: trainer.measure()}
    result = EncoderResult(folder, rows, best, len(trainer.data.test), warnings)
    content = json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"
    write_file(folder / "results.json", content.encode())
    settings = _training_settings(trainer)
    settings |= {f"contrast.{key}": value for key, value in trainer.settings.items()}
    settings |= {"method": trainer.name, "network": trainer.initial.name, "seed": trainer.seed}
    numbers = {f"result/{key.replace(' ', '_')}": value for key, value in rows[name].items()}
    log.hyperparameters(settings, numbers)
    return result
