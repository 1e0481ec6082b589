"""What all objectives of encoders have in common."""

import pytest
import torch
from contrast import Bag, batch, gradients, tokenizer, transformer
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.seeds import fork_rng
from textgan.core.settings import settings_of
from textgan.data.text import Text
from textgan.encoders.contrast.base import Batch, vectors
from textgan.encoders.contrast.simcse import SimCSE


def test_held_out_loss_draws_dropout_and_leaves_it_off() -> None:
    method = SimCSE(transformer(dropout=0.3), tokenizer()).double()
    off = [module.eval() for module in method.modules() if isinstance(module, nn.Dropout)]
    with fork_rng(1, torch.device("cpu")):
        one = method.validation_step(batch())
    with fork_rng(2, torch.device("cpu")):
        other = method.validation_step(batch())
    assert not one.requires_grad
    assert one != other
    assert not any(module.training for module in off)


@pytest.mark.parametrize("on", [True, False])
def test_the_head_stands_in_training_only(on: bool) -> None:
    method = SimCSE(Bag().double(), tokenizer(), head=on).double()
    text = method.read(batch())
    features = vectors(method.network, text)
    expected = features
    if on:
        linear = method.head[0]  # type: ignore[index]
        expected = (features @ linear.weight.T + linear.bias).tanh()
    torch.testing.assert_close(method.view(text), expected)
    own = {name for name, _ in method.network.named_parameters()}
    heads = {name for name, _ in method.named_parameters() if not name.startswith("network.")}
    assert heads == ({"head.0.weight", "head.0.bias"} if on else set())
    assert not any("head" in name for name in own)


def test_every_method_is_known_and_documented() -> None:
    names = registry.names("contrast")
    assert names == ["mlm", "promptbert", "scal", "simcse", "uscal"]
    for name in names:
        part = registry.find("contrast", name)
        assert part.paper
        assert (part.__doc__ or "").splitlines()[0].endswith(".")
        assert all(setting.doc for setting in settings_of(part))


@pytest.mark.parametrize("name", ["simcse", "uscal", "scal", "promptbert"])
def test_the_order_of_sentences_changes_no_gradient(name: str) -> None:
    method = registry.build("contrast", name, {}, transformer(classes=2), tokenizer()).double()
    labels = [0, 1, 1, 0, 1]
    method.accumulate(batch(labels))
    before = [slope.clone() for slope in gradients(method)]
    method.zero_grad()
    order = [3, 0, 4, 2, 1]
    ids = batch().ids
    method.accumulate(Batch([ids[i] for i in order], torch.tensor(labels)[order]))
    for one, other in zip(before, gradients(method), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_an_objective_may_use_the_names_of_version_0_1() -> None:
    class Former(SimCSE):
        labelled = True
        measure = "former_loss"
        rises = True

        def look(self, text: Text) -> Tensor:
            return 2 * super().look(text)

        def held_out(self, batch: Batch) -> Tensor:
            return super().held_out(batch) + 1

    assert (Former.needs_labels, Former.metric, Former.higher_is_better) == (
        True, "former_loss", True,
    )  # fmt: skip
    network = transformer().eval()
    former, now = (kind(network, tokenizer(), head=False).double() for kind in (Former, SimCSE))
    text = now.read(batch())
    torch.testing.assert_close(former.view(text), 2 * now.view(text))
    torch.testing.assert_close(former.validation_step(batch()), now.validation_step(batch()) + 1)
