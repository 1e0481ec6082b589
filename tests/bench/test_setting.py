"""The setting of the paper."""

from places import ROOT

from textgan.bench.setting import CLIP, DISCRIMINATOR_RATE, GENERATOR_RATE, PAPER, PAPER_AXES
from textgan.training.config import make_config


def test_the_timed_setting_is_the_papers_recipe() -> None:
    config = make_config(str(ROOT / "experiments/paper/seqgan.toml"))
    generator = config.generator.settings
    assert (PAPER.vocabulary, PAPER.length) == (config.oracle.vocabulary, config.oracle.length)
    assert (PAPER.embedding, PAPER.hidden) == (generator["embedding"], generator["hidden"])
    assert (PAPER.batch, PAPER.sentences) == (config.schedule.batch_size, config.oracle.positives)
    assert PAPER.rollouts == config.objective.settings["rollouts"]
    rates = config.optimisers
    assert (
        rates.generator_lr,
        rates.discriminator_lr,
        rates.clip,
    ) == (GENERATOR_RATE, DISCRIMINATOR_RATE, CLIP)
    assert rates.mle_lr == GENERATOR_RATE


def test_the_timed_setting_with_sources_is_the_recipes() -> None:
    first = make_config(str(ROOT / "experiments/small/multi30k.toml"))
    second = make_config(str(ROOT / "experiments/small/br_csgan.toml"))
    answering = PAPER.answering
    sizes = ("embedding", "hidden", "attention")
    assert {first.generator.settings[name] for name in sizes} == {answering.size}
    assert first.data is not None and first.data.length == answering.length
    assert second.discriminator is not None
    embedding = second.discriminator.settings["embedding"]
    assert embedding == answering.discriminator_embedding
    assert second.schedule.batch_size == answering.batch
    assert second.objective.settings["rollouts"] == answering.rollouts


def test_axes_pass_through_the_papers_setting() -> None:
    base = PAPER_AXES.base
    assert (base.vocabulary, base.length, base.batch) == (PAPER.vocabulary, PAPER.length, 64)
    assert base.vocabulary in PAPER_AXES.vocabulary and base.length in PAPER_AXES.length
