"""PromptBERT."""

import pytest
import torch
from contrast import TAU, assert_gradients, batch, tokenizer, transformer
from torch import Tensor

from textgan.encoders.contrast.losses import info_nce
from textgan.encoders.contrast.promptbert import PromptBERT
from textgan.encoders.templates import FIRST, SECOND, Template


@pytest.mark.parametrize("frozen", [False, True])
def test_promptberts_gradient_by_hand(frozen: bool) -> None:
    method = PromptBERT(transformer(), tokenizer(), frozen=frozen).double()
    value, _ = method.accumulate(batch())

    def view(template: Template) -> Tensor:
        state = template.state(method.words, batch().ids)
        alone = template.alone(method.words, torch.tensor([len(some) for some in batch().ids]))
        result: Tensor = method.head(state - (alone.detach() if frozen else alone))
        return result

    first, second = (Template.of(told, tokenizer()) for told in (FIRST, SECOND))
    expected = info_nce(view(first), view(second), TAU)
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)


def test_without_denoising_the_state_itself_is_contrasted() -> None:
    method = PromptBERT(transformer(), tokenizer(), denoise=False, head=False).double()
    template = Template.of(FIRST, tokenizer())
    expected = template.state(method.words, batch().ids)
    torch.testing.assert_close(method.view(method.first, batch()), expected)
    assert method.pooling == {"pooling": "mask", "template": FIRST}
