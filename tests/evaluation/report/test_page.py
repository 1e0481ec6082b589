"""The page: all that the folders hold, nothing that the reader should not see, in any browser."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from textgan.core.errors import UserError
from textgan.core.format import format_interval
from textgan.core.score import scores_from_dict
from textgan.core.statistics import over_seeds
from textgan.evaluation.report.charts import TICK, WIDTH
from textgan.evaluation.report.page import make_page, write_report
from textgan.evaluation.tradeoff import PAIRS, Curve, compare_curves, describe, mean_curve
from textgan.training.config import make_config

HOSTILE = "</script></title><b onload='x'>\"&amp; {{ 7*7 }} שלום 春江花月夜 " + "w" * 300
VOID = {"meta", "br", "hr", "img", "input", "link"}
MLE = "MLE, best epoch (3 of 4)"
ELSEWHERE = "/secret/place"


def score(value: float, title: str, better: str = "lower", half: float = 0.05) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - half,
        "high": value + half,
        "title": title,
        "better": better,
        "unit": "nats per token" if "NLL" in title else "",
        "signature": f"{title.lower()}|hyps:100|v:0.1.0",
    }


def scores(quality: float, coverage: float) -> dict[str, Any]:
    return {
        "nll_oracle": score(quality, "NLL_oracle"),
        "nll_test": score(coverage, "NLL_test"),
        "self_bleu4": score(1 / quality, "Self-BLEU-4"),
        "bleu4": score(1.5 / quality, "BLEU-4", "higher"),
        "length": score(20 + quality / 100, "length", "like real text", half=0.001),
    }


def write_run(
    folder: Path,
    objective: str = "seqgan",
    seed: int = 0,
    quality: float = 4.0,
    *,
    settings: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    text: str = "a man rides a red bicycle",
    warning: str = "collapse of this run",
) -> Path:
    """A finished run's folder as far as a report reads it."""
    folder.mkdir(parents=True)
    config = json.loads(make_config(objective, {"seed": seed, **(settings or {})}).to_json())
    last = f"{objective}, last"

    def estimate(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    near = {"text": text, "nearest": "a man rides a blue bicycle home", "share": 0.62}
    copied = {"text": "the cat sat", "nearest": "the cat sat", "share": 1.0}
    examples = {MLE: [near] * 7, last: [near, copied]}
    heats = [1.25, 1.0, 0.5]

    def at_heat(quality: float, coverage: float, heat: float) -> dict[str, Any]:
        found = scores(quality * heat, coverage / heat)
        found["nll_test"]["title"] += "" if heat == 1 else f" at T={heat}"
        return {"temperature": heat, "scores": found}

    files: dict[str, Any] = {
        "config.json": config,
        "run.json": {
            "textgan": "0.1.0",
            "started": "2026-01-02T03:04:05+0000",
            "command": ["__main__.py", "train", objective, "--out", f"{ELSEWHERE}/x", "a=/b/c.txt"],
            "torch": "2.13.0",
            "python": "3.11.7",
            "machine": "Linux x86_64",
            "data": {"source": "LSTM", "split": {"train": 100}, "oracle_entropy": 2.4},
        },
        "results.json": {
            "rows": {
                "oracle": {"nll_oracle": estimate(2.4), "nll_test": estimate(2.4)},
                "random tokens": {"nll_oracle": estimate(7.1)},
                MLE: {"nll_oracle": estimate(4.5), "nll_test": estimate(3.2)},
                last: {"nll_oracle": estimate(quality), "nll_test": estimate(3.3)},
            },
            "warnings": [f"at the end, {warning}"],
            "alarms": [f"round 2: {warning}"],
            "samples": 100,
        },
        "evaluation.json": {
            "textgan": "0.1.0",
            "rows": {
                "real text": scores(2.4, 2.4),
                MLE: scores(4.5 + seed / 100, 3.2),
                last: scores(quality, 3.3),
            },
            "real": "real text",
            "unavailable": {"chrf": "needs aligned references"},
            "warnings": [f"{last}: memorised, {warning}"],
            "facts": {"samples": 100, "temperature": 1.0, "seconds": 7.0, "examples": examples},
        },
        "curve.json": {
            "textgan": "0.1.0",
            "temperatures": heats,
            "rows": {
                last: [at_heat(quality, 3.3, t) for t in heats],
                MLE: [at_heat(4.5, 3.2, t) for t in heats],
            },
            "real": {"row": "real text", "scores": scores(2.4, 2.4)},
            "findings": [],
            "facts": {"seconds": 9.0},
        },
    }  # fmt: skip
    for name, content in files.items():
        if name not in without:
            (folder / name).write_text(json.dumps(content))
    phases = ["mle"] * 4 + ["discriminator"] + ["adversarial"] * 5
    records = [
        {
            "phase": phase,
            "number": i,
            "tick": i + 1,
            **({"discriminator/accuracy_held_out": 0.6} if phase == "adversarial" else {}),
            **({"eval/nll_oracle": 6 - i / 5} if phase != "discriminator" else {}),
        }
        for i, phase in enumerate(phases)
    ]
    if "metrics.jsonl" not in without:
        (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


class Nesting(HTMLParser):
    """Fails where a tag is closed that was not the last one open; keeps what a reader reads."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.read: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.read.append(data)


def parsed(page: str) -> Nesting:
    parser = Nesting()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def read(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(parsed(page).read))


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """One seed of MaliGAN, two of SeqGAN."""
    return [
        write_run(tmp_path / "seqgan-0", seed=0, quality=4.0),
        write_run(tmp_path / "seqgan-1", seed=1, quality=4.2),
        write_run(tmp_path / "maligan-0", "maligan", quality=3.0, warning="another"),
    ]


def test_the_page_is_one_whole_file(three: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er" / "report.html"
    write_report(three, out)
    page = out.read_text("utf-8")
    assert page == make_page(three)
    told = parsed(page)
    assert "script" not in told.tags and "link" not in told.tags and "img" not in told.tags
    names = {name for _, name, _ in told.attributes}
    assert not names & {"src", "href", "srcset", "data", "action", "background", "style"}
    assert not [name for name in names if name.startswith("on")]
    for outside in ("http:", "https:", "url(", "@import", "//"):
        assert outside not in page
    assert "default-src 'none'" in page
    assert str(tmp_path) not in page and ELSEWHERE not in page and "/b/c" not in page
    assert "textgan train seqgan --out x a=c.txt" in read(page)


def test_everything_in_the_folders_is_told(three: list[Path]) -> None:
    page = make_page(three)
    words = read(page)
    for folder in three:
        assert folder.name in words
        found = json.loads((folder / "evaluation.json").read_text())
        for row in found["rows"].values():
            for one in row.values():
                assert one["title"] in words
                assert one["signature"] in words
        told = json.loads((folder / "results.json").read_text())["warnings"]
        told += json.loads((folder / "results.json").read_text())["alarms"]
        told += [*found["warnings"], *found["unavailable"].values()]
        for sentence in told:
            assert sentence in words
    for row in ("real text", "MLE, best epoch", "seqgan, last", "maligan, last"):
        assert f"<bdi>{row}</bdi>" in page
    for setting in ("schedule.rounds", "objective.rollouts", "discriminator.dropout"):
        assert f"<dt>{setting}</dt>" in page
    assert "a blue bicycle home" in re.sub("</?mark>", "", page)
    assert words.count("exact copy") == 3
    # warnings come before any number of a table
    assert page.index("memorised, collapse of this run") < page.index("<table")
    # what the curves say stands below their chart
    charts = re.findall(r"<figcaption>([^<]*)(.*?)</figure>", page, flags=re.DOTALL)
    below = dict(charts)
    assert "at equal NLL_test" in below["NLL_oracle against NLL_test"]
    assert "at equal Self-BLEU-4" in below["BLEU-4 against Self-BLEU-4"]
    assert len(charts) == 4
    assert "entropy of the oracle" in below["NLL_oracle: quality"]
    assert "MLE ends" in below["NLL_oracle: quality"]


def test_where_curves_differ_is_said_over_all_seeds(three: list[Path]) -> None:
    words = read(make_page(three))
    pair = next(one for one in PAIRS if one.x.key == "nll_test")
    by_run = {folder.name: json.loads((folder / "curve.json").read_text()) for folder in three}

    def curve(name: str, row: str, *runs: str) -> Curve:
        of_seeds = []
        for run in runs:
            steps = {
                step["temperature"]: scores_from_dict(step["scores"])
                for step in by_run[run]["rows"][row]
            }
            of_seeds.append(Curve.of(name, pair, steps))
        return mean_curve(of_seeds)

    seqgan = curve("seqgan", "seqgan, last", "seqgan-0", "seqgan-1")
    maligan = curve("maligan", "maligan, last", "maligan-0")
    assert describe(compare_curves(seqgan, maligan)) in words
    mle = curve("MLE (best epoch)", MLE, "seqgan-0", "seqgan-1")
    for method in (seqgan, maligan):
        assert describe(compare_curves(mle, method)) in words


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


def cells(page: str, title: str, table: int = 0) -> list[str]:
    """The cells of a metric's line, as they are read."""
    body = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)[table]
    (line,) = [
        row
        for row in re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
        if re.search(rf'<th scope="row"[^>]*>{title}<', row)
    ]
    found = re.findall(r"<td[^>]*>(.*?)</td>", line, flags=re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in found]


def test_seeds_of_one_method_are_one_column(three: list[Path]) -> None:
    page = make_page(three)
    mean = over_seeds([4.0, 4.2])
    mle = over_seeds([4.5, 4.51])  # seed 0 of SeqGAN and of MaliGAN had one and the same MLE
    real, of_mle, of_seqgan, of_maligan = cells(page, "NLL_oracle")
    assert real == "2.400 [2.350, 2.450]"
    assert of_mle == f"4.505 {format_interval(mle)}"
    assert of_seqgan == f"4.100 {format_interval(mean)}"
    assert of_maligan == "3.000 [2.950, 3.050]"  # two seeds leave a wide interval
    assert cells(page, "NLL_oracle", 2)[2:] == [
        "4.000 [3.950, 4.050]", "4.200 [4.150, 4.250]", "3.000 [2.950, 3.050]",
    ]  # fmt: skip
    assert "2 seeds" in page and "seed 0" in page


def test_a_seed_counts_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run-{i}", seed=0, quality=4 + i) for i in range(2)]
    page = make_page(runs)
    assert cells(page, "NLL_oracle")[2] == "4.000 best [3.950, 4.050]"
    assert "run-1 has the settings and the seed of run-0" in read(page)
    assert make_page([runs[0], runs[0]]) == make_page(runs[:1])


def test_runs_told_differently_are_two_methods(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", quality=4.0),
        write_run(tmp_path / "b", quality=3.0, settings={"objective.rollouts": 7}),
    ]
    page = make_page(runs)
    assert "seqgan (rollouts 16), last" in page and "seqgan (rollouts 7), last" in page
    assert len(cells(page, "NLL_oracle")) == 4  # and one MLE
    other = write_run(tmp_path / "c", settings={"generator.hidden": 99})
    page = make_page([runs[0], other])
    assert len(cells(page, "NLL_oracle")) == 5  # and two MLEs


def test_languages_never_share_a_table(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", quality=4.0),
        write_run(tmp_path / "b", quality=3.0, settings={"oracle.seed": 5}),
    ]
    page = make_page(runs)
    assert len(cells(page, "NLL_oracle", 0)) == len(cells(page, "NLL_oracle", 1)) == 3
    # every warning stands before every number
    assert page.rindex('class="warnings"') < page.index("<table")


def test_past_real_text_is_said(tmp_path: Path) -> None:
    page = make_page([write_run(tmp_path / "run", quality=2.0)])
    assert cells(page, "NLL_oracle")[2] == "2.000 past real [1.950, 2.050]"
    assert cells(page, "BLEU-4")[2] == "0.750 past real [0.700, 0.800]"


def test_different_signatures_do_not_compare(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", "maligan", quality=3.0)]
    assert "do not compare" not in make_page(runs)
    file = runs[1] / "evaluation.json"
    file.write_text(file.read_text().replace("nll_oracle|hyps:100", "nll_oracle|hyps:7"))
    page = make_page(runs)
    assert "NLL_oracle: the signatures differ" in page
    assert not [cell for cell in cells(page, "NLL_oracle") if "best" in cell]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("evaluation.json", "Not evaluated: my run. textgan evaluate 'my run' gives"),
        ("curve.json", "No curve over temperatures: my run. textgan curve 'my run' draws"),
        ("results.json", "Unfinished: my run. textgan resume 'my run' goes on"),
        ("metrics.jsonl", "Nothing was measured yet while training my run. textgan resume"),
        ("run.json", "seqgan"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, file: str, sentence: str) -> None:
    whole = read(make_page([write_run(tmp_path / "whole" / "my run")]))
    page = make_page([write_run(tmp_path / "my run", without=(file,))])
    assert sentence in read(page)
    assert file == "run.json" or sentence not in whole
    for empty in ("<figure>\n</figure>", "<tbody>\n</tbody>", "<ol>\n</ol>", "<ul>\n</ul>"):
        assert empty not in page
    for heading in re.findall(r"<h2>[^<]*</h2>\s*(.*?)\s*</section>", page, flags=re.DOTALL):
        assert heading


def test_a_bare_folder_is_told_of(tmp_path: Path) -> None:
    parts = ("evaluation.json", "curve.json", "results.json", "metrics.jsonl", "run.json")
    page = make_page([write_run(tmp_path / "new", without=parts)])
    words = read(page)
    for command in ("evaluate", "curve", "resume"):
        assert f"textgan {command} new" in words
    assert "<table" not in page and "<figure" not in page
    assert "No warnings so far" in words


def test_no_likelihood_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    content = json.loads((folder / "results.json").read_text()) | {"likelihood": False}
    (folder / "results.json").write_text(json.dumps(content))
    assert "run: the generator has no likelihood" in read(make_page([folder]))


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "<b>run&", text=HOSTILE, warning=HOSTILE)
    for file in ("evaluation.json", "curve.json"):
        content = (folder / file).read_text()
        content = content.replace("seqgan, last", json.dumps(f"{HOSTILE}, last")[1:-1])
        content = content.replace('"BLEU-4"', json.dumps(HOSTILE))
        content = content.replace("bleu-4|hyps:100", json.dumps(HOSTILE)[1:-1])
        content = content.replace("needs aligned references", json.dumps(HOSTILE)[1:-1])
        (folder / file).write_text(content)
    facts = json.loads((folder / "run.json").read_text())
    facts["data"] |= {"source": HOSTILE, HOSTILE: [HOSTILE]}
    facts |= {"machine": HOSTILE, "command": [HOSTILE]}
    (folder / "run.json").write_text(json.dumps(facts))
    page = make_page([folder])
    told = parsed(page)
    plain = parsed(make_page([write_run(tmp_path / "plain")]))
    assert set(told.tags) == set(plain.tags)
    assert {name for _, name, _ in told.attributes} == {name for _, name, _ in plain.attributes}
    assert "{{ 7*7 }}" in "".join(told.read) and "<b>run&" in "".join(told.read)
    assert html.escape("<b onload=") in page


def test_numbers_that_are_none_do_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines += [json.dumps({"phase": "mle", "tick": 30, "eval/nll_oracle": float("nan")}), "{cut"]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    page = make_page([folder])
    assert not re.search(r"[MLHV ]-?(nan|inf)", page)


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folders, told in (
        ([], "at least one"),
        ([tmp_path / "none"], "does not exist"),
        ([tmp_path / "empty"], "is not a run"),
    ):
        with pytest.raises(UserError, match=told):
            make_page(folders)
    for file in ("config.json", "run.json", "results.json", "evaluation.json", "curve.json"):
        for i, content in enumerate(("{", "[]", "{}", '{"rows": 3, "objective": 4}')):
            folder = write_run(tmp_path / f"{file}-{i}")
            (folder / file).write_text(content)
            if (file, content[:3]) in (("run.json", "{}"), ("run.json", '{"r')):
                make_page([folder])
                continue
            with pytest.raises(UserError, match=f"{file} is damaged"):
                make_page([folder])
    good = write_run(tmp_path / "good")
    with pytest.raises(UserError, match="cannot be written"):
        write_report([good], tmp_path / "empty")


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("'/home/me/run-0' and/or (/a/b/c.txt) is 3/4 done", "'run-0' and/or (c.txt) is 3/4 done"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("</b> / 1/2 ./x/y", "</b> / 1/2 ./x/y"),
    ],
)
def test_paths_in_sentences_are_cut(tmp_path: Path, sentence: str, told: str) -> None:
    page = make_page([write_run(tmp_path / "run", warning=sentence)])
    assert f"memorised, {told}" in read(page) and f"round 2: {told}" in read(page)


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_it_on_a_phone_and_on_a_desk(tmp_path: Path, three: list[Path]) -> None:
    """In a real browser, in its dark theme: nothing is wider than the window, at two widths."""
    assert CHROMIUM is not None
    long = write_run(tmp_path / ("long" * 50), text=HOSTILE, warning=HOSTILE, seed=5)
    page = make_page([*three, long])
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(page)}"></iframe>'
        for width in (360, 1280)
    )
    script = """
    addEventListener("load", () => {
      const found = [...document.querySelectorAll("iframe")].map(frame => {
        const page = frame.contentDocument, view = frame.contentWindow;
        page.querySelectorAll("details").forEach(one => one.open = true);
        const box = page.querySelector(".chart").getBoundingClientRect();
        return {window: view.innerWidth, page: page.documentElement.scrollWidth,
                tables: page.querySelectorAll("table").length,
                charts: page.querySelectorAll("svg.chart").length,
                columns: getComputedStyle(page.querySelector(".figures"))
                  .gridTemplateColumns.split(" ").length,
                letters: LETTERS * box.width / WIDE,
                paper: getComputedStyle(page.body).backgroundColor};
      });
      document.title = JSON.stringify(found);
    });"""
    script = script.replace("LETTERS", str(TICK)).replace("WIDE", str(WIDTH))
    harness = tmp_path / "harness.html"
    harness.write_text(f"<!DOCTYPE html><script>{script}</script>{frames}", "utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
            "--blink-settings=preferredColorScheme=0", "--virtual-time-budget=5000",
            "--window-size=1400,900", "--dump-dom", harness.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr
    phone, desk = json.loads(html.unescape(title[1]))
    for shown in (phone, desk):
        assert shown["page"] <= shown["window"]
        assert shown["tables"] >= 2 and shown["charts"] >= 4
        assert shown["letters"] >= 10
        assert shown["paper"] == "rgb(20, 23, 26)"
    assert (phone["columns"], desk["columns"]) == (1, 2)
