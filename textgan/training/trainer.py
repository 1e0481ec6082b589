"""Training: one function for every method. The words of the loop are defined in `schedule`."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch

from textgan.core.arguments import checked_arguments
from textgan.core.device import Device, choose_device
from textgan.core.distributed import Group, joined
from textgan.core.errors import Interrupted, ReportedElsewhere, UserError
from textgan.core.files import exists, is_file, require_writable, system_errors
from textgan.core.identity import CONFIG
from textgan.core.locks import LOCK, locked
from textgan.core.log import Log, require_points
from textgan.core.matmul import fastest_library, library_now
from textgan.core.memory import in_units, memory_errors, memory_of, reuse_memory
from textgan.core.optim import NotFinite
from textgan.core.precision import without_denormals
from textgan.core.progress import status
from textgan.core.registry import remarks
from textgan.core.statistics import Estimate
from textgan.core.streams import Purpose, stream
from textgan.data.checks import (
    corpus_warnings,
    different_pairs,
    different_sentences,
    unknown_share,
)
from textgan.data.corpus import Corpus
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.text import TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.rollout import rollout_bytes
from textgan.training.checkpoint import checkpoints
from textgan.training.config import RunConfig, make_config
from textgan.training.measure import ngram_divergences
from textgan.training.panels import HEADLINE, tensorboard_layout
from textgan.training.results import Results, finish, read_results
from textgan.training.run import Run, create_run, open_run
from textgan.training.schedule import PHASE_NAMES, Do, Phase, Step, plan
from textgan.training.state import TrainingState
from textgan.training.steps import located, take_step

LEFT_OUT = {  # reasons why pairs or sentences are, and the settings
    "too_long": "longer sentences are left out (data.length)",
    "too_short": "shorter sentences are left out (data.min_length)",
    "source_too_long": "pairs of longer sources are left out (data.source_length)",
}


@system_errors()
@checked_arguments
def train(
    objective: Annotated[str | Path | Mapping[str, Any], "a name, a file or settings"] = "seqgan",
    *overrides: Annotated[str, "key=value"],
    data: Annotated[str | Path | Mapping[str, Any] | None, "a file of texts, or settings"] = None,
    source: Annotated[str | Path | None, "a file of sources"] = None,
    pairs: Annotated[str | Path | None, "a file of source, tab, target"] = None,
    out: Annotated[str | Path | None, "a new folder"] = None,
    quiet: bool = False,
    trust_code: bool = False,
    plot: bool = True,
    **settings: Any,
) -> Results:
    """Train as `textgan train` does and return the final table.

    objective: a name, `path/to/file.py:Class`, a TOML file, or a mapping of all settings.
    overrides: settings as at the command line, such as "objective.rollouts=8".
    plot: whether curves.png is drawn, which takes a second. trust_code: also run the code in files
    that a TOML file names (a name given here is trusted).
    data: a file of texts, or a group of settings, as in `data={"file": "poems.txt"}`. source: the
    file of what each line of `data` answers or translates. pairs: in place of both, one file.
    settings: dotted keys as keywords, as in `**{"objective.rollouts": 8}`, or groups, as in
    `schedule={"rounds": 20}`. Raises UserError for whatever cannot be right, before it writes.

    Example:
        >>> textgan.train("seqgan", "objective.rollouts=8", data="poems.txt", seed=1)
    """
    target = objective if isinstance(objective, Mapping) else str(objective)
    if isinstance(data, Mapping):
        settings["data"] = data
    elif data is not None:
        settings["data.file"] = str(data)
    for key, file in {"source": source, "pairs": pairs}.items():
        if file is not None:
            settings[f"data.{key}"] = str(file)
    given: list[str | tuple[str, Any]] = [*overrides]
    for key, value in settings.items():
        if isinstance(value, Mapping):
            given += [(f"{key}.{inner}", setting) for inner, setting in value.items()]
        else:
            given.append((key, value))
    place = None if out is None else Path(out)
    return train_new(
        lambda: make_config(target, given, trust_code=trust_code), place, quiet=quiet, plot=plot
    )


def train_new(
    configure: Callable[[], RunConfig],
    out: Path | None,
    *,
    quiet: bool = False,
    plot: bool = True,
) -> Results:
    """Train a new run; process 0 alone asks for its settings. Raises as `train_run` does."""
    with without_denormals(), joined() as group:

        def make() -> Run:
            config = configure()
            group.refuse(config.schedule.shards, choose_device(config.device))
            return create_run(config, out, quiet)

        # what the settings name was allowed
        return train_run(make, group, quiet=quiet, trust_code=True, plot=plot)


@system_errors()
@checked_arguments
def resume(
    folder: Annotated[str | Path, "a run's folder"],
    *,
    device: Device | None = None,
    quiet: bool = False,
    trust_code: bool = False,
    plot: bool = True,
) -> Results:
    """Continue the run in a folder from its last checkpoint, or return the results it has.

    plot: whether curves.png is drawn. trust_code: run the code in files of its maker's own, of
    which the folder keeps copies.

    Example:
        >>> textgan.resume("runs/mine")
    """
    folder = Path(folder)
    with without_denormals(), joined() as group:

        def make() -> Run:
            run = open_run(folder, device, trust_code=trust_code)
            group.refuse(run.config.schedule.shards, run.device)
            return run

        if group.size == 1:
            done = _read_only_results(folder)
            if done is not None:
                return done

        return train_run(make, group, device=device, quiet=quiet, trust_code=trust_code, plot=plot)


def _read_only_results(folder: Path) -> Results | None:
    """The results of a finished run in a folder that cannot be written; else None."""
    if not is_file(folder / CONFIG):
        return None
    done = read_results(folder)
    if done is not None:
        try:
            require_writable(folder / LOCK)
        except UserError:
            return done
    return None


def train_run(
    make: Callable[[], Run],
    group: Group,
    *,
    device: str | None = None,
    quiet: bool = False,
    trust_code: bool = False,
    plot: bool = True,
) -> Results:
    """Train a run from wherever it is to its end.

    make: makes or opens it, in process 0; the others of the group open it then, on `device` if it
    is not to be the run's own. Raises Interrupted on Ctrl-C (or SIGTERM) once a checkpoint is
    written, NotFinite when a gradient is not finite, UserError for a checkpoint that cannot be
    trusted.
    """
    silent = quiet or not group.first
    with status("preparing the run", silent):
        run = group.lead(
            make,
            tell=lambda run: run.folder,
            follow=lambda at: open_run(at, device, trust_code=trust_code),
        )
    reuse_memory()
    with ExitStack() as stack:
        stack.enter_context(run.products())
        group.lead(lambda: stack.enter_context(locked(run.folder)))
        if exists(run.folder / "results.json"):  # nothing is to be gained, so nothing is risked
            group.lead(lambda: require_points(run.folder))
        with status("building networks", silent):
            state = group.lead(
                lambda: _begin(run, group), tell=lambda _: None, follow=lambda _: _begin(run, group)
            )
        # the others keep a log that nobody reads
        folder = run.folder if group.first else Path(stack.enter_context(TemporaryDirectory()))
        with status("starting the log", silent):
            log = Log(
                folder,
                state.ticks_done,
                silent,
                tensorboard_layout(run.corpus.space.source is not None),
                HEADLINE,
                state.records,
            )
        if group.first and log.fault and log.fault not in state.alarms:
            state.alarms.append(log.fault)  # the final table and the report say it, too
        stack.callback(log.close)
        group.lead(lambda: _introduce(run, state, log))
        try:
            _loop(run, state, log)
        except NotFinite as error:  # in all processes alike
            if group.first:
                raise
            raise ReportedElsewhere(str(error)) from None
        return group.lead(lambda: finish(run, state.alarms, log, plot=plot))


def _begin(run: Run, group: Group) -> TrainingState:
    """Restore the state of a run from its last checkpoint, or begin a new one, the same in every
    process."""
    torch.manual_seed(stream(Purpose.TRAINING, run.seed))
    state = TrainingState(run, group)
    saved = checkpoints(run.folder)
    if saved:
        state.restore(saved[-1])
        if not run.mle_lack() and state.best_mle is not None:
            run.load_mle()  # raises now, not at the end of training
    elif state.init and group.first:
        state.save_best_mle(**state.init)
    return state


def _loop(run: Run, state: TrainingState, log: Log) -> None:
    """Every step of the plan that is not done yet, with a checkpoint now and then."""

    def steps() -> Iterator[Step]:
        return plan(run.config.schedule, len(run.corpus.train), state.adversary)

    totals = Counter(step.phase for step in steps())
    ticks = Counter(step.phase for step in steps() if step.do == "tick")
    done = Counter(step.phase for step in islice(steps(), state.done))
    log.plan(Counter(map(_kind, islice(steps(), state.done, None))))
    every, group = run.config.checkpoint_seconds, state.group
    phase: Phase | None = None
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        if not group.first:
            return
        state.records = log.flush()
        state.save()
        saved_at = time.monotonic()

    with _stop_requests(patient=group.size > 1) as asked:
        for step in islice(steps(), state.done, None):
            if step.phase != phase:
                if phase is not None:
                    save()
                phase = step.phase
                log.phase(PHASE_NAMES[phase], totals[phase], done[phase])
            with memory_errors("a smaller schedule.batch_size, or objective.chunk=1 for rollouts"):
                metrics = take_step(state, step, log)
            done[phase] += 1
            where = f"{PHASE_NAMES[phase]} {step.number + 1}/{ticks[phase]}"
            log.advance(where, metrics, _kind(step))
            stop = group.any(asked())
            if stop or time.monotonic() - saved_at >= every:
                with located(state, step):
                    save()
            if stop:
                log.end_phase()
                raise Interrupted(
                    f"stopped in {PHASE_NAMES[phase]} {step.number + 1}; everything is saved. "
                    f"Go on with: {run.resume_command}"
                )
    save()
    log.end_phase()


def _kind(step: Step) -> tuple[str, str, bool]:
    """Steps of one kind take about as long."""
    return step.phase, step.do, step.evaluate


def _introduce(run: Run, state: TrainingState, log: Log) -> None:
    log.say(f"run        {run.folder}")
    parts = [_about_data(run), _about_products(run), _about_floor(run), _about_plan(run, state)]
    for line in chain(*parts, _about_rollouts(run, state)):
        log.say(line)
    for network in (state.objective, state.generator, state.discriminator):
        for remark in [] if network is None else remarks(type(network)):
            log.say(f"note       {remark}")
    products = "" if run.config.precision == "float32" else f", {run.config.precision} products"
    log.say(f"device     {run.device}, {torch.get_num_threads()} threads{products}")
    log.say(f"watch      tensorboard --logdir {run.folder.parent}  then open /#custom_scalars")
    for news in run.code.news():
        log.say(f"code       {news}")
    for warning in (run.mle_lack(), log.fault):
        if warning:
            log.say(f"warning: {warning}")
    if state.init and not state.done:
        epoch, epochs = state.init["epoch"], state.init["epochs"]
        log.say(f"start      from {run.config.init}, MLE epoch {epoch} of {epochs}")
    if state.done:
        log.say(f"resumed    after step {state.done}")


def _about_data(run: Run) -> Iterator[str]:
    """Yield lines about the corpus and the oracle."""
    facts, space = run.corpus.facts, run.corpus.space
    split = facts["split"]
    known = f" ({facts['known_as']} of textgan data list)" if facts.get("known_as") else ""
    what = "sentences" if space.source is None else "targets"
    yield (
        f"data       {facts['source']}{known}: {split['train']} train, {split['valid']} valid, "
        f"{split['test']} test {what} of at most {space.length} tokens, "
        f"vocabulary {space.vocabulary}"
    )
    if run.corpus.tokenizer.special:
        yield (
            f"           {unknown_share(run.corpus):.1%} of the words are {UNKNOWN_WORD}; "
            f"{_about_different(run.corpus)} are different, as read"
        )
    if space.source is not None and "sources" in facts:
        yield from _about_sources(facts, space.source)
    for part, counts in facts.get("also_in_train", {}).items():
        common = [f"{n} {side}" for side, n in counts.items() if n]
        if common:
            yield f"           {' and '.join(common)} of the {part} part are in training, too"
    if facts.get("spacing"):
        yield f"           {facts['spacing']} lines (data.spaced=yes or no decides otherwise)"
    for warning in corpus_warnings(run.corpus):
        yield f"warning: {warning}"
    if facts.get("labels"):
        few = [f"{name} ({count} train)" for name, count in list(facts["labels"].items())[:6]]
        yield f"labels     {len(facts['labels'])}: {', '.join(few)}"
    for reason, why in LEFT_OUT.items():
        if facts.get(reason):
            yield f"           {facts[reason]} {why}"
    if run.oracle is not None:
        low, high = facts["oracle_entropy_interval"]
        entropy = Estimate(facts["oracle_entropy"], low, high)
        yield f"oracle     entropy {entropy} nats per token: the floor of NLL_oracle"
    if "oracle_exchanged" in facts:
        exchanged = facts["oracle_exchanged"]
        yield (
            f"sources    {facts['source_length']} of {facts['source_vocabulary']} words; with "
            f"another text's source a token costs {exchanged:.3f} nats, "
            f"{exchanged - facts['oracle_entropy']:.3f} more than with its own"
        )


def _about_different(corpus: Corpus) -> str:
    """Say how many sentences are different; of pairs, how many of each side and together."""
    if corpus.space.source is None:
        return f"{different_sentences(corpus)} sentences"
    counts = different_pairs(corpus)
    return f"{counts['sources']} sources, {counts['targets']} targets and {counts['pairs']} pairs"


def _about_sources(facts: Mapping[str, Any], space: TextSpace) -> Iterator[str]:
    """Yield lines about what the texts of a corpus answer."""
    about, several = facts["sources"], " of several utterances" if space.turn is not None else ""
    words = "the same words" if about["shares_vocabulary"] else f"vocabulary {space.vocabulary}"
    yield (
        f"sources    {about.get('source', facts['source'])}: at most {space.length} tokens"
        f"{several}, {words}, {about['unknown_in_train']:.1%} of them {UNKNOWN_WORD} in training"
    )
    yield (
        f"           divided by {facts['split_by']} (data.split_by); {facts['goes_on']} of "
        f"{facts['sentences']} pairs go on from the one before"
    )


def _about_products(run: Run) -> Iterator[str]:
    """Yield a line where the library of matrix products is not the fastest, or not the run's."""
    if run.device.type != "cpu":
        return
    fastest, library = fastest_library(), library_now()
    if run.library not in (None, library):
        yield (
            f"warning: it began with the matrix products of {run.library}, which this torch "
            f"lacks; those of {library} differ in the last bits"
        )
    elif run.config.matmul == "auto" and library != fastest:
        yield (
            f"products   by {library}, as it began; those of {fastest} are faster here and "
            "differ in the last bits"
        )


