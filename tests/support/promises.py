"""Parts of one's own that keep their contract, and the one that breaks a promise of it."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

import pytest
from parts import HEAD

import textgan
from textgan.contracts.outcome import Check, Report, run_checks

METRIC = """
class Dots(Metric):
    def measure(self, material):
        from textgan.metrics.base import Score
        sizes = material.predictions.sizes.double()
        estimate, replicates = material.mean(sizes)
        return {"dots": Score("Dots", estimate, material.sign("dots"), "lower", "", replicates)}
"""

PERTURBATION = """
@dataclass(kw_only=True)
class Twice(Perturbation):
    factor: float = 2.0

    def __call__(self, network, loss, outputs=None, scale=1.0, /):
        value, metrics = loss()
        (self.factor * value * scale).backward()
        return value.detach(), metrics
"""

CONTRAST = """
from textgan.encoders.contrast.base import EncoderObjective
from textgan.core.optim import plain

class Small(EncoderObjective):
    def accumulate(self, batch, backward=plain):
        text = self.read(batch)
        return backward(self.network, lambda: (self.network.features(text).square().mean(), {}))

    @torch.no_grad()
    def validation_step(self, batch):
        return self.network.features(self.read(batch)).square().mean()
"""


def written(body: str, owner: str = "", change: str = "") -> None:
    """Write mine.py: a part, or one that changes a promise of it."""
    extra = ""
    if owner:
        dataclass = "@dataclass(kw_only=True)\n" if "@dataclass" in body else ""
        extra = f"\n{dataclass}class {owner}({owner}):\n{indent(change, '    ')}\n"
    Path("mine.py").write_text(HEAD + body + extra)


def assert_broken(body: str, owner: str, change: str, promise: str, why: str) -> None:
    """A part with this change fails the check of this promise, for this reason.

    No other is checked but the first, without which none is.
    """

    def some(part: str, kind: str, checks: Sequence[tuple[str, Check]]) -> Report:
        wanted = [one for one in checks if one is checks[0] or one[0] == promise]
        return run_checks(part, kind, wanted)

    written(body, owner, change)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textgan.contracts.checking.run_checks", some)
        report = textgan.check(f"mine.py:{owner}", strict=False)
    failed = {one.promise: one.why for one in report.outcomes if one.result == "failed"}
    assert promise in failed, str(report)
    assert why in failed[promise], failed[promise]
    assert not report.passed
