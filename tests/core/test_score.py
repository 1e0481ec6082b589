"""Scores as text, and tables of them."""

from scores import ROWS, score

from textgan.core.score import table_of


def test_the_narrow_table_says_which_way_is_better() -> None:
    made = table_of(ROWS).text(80)
    assert "BLEU-2 ↑" in made and "Self-BLEU-2 ≈" in made and "NLL_test ↓" in made
    assert "↑ higher is better" in made
    assert "nats per token" in made


def test_a_score_is_short() -> None:
    assert len(repr(score(0.5))) < 250
