"""Broken promises of metrics, perturbations and objectives of encoders."""

import pytest
from promises import CONTRAST, METRIC, PERTURBATION, assert_broken

# a part, and what of it is changed: which promise fails, and why
BROKEN = {
    "a metric that gives a float": (
        METRIC, "Dots", "def measure(self, material): return 1.0",
        "numbers of texts and of real text", "Dots.measure returned a float",
    ),
    "a metric of names and floats": (
        METRIC, "Dots", "def measure(self, material): return {'dots': 1.0}",
        "numbers of texts and of real text", "returned a float as 'dots'",
    ),
    "a metric that draws": (
        METRIC, "Dots",
        "def measure(self, material):\n"
        "    from dataclasses import replace\n"
        "    from textgan.core.statistics import Estimate\n"
        "    found = super().measure(material)['dots']\n"
        "    return {'dots': replace(found, estimate=Estimate(float(torch.rand(()))))}",
        "the same texts, the same numbers", "inputs.seed",
    ),
    "a perturbation without a gradient": (
        PERTURBATION, "Twice",
        "def __call__(self, network, loss, outputs=None, scale=1.0, /): return loss()",
        "a gradient, a loss, no other change", "left no gradient",
    ),
    "a contrast without a gradient": (
        CONTRAST, "Small",
        "def accumulate(self, batch, backward=plain):\n"
        "    return self.network.features(self.read(batch)).mean(), {}",
        "a gradient, a loss, a measure", "left no gradient in the network",
    ),
    "a measure that draws": (
        CONTRAST, "Small",
        "def validation_step(self, batch): return self.network.features(self.read(batch)).mean()",
        "a gradient, a loss, a measure", "without a gradient",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_found(case: str) -> None:
    assert_broken(*BROKEN[case])
