"""The commands that evaluate, as a user meets them, stranger's files included."""

import json
import shutil
from pathlib import Path

import pytest
from toys import TOY, Cli, refused

import textgan


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    textgan.train("seqgan", out=home / "run", quiet=True, plot=False, **TOY)
    return home / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def references(tmp_path: Path) -> Path:
    path = tmp_path / "test.txt"
    path.write_text("".join(f"the cat {i % 7} sees the dog {i % 5} .\n" for i in range(30)))
    return path


def test_evaluating_a_run_prints_and_keeps(cli: Cli, run: Path) -> None:
    code, out, _ = cli("evaluate", run, "--metrics", "bleu,unique", "--samples", 40)
    assert code == 0
    assert "BLEU-4" in out and "seqgan, last" in out and "oracle" in out
    kept = json.loads((run / "evaluation.json").read_text())
    assert kept["facts"]["samples"] == 40
    code, out, _ = cli("evaluate", run, "--metrics", "bleu", "--samples", 40, "--json")
    assert json.loads(out)["rows"]["oracle"]["bleu4"]["signature"].startswith("bleu|n:4|cum|refs:")
    before = (run / "evaluation.json").read_bytes()
    code, out, _ = cli("evaluate", run, "--metrics", "likelihood", "--temperature", 0.5)
    assert code == 0 and "T=0.5" in out
    assert (run / "evaluation.json").read_bytes() == before  # another temperature is not kept


def test_a_run_and_its_mle_are_compared(cli: Cli, run: Path) -> None:
    cli("evaluate", run, "--metrics", "quick", "--samples", 40)
    code, out, _ = cli("compare", run)
    assert code == 0
    assert "difference" in out and "p (Holm)" in out
    code, out, _ = cli("compare", run, "--json")
    assert json.loads(out)["a"] == "MLE, best epoch"


def test_settings_reach_metrics(cli: Cli, tmp_path: Path, references: Path) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("the cat 1 sees the dog 2 .\nthe dog .\n" * 10)
    arguments = ("evaluate", samples, "--references", references, "--metrics", "bleu", "--json")
    rows = json.loads(cli(*arguments)[1])["rows"]
    assert "bleu5" in rows["samples.txt"]
    rows = json.loads(cli(*arguments, "--set", "bleu.largest=3", "--resamplings", 0)[1])["rows"]
    assert "bleu3" in rows["samples.txt"] and "bleu4" not in rows["samples.txt"]
    assert rows["samples.txt"]["bleu3"]["low"] is None


AWKWARD = {
    "one": "a sentence .\n",
    "no end of line": "one\ntwo",
    "empty lines": "\nthe cat 1\n\n\n",
    "one word each": "cat\n" * 40,
    "all the same": "the cat 1 sees the dog 1 .\n" * 40,
    "nothing known": "".join(f"x{i} y{i}\n" for i in range(40)),
    "unicode": "春江花月夜\n🙂 🙂 é e\u0301 \u202eabc\n\u2028 \u0085 x\n" * 15,
    "markup": "<script>alert(1)</script> &amp; '\"\n" * 20,
    "long": "word " * 15_000 + "\n" + "the cat\n" * 30,
    "one long word": "w" * 100_000 + "\n",
    "control": "a\x1b[31mred\x07 b\n" * 20,
    "carriage returns": "the cat 1\r\nthe dog\rsees\r\n" * 10,
}


@pytest.mark.parametrize("name", AWKWARD)
def test_any_text_is_judged(cli: Cli, tmp_path: Path, references: Path, name: str) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_bytes(AWKWARD[name].encode())
    for told in (("--train", references), ("--tokenizer", "char")):
        code, out, err = cli(
            "evaluate", samples, "--references", references, *told,
            "--metrics", "quick", "--resamplings", 20, "--json",
        )  # fmt: skip
        assert code == 0, err
        result = json.loads(out, parse_constant=lambda constant: pytest.fail(constant))
        scores = result["rows"]["samples.txt"]
        assert {"bleu2", "length"} <= scores.keys()
        for about in scores.values():
            if about["low"] is not None:
                assert about["low"] <= about["value"] <= about["high"]
        assert "Traceback" not in err


def test_empty_lines_score_nothing_and_are_reported(
    cli: Cli, tmp_path: Path, references: Path
) -> None:
    whole, gaps = tmp_path / "whole.txt", tmp_path / "gaps.txt"
    whole.write_text("the cat 1 likes the dog 1 .\n" * 4)
    gaps.write_text("the cat 1 likes the dog 1 .\n\n" * 4)
    arguments = ("--references", references, "--metrics", "bleu", "--json")
    result = json.loads(cli("evaluate", whole, gaps, *arguments)[1])
    scores = [result["rows"][f"{name}.txt"]["bleu2"]["value"] for name in ("whole", "gaps")]
    assert scores[1] == pytest.approx(scores[0] / 2, abs=1e-12)
    assert result["warnings"][0] == "gaps.txt: 4 of 8 lines are empty; they score 0"


