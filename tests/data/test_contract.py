"""What functions may do to texts, and what texts they must return."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parts import ONE, WritePart
from toys import Cli, refused, toy_text

from textgan.core.errors import UserError
from textgan.data.contract import checked_text, unchanged
from textgan.data.text import Condition, Text, TextSpace

SPACE = TextSpace(5, 4, eos=1)
REAL = Text.ended(torch.tensor([[3, 1, 0, 0], [2, 3, 4, 2]]), SPACE)


def test_fakes_answer_real_texts_of_their_class(
    write_part: WritePart, cli: Cli, tmp_path: Path
) -> None:
    lines = toy_text(tmp_path).read_text().splitlines()
    labelled = [f"{'good' if i % 2 else 'bad'}\t{line}" for i, line in enumerate(lines)]
    Path("toy.tsv").write_text("\n".join(labelled) + "\n")
    arguments = ["--data", "toy.tsv", *(pair for pair in ONE if not pair.startswith("oracle."))]
    write_part("")
    assert cli("train", "mine.py:Mine", "--out", "run", *arguments)[0] == 0
    write_part("def sample(self, generator, real, progress): return generator.sample(len(real))",
          name="blind.py")  # fmt: skip
    assert "condition=real.condition" in refused(
        cli, "train", "blind.py:Mine", "--out", "no", *arguments
    )


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None; expected a Text"),
        (REAL[:1], "tokens of shape (1, 4); expected 2 texts"),
        (Text(REAL.tokens[:, :2], torch.tensor([2, 2])), "texts of 2 positions; expected 4"),
        (Text(REAL.tokens.int(), REAL.lengths), "tokens of torch.int32"),
        (Text(REAL.tokens, REAL.lengths.int()), "lengths of torch.int32"),
        (Text(REAL.tokens + 3, REAL.lengths), "tokens from 3 to 7; expected 0 to 4"),
        (Text(REAL.tokens, torch.tensor([0, 4])), "lengths that do not fit its tokens"),
        (Text(REAL.tokens, torch.tensor([2, 3])), "padding, 0, after the end of a text"),
        (Text(REAL.tokens, torch.tensor([3, 4])), "the first end token, 1"),
        (Text(REAL.tokens, REAL.lengths, torch.zeros(2, 4, 3)), "soft tokens of shape (2, 4, 3)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_answer_to_real_texts_is_refused(returned: object, words: str) -> None:
    with pytest.raises(UserError, match=f"^Mine.sample .*{re.escape(words)}"):
        checked_text(returned, "Mine.sample", REAL, SPACE)


def test_answers_are_given_back_as_they_are() -> None:
    rows = torch.full((2, 4, 5), 0.2)
    relaxed = Text(REAL.tokens, REAL.lengths, rows)
    for text in (REAL, relaxed):
        assert checked_text(text, "Mine.sample", REAL, SPACE) is text
    space = replace(SPACE, classes=2)
    labelled = replace(REAL, condition=Condition(torch.tensor([0, 1])))
    assert checked_text(labelled, "Mine.sample", labelled, space) is labelled
    for condition in (Condition(), Condition(torch.tensor([1, 1]))):
        with pytest.raises(UserError, match=r"condition=real\.condition"):
            checked_text(replace(REAL, condition=condition), "Mine.sample", labelled, space)


def test_what_a_function_changes_is_named() -> None:
    network, text = torch.nn.Linear(2, 1), REAL[:]
    parts = {"generator": network, "discriminator": None}
    with unchanged("f", parts, {"real": text}):
        network(torch.ones(2)).backward()  # gradients are no change
    with (
        pytest.raises(UserError, match=r"f changed the weight generator\.bias; only optimisers"),
        unchanged("f", parts, {"real": text}),
    ):
        network.bias.data.add_(1)
    with (
        pytest.raises(UserError, match=r"f changed real\.tokens in place"),
        unchanged("f", parts, {"real": Text(text.tokens, text.lengths)}),
    ):
        text.tokens[0, 0] = 2
