import pytest
import torch
from torch import Tensor
from worlds import FIXED, agree, same, small_generator

from textgan.models import sampling
from textgan.models.sampling import (
    BLOCK,
    Categorical,
    draw,
    greedy,
    gumbel,
    pick_in_blocks,
    softmax,
    without,
)

TYPES = [torch.float32, torch.float64]


def drawn(logits: Tensor, rows: int, repeats: int = 1) -> Tensor:
    """How often `draw` gives each token of one row of logits, in rows * repeats draws."""
    total = torch.zeros(len(logits), dtype=torch.long)
    for _ in range(repeats):
        tokens = draw(logits.expand(rows, -1))
        assert tokens.shape == (rows,)
        total += torch.bincount(tokens, minlength=len(logits))
    return total


@pytest.mark.parametrize("kind", TYPES)
def test_draws_of_a_small_vocabulary_have_the_right_frequencies(kind: torch.dtype) -> None:
    logits = torch.tensor([0.3, -2.0, 1.7, 0.0, -0.4, 2.2, 1.0], dtype=kind)
    assert agree(drawn(logits, 200_000), logits.double().softmax(0))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("vocabulary", [200, 201, 1000, 1037])
def test_draws_in_two_levels_have_the_right_frequencies(vocabulary: int, kind: torch.dtype) -> None:
    # the last tokens, which may stand in a block that is not whole, are the likeliest ones
    logits = torch.randn(vocabulary, dtype=kind) + torch.linspace(-1, 1, vocabulary)
    assert agree(drawn(logits, 4000, repeats=15), logits.double().softmax(0))


def test_every_row_is_drawn_from_its_own_distribution() -> None:
    logits = torch.randn(5, 300)
    tokens = torch.stack([draw(logits) for _ in range(4000)])
    for row in range(5):
        counts = torch.bincount(tokens[:, row], minlength=300)
        assert agree(counts, logits[row].double().softmax(0))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("never", [-torch.inf, -1e9])
@pytest.mark.parametrize("vocabulary", [7, 350, 400])
def test_an_impossible_token_is_never_drawn(
    vocabulary: int, never: float, kind: torch.dtype
) -> None:
    logits = torch.randn(vocabulary, dtype=kind)
    possible = torch.rand(vocabulary) < 0.5
    possible[[0, -1]] = False  # the ends are where an off-by-one shows
    possible[3] = True
    logits[~possible] = never
    counts = drawn(logits, 5000, repeats=4)
    assert counts.sum() == 20_000
    assert not counts[~possible].any()
    assert counts[possible].sum() == 20_000


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("place", [0, 1, 6, 99, 100, 348, 349])
def test_extreme_logits_leave_one_choice(place: int, kind: torch.dtype) -> None:
    logits = torch.full((350,), -1e4, dtype=kind)
    logits[place] = 1e4
    assert drawn(logits, 2000)[place] == 2000
    few = torch.full((7,), -1e4, dtype=kind)
    few[place % 7] = 1e4
    assert drawn(few, 2000)[place % 7] == 2000


@pytest.mark.parametrize("kind", TYPES)
def test_the_largest_random_number_chooses_the_last_possible_token(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = torch.nextafter(torch.ones((), dtype=kind), torch.zeros((), dtype=kind))
    monkeypatch.setattr(
        sampling.torch, "rand", lambda rows, columns, **_: largest.expand(rows, columns)
    )
    for vocabulary in (5, 250, 5000):
        logits = torch.randn(vocabulary, dtype=kind)
        logits[-2:] = -torch.inf
        assert draw(logits.expand(3, -1)).tolist() == [vocabulary - 3] * 3


def test_the_smallest_random_number_chooses_the_first_possible_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        sampling.torch, "rand", lambda rows, columns, **_: torch.zeros(rows, columns)
    )
    for vocabulary in (5, 250, 5000):
        logits = torch.zeros(vocabulary)
        logits[:2] = -torch.inf
        assert draw(logits.expand(3, -1)).tolist() == [2, 2, 2]


def test_evenly_spread_random_numbers_are_shared_out_exactly() -> None:
    weights = torch.tensor([[1.0, 0.0, 2.0, 4.0, 1.0]]).expand(800, -1)
    uniform = ((torch.arange(800) + 0.5) / 800).unsqueeze(1)
    counts = torch.bincount(sampling.invert(weights, uniform)[0].squeeze(1), minlength=5)
    assert counts.tolist() == [100, 0, 200, 400, 100]