def test_what_cannot_be_judged_is_refused_in_one_line(
    cli: Cli, tmp_path: Path, references: Path, run: Path
) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("the cat\n")
    empty, binary, wrong = (tmp_path / f"{name}.txt" for name in ("empty", "binary", "wrong"))
    empty.write_text("")
    binary.write_bytes(b"a\0b\n")
    wrong.write_bytes(b"caf\xe9\n")
    ask = ("evaluate", samples, "--references", references)
    assert "is empty" in refused(cli, "evaluate", empty, "--references", references)
    assert "is empty" in refused(cli, "evaluate", samples, "--references", empty)
    assert "zero bytes" in refused(cli, "evaluate", binary, "--references", references)
    assert "not UTF-8 in line 1" in refused(cli, *ask, "--train", wrong)
    assert "'gone.txt' does not exist" in refused(cli, "evaluate", "gone.txt")
    assert "there is no such file" in refused(cli, "evaluate", samples, "--references", "gone.txt")
    assert "give --references FILE" in refused(cli, "evaluate", samples)
    assert "tokenizer = 'spacy'" in refused(cli, *ask, "--tokenizer", "spacy")
    assert "did you mean 'bleu'" in refused(cli, *ask, "--metrics", "blue")
    assert "at least one name" in refused(cli, *ask, "--metrics", " , ")
    assert "not of the form" in refused(cli, *ask, "--metrics", "bleu", "--set", "bleu.largest")
    odd = ("--metrics", "bleu", "--set", "bleu.largest=x")
    assert "bleu.largest = 'x'" in refused(cli, *ask, *odd)
    assert "needs" in refused(cli, *ask, "--metrics", "likelihood")
    assert "needs" in refused(cli, *ask, "--metrics", "self_bleu")
    assert "temperature = nan" in refused(cli, "evaluate", run, "--temperature", "nan")
    assert "is not a run" in refused(cli, "evaluate", tmp_path)
    assert "is not a run" in refused(cli, "compare", tmp_path)
    assert "is not a run" in refused(cli, "curve", tmp_path)
    assert "is not a run" in refused(cli, "report", tmp_path)
    assert "'x' is not a number" in refused(cli, "curve", run, "--temperatures", "1,x")
    assert "the same settings and seed" in refused(cli, "compare", run, run)


def test_a_hostile_file_of_metrics_is_a_sentence(
    cli: Cli, tmp_path: Path, references: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: pass\n")
    ask = ("evaluate", references, "--references", references, "--metrics")
    assert "does not derive from Metric" in refused(cli, *ask, f"{mine}:Mine")
    mine.with_name("other.py").write_text("1 / 0\n")
    assert "does not import" in refused(cli, *ask, f"{mine.with_name('other.py')}:Mine")


def test_metrics_are_listed_with_their_settings(cli: Cli) -> None:
    out = cli("list")[1]
    assert "metrics\n" in out and "bleu.largest = 5" in out
    listed = json.loads(cli("list", "--json")[1])
    assert listed["metric"]["mauve"]["paper"]


def test_a_curve_is_drawn_and_a_report_written(cli: Cli, run: Path, tmp_path: Path) -> None:
    code, out, err = cli(
        "curve", run, "--temperatures", "1.2,0.7", "--metrics", "likelihood,bleu,self_bleu",
        "--samples", 40,
    )  # fmt: skip
    assert code == 0, err
    assert "T = 1.2" in out and "at equal" in out
    kept = json.loads((run / "curve.json").read_text())
    assert kept["temperatures"] == [1.2, 0.7]
    cli("evaluate", run, "--metrics", "quick", "--samples", 40)
    page = tmp_path / "pages/report.html"
    code, out, err = cli("report", run, "--out", page)
    assert code == 0, err
    assert str(page) in out
    assert "BLEU-4" in page.read_text("utf-8")


def test_a_report_measures_what_is_missing(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textgan.evaluation import evaluate

    really = evaluate.evaluate

    def quick(*targets: object, **settings: object) -> object:
        return really(*targets, **settings | {"metrics": ["bleu"], "samples": 40})  # type: ignore

    monkeypatch.setattr("textgan.evaluation.temperature_sweep.evaluate", quick)
    monkeypatch.setattr("textgan.evaluation.temperature_sweep.TEMPERATURES", (1.0, 0.5))
    code, _, err = cli("report", run)
    assert code == 0, err
    assert (run / "evaluation.json").is_file() and (run / "curve.json").is_file()
    page = (run / "report.html").read_text("utf-8")
    (run / "evaluation.json").unlink()
    assert cli("report", run, "--no-measure")[0] == 0
    assert not (run / "evaluation.json").exists()
    assert "textgan evaluate" in (run / "report.html").read_text("utf-8")
    assert "textgan evaluate" not in page


def test_evaluate_as_json(cli: Cli, finished: Path) -> None:
    code, out, _ = cli("evaluate", finished, "--json", "--samples", 100, "--metrics", "likelihood")
    result = json.loads(out)
    assert code == 0
    assert result["facts"]["samples"] == 100
    last = result["rows"]["seqgan, last"]
    assert last["nll_test"]["low"] < last["nll_test"]["value"] < last["nll_test"]["high"]
    assert "nll_oracle" not in last  # there is no oracle of the user's language


def test_files_that_answer_sources_are_evaluated_and_compared(cli: Cli, tmp_path: Path) -> None:
    words = {"source": "what is", "people": "it is", "one": "this is", "two": "it is"}
    for name, word in words.items():
        lines = "".join(f"{word} number {i} of {i % 7} ?\n" for i in range(30))
        (tmp_path / name).write_text(lines)
    one, two = tmp_path / "one", tmp_path / "two"
    given = ("--source", tmp_path / "source", "--references", tmp_path / "people")
    code, out, err = cli("evaluate", one, *given, "--metrics", "sacrebleu,ter,commonest")
    assert code == 0, err
    assert "sacreBLEU" in out and "TER" in out and "Commonest 10" in out
    code, out, err = cli("compare", one, two, *given, "--metrics", "ter", "--json")
    assert code == 0, err
    assert json.loads(out)["differences"]["ter"]["winner"] == "b"
    message = refused(cli, "evaluate", one, *given, "--decode", "greedy")
    assert "--decode are for a run's folder" in message
