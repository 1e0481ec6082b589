"""Batches: every item once a pass, as a function of its number; and those of similar sizes."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from textgan.data.batches import POOL, Batches, batches, by_size
from textgan.data.text import Text

streams = st.builds(Batches, st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**31))


@given(streams)
def test_each_pass_visits_every_item_once(stream: Batches) -> None:
    passes = stream.size  # then the last batch ends with a pass
    items = torch.cat([stream[i] for i in range(stream.n)])
    assert items.shape == (passes * stream.n,)
    for order in items.view(passes, stream.n):
        assert sorted(order.tolist()) == list(range(stream.n))


@given(streams, st.lists(st.integers(0, 40), max_size=10))
def test_a_batch_does_not_depend_on_those_before_it(stream: Batches, jumps: list[int]) -> None:
    fresh = Batches(stream.n, stream.size, stream.seed)
    sequence = [fresh[i].tolist() for i in range(41)]
    for i in jumps:
        assert stream[i].tolist() == sequence[i]


def test_batches_straddle_passes() -> None:
    stream = Batches(5, 3, 0)
    assert [len(stream[i]) for i in range(5)] == [3] * 5
    second = stream[1].tolist()
    first_pass = {*stream[0].tolist(), *second[:2]}
    assert first_pass == set(range(5))
    assert len({second[2], *stream[2].tolist(), stream[3].tolist()[0]}) == 5


def test_batches_may_be_larger_than_the_data() -> None:
    batch = Batches(3, 7, 0)[2]
    assert len(batch) == 7
    assert set(batch.tolist()) == {0, 1, 2}


def test_orders_differ_between_passes_and_seeds() -> None:
    one, same, near = Batches(50, 50, 4), Batches(50, 50, 4), Batches(50, 50, 5)
    assert torch.equal(one[3], same[3])
    orders = [stream[i].tolist() for stream in (one, near) for i in range(5)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    # neither does one pass or seed repeat a part of another
    agreements = [
        sum(x == y for x, y in zip(a, b, strict=True))
        for i, a in enumerate(orders)
        for b in orders[:i]
    ]
    assert max(agreements) < 10


def test_batches_disturb_no_random_numbers() -> None:
    before = torch.get_rng_state()
    assert len(Batches(5, 3, 0)[9]) == 3
    assert torch.equal(torch.get_rng_state(), before)


def test_texts_of_similar_sizes_are_read_together() -> None:
    text = Text.full(torch.zeros(10, 6, dtype=torch.long))
    text = Text(text.tokens, torch.tensor([5, 1, 4, 1, 5, 6, 2, 2, 3, 1]))
    pieces = by_size(text, at_once=4)
    assert [piece.tolist() for piece in pieces] == [[1, 3, 9, 6], [7, 8, 2, 0], [4, 5]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 9))
def test_one_pass_is_of_every_text_once_and_of_similar_sizes(sizes: list[int], batch: int) -> None:
    made = batches(torch.tensor(sizes), batch)
    assert sorted(torch.cat(made).tolist()) == list(range(len(sizes)))
    # of each pool all but the last batch are whole
    assert sum(len(part) < batch for part in made) <= -(-len(sizes) // (POOL * batch))
    assert all(len(part) <= batch for part in made)
    if len(sizes) <= POOL * batch:  # one pool: batches do not overlap in sizes
        spans = sorted((min(of), max(of)) for part in made for of in [[sizes[i] for i in part]])
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
