"""The page: all that the folders hold, nothing that the reader should not see, in any browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import ELSEWHERE, HOSTILE, parsed, read, write_run

from textgan.evaluation.report.charts import TICK, WIDTH
from textgan.evaluation.report.page import make_page, write_report


def test_the_page_is_one_whole_file(three: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er" / "report.html"
    write_report(three, out)
    page = out.read_text("utf-8")
    assert page == make_page(three)
    parsed_page = parsed(page)
    assert (
        "script" not in parsed_page.tags
        and "link" not in parsed_page.tags
        and "img" not in parsed_page.tags
    )
    names = {name for _, name, _ in parsed_page.attributes}
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
        result = json.loads((folder / "evaluation.json").read_text())
        for row in result["rows"].values():
            for one in row.values():
                assert one["title"] in words
                assert one["signature"] in words
        told = json.loads((folder / "results.json").read_text())["warnings"]
        told += json.loads((folder / "results.json").read_text())["alarms"]
        told += [*result["warnings"], *result["unavailable"].values()]
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
    parsed_page = parsed(page)
    plain = parsed(make_page([write_run(tmp_path / "plain")]))
    assert set(parsed_page.tags) == set(plain.tags)
    assert {name for _, name, _ in parsed_page.attributes} == {
        name for _, name, _ in plain.attributes
    }
    assert "{{ 7*7 }}" in "".join(parsed_page.read) and "<b>run&" in "".join(parsed_page.read)
    assert html.escape("<b onload=") in page


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
