"""Random numbers from a seed move nobody else's."""

import pytest
import torch

from textgan.core.seeds import draw_seed, fork_rng, random_state, set_random_state

CPU = torch.device("cpu")


def test_inside_are_the_numbers_of_the_seed_and_outside_nothing_moved() -> None:
    torch.manual_seed(3)
    of_seed = torch.rand(4)
    torch.manual_seed(8)
    before = torch.get_rng_state()
    with fork_rng(3, CPU):
        assert torch.equal(torch.rand(4), of_seed)
        with fork_rng(5, CPU):
            torch.rand(9)
        assert not torch.equal(torch.rand(4), of_seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_leaves_nothing_moved_either() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), fork_rng(3, CPU):
        torch.rand(2) @ torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_are_drawn_from_the_stream_as_it_is() -> None:
    torch.manual_seed(1)
    first, second = draw_seed(), draw_seed()
    assert first != second and all(0 <= seed < 2**62 for seed in (first, second))
    torch.manual_seed(1)
    assert (draw_seed(), draw_seed()) == (first, second)


def test_a_stream_goes_back_to_where_it_was() -> None:
    torch.rand(5)
    state = random_state(CPU)
    drawn = torch.rand(7)
    torch.rand(2)
    set_random_state(state, CPU)
    assert torch.equal(torch.rand(7), drawn)