def _about_floor(run: Run) -> Iterator[str]:
    """Yield the n-gram divergences of held-out text from the training text."""
    evaluation = run.config.evaluation
    if evaluation.ngrams:
        real = run.corpus.test[: evaluation.samples]
        floor = ngram_divergences(real, run.corpus, evaluation.ngrams)
        shown = ", ".join(f"{name} {estimate}" for name, estimate in floor.items())
        yield f"n-grams    {len(real)} held-out texts from the training text: {shown}: the floor"


def _about_plan(run: Run, state: TrainingState) -> Iterator[str]:
    """Yield a line on the phases, and how many updates each of them has."""
    steps = plan(run.config.schedule, len(run.corpus.train), state.adversary)
    counts = Counter((step.phase, step.do) for step in steps)
    whose: dict[Do, str] = {
        "mle": "by MLE", "generator": "of the generator", "discriminator": "of the discriminator"
    }  # fmt: skip
    phases = []
    for phase, called in PHASE_NAMES.items():
        if n := counts[phase, "tick"]:
            updates = [f"{m:,} {name}" for do, name in whose.items() if (m := counts[phase, do])]
            listed = ", ".join(updates) or "none"
            phases.append(f"{n:,} {called}{'s' * (n > 1)} ({listed})")
    yield f"updates    {'; '.join(phases)}"


def _about_rollouts(run: Run, state: TrainingState) -> Iterator[str]:
    """Yield the memory that rollouts take, and a warning where the device has too little."""
    completions = state.objective.completions
    if not completions or not isinstance(state.generator, AutoregressiveGenerator):
        return
    network = state.discriminator
    features = network.output.in_features if isinstance(network, Discriminator) else 0
    batch, chunk = run.config.schedule.batch_size, run.config.objective.settings.get("chunk", 0)
    size = rollout_bytes(state.generator, batch, completions, chunk, features)
    yield f"rollouts   about {size / 2**20:.0f} MiB (bound it with objective.chunk)"
    have = memory_of(run.device)
    if have is not None and size > 0.8 * have:  # the rest of a run wants some, too
        yield (
            f"warning: rollouts may take {in_units(size)} of the {in_units(have)} that there "
            "are; bound them with objective.chunk, or make schedule.batch_size smaller"
        )


@contextmanager
def _stop_requests(patient: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came: the step under way ends first. A second Ctrl-C is at once,
    unless `patient`: torchrun passes one Ctrl-C on several times."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set() and not patient:
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals belong to the main thread
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
