"""Samples beside the training sentences that they are nearest to."""

import json
from pathlib import Path
from typing import Any

from pages import write_run

from textgan.evaluation.report import samples
from textgan.evaluation.report.page import make_page
from textgan.evaluation.report.runs import RunRecord, System
from textgan.evaluation.results import Evaluation


def of_examples(*examples: dict[str, Any]) -> list[dict[str, Any]]:
    """The examples of a method, as a page shows them."""
    name = "seqgan, last"
    evaluation = Evaluation({}, None, {}, [], {"examples": {name: list(examples)}})
    config = {"seed": 0, "objective": {"name": "seqgan"}}
    run = RunRecord("run", config, {}, None, [], evaluation, None)
    blocks = samples.examples([System(name, "seqgan", "method", 0, (run,))])
    [(_, aligned)] = blocks[0]["runs"]
    result: list[dict[str, Any]] = aligned
    return result


def test_a_copy_is_a_copy_whatever_is_between_its_words() -> None:
    [one, other] = of_examples(
        {"text": "the  cat sat", "nearest": "the cat sat", "share": 1.0},
        {"text": "the cat sat", "nearest": "the cat", "share": 0.999},
    )
    assert (one["copied"], one["share"]) == (True, "100 %")
    assert (other["copied"], other["share"]) == (False, "99 %"), "what is not whole is never 100 %"


def test_pieces_are_the_text_and_its_marks_what_both_have() -> None:
    [result] = of_examples({"text": "a b c d", "nearest": "x b c y", "share": 0.5})
    for side, text in (("text", "a b c d"), ("near", "x b c y")):
        assert "".join(piece for piece, _ in result[side]) == text
        assert [piece for piece, marked in result[side] if marked] == ["b c"]


def test_long_texts_are_cut_and_texts_without_a_neighbour_stay_alone() -> None:
    [long, alone] = of_examples(
        {"text": "w" * 601, "nearest": "w", "share": 0.1}, {"text": "v " * 400, "nearest": None}
    )
    assert sum(len(piece) for piece, _ in long["text"]) == 601  # the last is a dot
    assert alone["near"] is alone["share"] is None and not alone["copied"]
    [(piece, marked)] = alone["text"]
    assert len(piece) == 601 and piece.endswith("…") and not marked


def test_shared_runs_of_words_are_marked(tmp_path: Path) -> None:
    page = make_page([write_run(tmp_path / "run")])
    assert "<mark>a man rides a</mark> red bicycle" in page
    assert "<mark>a man rides a</mark> blue bicycle home" in page
    assert "62 %" in page
    (tmp_path / "run/evaluation.json").unlink()
    chinese = {"text": "春江花月夜", "nearest": "江花朝秋月夜", "share": 0.5}
    file = write_run(tmp_path / "other") / "evaluation.json"
    content = json.loads(file.read_text())
    content["facts"]["examples"] = {"seqgan, last": [chinese, {"text": "", "nearest": None}]}
    file.write_text(json.dumps(content))
    page = make_page([file.parent])
    assert "春<mark>江花</mark><mark>月夜</mark>" in page
    assert "(empty)" in page


def test_answers_have_their_source_above_and_their_reference_below(tmp_path: Path) -> None:
    answer = {"text": "i do", "nearest": "i do not", "share": 0.5}
    [one, other] = of_examples(answer | {"source": "who <b>?", "reference": "tom"}, answer)
    assert (one["source"], one["reference"]) == ("who <b>?", "tom")
    assert other["source"] is other["reference"] is None
    file = write_run(tmp_path / "run") / "evaluation.json"
    content = json.loads(file.read_text())
    content["facts"]["examples"] = {
        "seqgan, last": [answer | {"source": "who <b>?", "reference": ""}]
    }
    file.write_text(json.dumps(content))
    page = make_page([file.parent])
    source, text, reference = (
        page.index(one)
        for one in ("who &lt;b&gt;?", "<mark>i do</mark>", 'class="reference">(empty)')
    )
    assert source < text < reference
    assert "what people answered" in page
    assert "what people answered" not in make_page([write_run(tmp_path / "other")])
