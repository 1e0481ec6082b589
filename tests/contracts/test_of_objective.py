"""Broken promises of objectives."""

import pytest
from parts import METHOD
from promises import assert_broken

# a part, and what of it is changed: which promise fails, and why
BROKEN = {
    "a loss that counts its calls": (
        METHOD, "Mine",
        "calls: ClassVar[list] = []\n"
        "def generator_loss(self, *given):\n"
        "    self.calls.append(1)\n"
        "    value, metrics = super().generator_loss(*given)\n"
        "    return value * len(self.calls), metrics",
        "the generator's loss is pure", "then",
    ),
    "a loss that changes weights": (
        METHOD, "Mine",
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    discriminator.output.weight.data.mul_(0.9)\n"
        "    return super().discriminator_loss(discriminator, real, fake)",
        "a step on texts of one length", "changed the weight discriminator.output.weight",
    ),
    "a loss that changes its texts": (
        METHOD, "Mine",
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    fake.tokens.zero_()\n"
        "    return super().generator_loss(generator, discriminator, real, fake, progress)",
        "a step on texts of one length", "changed fake.tokens in place",
    ),
    "a loss that seeds": (
        METHOD, "Mine",
        "def generator_loss(self, *given):\n"
        "    torch.manual_seed(7)\n"
        "    return super().generator_loss(*given)",
        "the generator's loss is pure", "seeds torch's random numbers",
    ),
    "the end of the process": (
        METHOD, "Mine",
        "def generator_loss(self, *given): raise SystemExit(0)",
        "a step on texts of one length", "mine.py:Mine.generator_loss called sys.exit()",
    ),
    "numpy's random numbers": (
        METHOD, "Mine",
        "def sample(self, generator, real, progress):\n"
        "    import numpy as np\n"
        "    torch.manual_seed(np.random.randint(2**31))\n"
        "    return super().sample(generator, real, progress)",
        "killed and resumed, the same bits", "torch's random numbers",
    ),
    "something remembered elsewhere": (
        METHOD, "Mine",
        "seen: ClassVar[dict] = {}\n"
        "def on_fakes(self, fake): self.seen[id(self)] = self.seen.get(id(self), 0) + 1\n"
        "def generator_loss(self, *given):\n"
        "    value, metrics = super().generator_loss(*given)\n"
        "    return value * self.seen.get(id(self), 0), metrics",
        "killed and resumed, the same bits", "must be in state",
    ),
    "figures with gradients": (
        METHOD, "Mine",
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    value, _ = super().discriminator_loss(discriminator, real, fake)\n"
        "    return value, {'twice': 2 * value}",
        "figures are constants", "does not detach its metric 'twice'",
    ),
    "dropout switched on": (
        METHOD, "Mine",
        "def generator_loss(self, generator, *given):\n"
        "    generator.dropout.train()\n"
        "    found = super().generator_loss(generator, *given)\n"
        "    generator.dropout.eval()\n"
        "    return found",
        "the generator's dropout", "not the law that wrote it",
    ),
    "labels forgotten": (
        METHOD, "Mine",
        "def sample(self, generator, real, progress): return generator.sample(len(real))",
        "a step on labelled texts", "condition=real.condition",
    ),
    "a loss that needs three texts": (
        METHOD, "Mine",
        "def on_fakes(self, fake): fake.tokens[2]",
        "a batch of two", "IndexError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_found(case: str) -> None:
    assert_broken(*BROKEN[case])
