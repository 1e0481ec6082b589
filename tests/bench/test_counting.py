"""What a part asks of torch, counted."""

import torch
from bench import CPU, TINY

from textgan.bench.counting import COUNTED, Count, count, count_parts
from textgan.bench.parts import PARTS, Sides
from textgan.bench.work import Work
from textgan.core.seeds import fork_rng


def test_counts_are_exact() -> None:
    torch.manual_seed(1)
    first = count_parts(CPU, setting=TINY)
    torch.manual_seed(2)
    torch.rand(3)
    assert count_parts(CPU, setting=TINY) == first
    assert [made.name for made in first] == list(PARTS)
    assert all(made.operators > 0 and made.bytes > 0 for made in first)
    (alone,) = count_parts(CPU, "float32", ["scoring"], TINY)
    assert alone in first
    assert [made.name for made in first if not made.flop] == ["bleu"]
    # the state that optimisers make in their first step is none of it
    with fork_rng(0, CPU):
        (work,) = Sides.make(TINY, CPU, "float32").work(10, 2, ["mle_epoch"])
        fresh, usual = count(work), count(work)
    assert usual in first and fresh.bytes > usual.bytes
    assert COUNTED.rollouts * COUNTED.batch * COUNTED.length > COUNTED.vocabulary / 2


def test_counting_sees_operators_and_new_memory() -> None:
    a, b = torch.rand(3, 4), torch.rand(4, 5)

    def do() -> None:
        c = a @ b  # 60 bytes, 120 FLOP
        c.add_(1)
        c.view(-1).t()
        torch.mm(a, b, out=c)

    work = Work("w", "x", 1, do, lambda: None)
    result = count(work)
    assert result == Count("w", result.operators, 2 * 120, 60)
    assert 4 <= result.operators <= 6  # t of a vector is an operator or is not
