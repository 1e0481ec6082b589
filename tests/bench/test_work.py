"""Work of the two sides."""

import torch

from textgan.bench.work import plainly
from textgan.core.precision import factor_type, precision


def test_the_textbook_s_work_is_float32_whatever_our_precision() -> None:
    cpu = torch.device("cpu")
    with precision("bf16", cpu):
        assert factor_type(torch.zeros(1)) == torch.bfloat16
        assert plainly(lambda: factor_type(torch.zeros(1)), cpu)() == torch.float32
        assert factor_type(torch.zeros(1)) == torch.bfloat16