@pytest.mark.parametrize("kind", TYPES)
def test_a_random_number_rounded_up_to_one_chooses_what_is_possible(kind: torch.dtype) -> None:
    weights = torch.tensor([[0.0, 2.0, 1.0, 0.0]], dtype=kind)
    result, total = sampling.invert(weights, torch.ones(1, 1, dtype=kind))
    assert (result.item(), total.item()) == (2, 3)


@pytest.mark.parametrize("vocabulary", [7, 1037])
def test_the_same_seed_draws_the_same(vocabulary: int) -> None:
    logits = torch.randn(50, vocabulary)
    torch.manual_seed(5)
    first, second = draw(logits), draw(logits)
    torch.manual_seed(5)
    assert torch.equal(draw(logits), first)
    assert torch.equal(draw(logits), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("vocabulary", [7, 1037])
def test_drawing_leaves_the_logits_as_they_are(vocabulary: int) -> None:
    logits = torch.randn(5, vocabulary)
    before = logits.clone()
    for choose in (draw, Categorical(0.5), without(2, draw), greedy, softmax):
        choose(logits)
        assert torch.equal(logits, before)


def test_greedy_takes_the_likeliest_and_softmax_takes_all() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 1.9]])
    assert greedy(logits).tolist() == [1, 0]
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    assert torch.allclose(softmax(logits), expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_sharpens_or_flattens(temperature: float) -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0], dtype=torch.float64)
    tokens = Categorical(temperature)(logits.expand(100_000, -1))
    counts = torch.bincount(tokens, minlength=4)
    assert agree(counts, (logits / temperature).softmax(0))
    assert not agree(counts, (logits / (1.2 * temperature)).softmax(0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"temperature must be positive, got {temperature}"):
        Categorical(temperature)


def test_a_forbidden_token_leaves_the_others_in_proportion() -> None:
    logits = torch.tensor([1.0, 0.0, 3.0, 0.5], dtype=torch.float64)
    chances = logits.softmax(0)
    chances[2] = 0
    chances = chances / chances.sum()
    counts = torch.bincount(without(2, Categorical())(logits.expand(50_000, -1)), minlength=4)
    assert agree(counts, chances)
    assert without(2, greedy)(logits[None]).tolist() == [0]
    assert same(without(2, softmax)(logits[None]), chances[None])


@pytest.mark.parametrize("choose", [greedy, softmax])
def test_picking_in_blocks_changes_nothing(choose: sampling.Sampler) -> None:
    generator, rows = small_generator(FIXED, layers=2), []

    def logits(hidden: Tensor) -> Tensor:
        rows.append(len(hidden))
        return generator.logits(hidden)

    hidden, _ = generator.read(torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 0, 2]), generator.start(10))
    whole = pick_in_blocks(logits, choose, FIXED.vocabulary)(hidden)
    assert rows == [10]
    # a vocabulary of which three rows of logits fill a block
    pieces = pick_in_blocks(logits, choose, BLOCK // 3)(hidden)
    assert rows == [10, 3, 3, 3, 1]
    assert same(whole.double(), pieces.double())
    # and one larger than a block
    pick_in_blocks(logits, greedy, 2 * BLOCK)(hidden[:3])
    assert rows[5:] == [1, 1, 1]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_gumbel_rows_are_distributions_whose_likeliest_words_are_draws(
    kind: torch.dtype, temperature: float
) -> None:
    logits = torch.tensor([0.3, -2.0, 1.7, -1e9, -0.4, 2.2], dtype=kind)
    rows = gumbel(temperature)(logits.expand(100_000, -1))
    assert same(rows.double().sum(1), torch.ones(100_000, dtype=torch.float64), 1e-5)
    assert not rows[:, 3].any()  # what may not be written
    counts = torch.bincount(rows.argmax(1), minlength=6)
    assert agree(counts, logits.double().softmax(0))


def test_cold_gumbel_rows_are_nearly_one_hot_and_hot_ones_flat() -> None:
    logits = torch.zeros(2000, 4)
    assert gumbel(0.001)(logits).amax(1).mean() > 0.99
    assert gumbel(1000.0)(logits).amax(1).mean() < 0.26
    for temperature in (0.0, -1.0):
        with pytest.raises(ValueError, match="temperature must be positive"):
            gumbel(temperature)
