"""README and the pages under docs/: their commands and Python run, their links and counts hold."""

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bench import TINY
from dialogues import QUESTIONS, chained, dialogues
from places import ROOT
from toys import TOY
from translated import german_lines, translation

import textgan
import textgan.bench
import textgan.evaluation.scoring
from textgan.cli.app import main
from textgan.core import registry

README = (ROOT / "README.md").read_text("utf-8")
# in the order in which README names them, which is the one that their commands are run in
PAGES = list(dict.fromkeys(["README.md", *re.findall(r"\]\((docs/[\w-]+\.md)", README)]))
TEXT = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
FENCE = r"^```(\w*)\n(.*?)^```$"
FENCED = re.findall(FENCE, TEXT, flags=re.DOTALL | re.MULTILINE)
BLOCKS = [body for language, body in FENCED if language == "python"]
# those of textgan: other tests may register their own
METHODS, METRICS = (sorted(registry.names(kind)) for kind in ("objective", "metric"))
SHELL = "\n".join(body for language, body in FENCED if not language)


# the bases of the other parts in docs/extending.md
BASES = "AutoregressiveGenerator", "Discriminator", "Metric", "OneStep", "TwoViews"


def fences(page: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return [body for _, body in re.findall(FENCE, text, flags=re.DOTALL | re.MULTILINE)]


def blocks_with(part: str) -> list[str]:
    result = [block for block in BLOCKS if part in block]
    assert result, part
    return result


def test_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 200
    assert sorted(PAGES[1:]) == sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    """Links to files, and to headings within them."""
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
            assert heading in slugs, target


def test_readme_names_every_method_and_counts_metrics() -> None:
    table = README.partition("## Methods")[2].partition("## ")[0]
    rows = "".join(line for line in table.splitlines() if line.startswith("| "))
    assert sorted(re.findall(r"`(\w+)`", rows)) == METHODS
    assert f"one of {len(METHODS)} methods" in README
    assert f"{len(METRICS)} metrics" in README


def test_readme_and_design_have_one_line_for_each_room() -> None:
    package = ROOT / "textgan"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")} | {"losses.py"}
    for page in ("README.md", "docs/design.md"):
        tree = next(body for body in fences(page) if body.startswith("textgan/"))
        lines = re.findall(r"^  ([\w.]+/?) ", tree, flags=re.MULTILINE)
        assert sorted(lines) == sorted(rooms), page


@pytest.mark.parametrize("page", PAGES)
def test_files_of_code_are_where_a_page_names_them(page: str) -> None:
    for name in re.findall(r"`((?:\w+/)+\w+\.\w+)`", (ROOT / page).read_text("utf-8")):
        assert (ROOT / name).is_file() or (ROOT / "textgan" / name).is_file(), name


def test_the_picture_shows_the_recorded_table() -> None:
    sys.path.insert(0, str(ROOT / "experiments"))
    try:
        import picture
    finally:
        sys.path.pop(0)
    table = json.loads(picture.TABLE.read_text("utf-8"))
    assert picture.PICTURE.read_text("utf-8") == picture.picture(table)


def test_commands_run(
    small_products: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every textgan command of README and docs, in their order, each once, at toy size."""
    commands = dict.fromkeys(
        shlex.join(shlex.split(line, comments=True))
        for line in re.findall(r"^(textgan .*)$", SHELL, flags=re.MULTILINE)
    )
    assert len(commands) >= 30
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "experiments"):
        Path(folder).symlink_to(ROOT / folder)
    own = [block for base in ("Objective", *BASES) for block in blocks_with(f"({base}")]
    Path("mine.py").write_text("\n\n".join(own))
    Path("poems.txt").write_text(
        "".join(f"{'春江花月夜山'[i % 6 :]}水{i % 9}\n" for i in range(60))
    )
    moods = "good", "bad"
    lines = [f"{moods[i % 2]}\tso {'very ' * (i % 3)}much {i % 9}\n" for i in range(80)]
    Path("dialogues.tsv").write_text(chained(dialogues()))
    Path("questions.txt").write_text("".join(f"{asked}\n" for asked, _ in QUESTIONS))
    Path("answers.txt").write_text("".join(f"{answer}\n" for _, answer in QUESTIONS))
    Path("reviews.tsv").write_text("".join(lines))
    german = german_lines()
    for name, some in (("train.de", german), ("train.en", map(translation, german))):
        Path(name).write_text("\n".join(some))
    Path("test.de").write_text("\n".join(german[:3]))
    rows = ["label,text\n", *(line.replace("\t", ",") for line in lines)]
    Path("reviews.csv").write_text("".join(rows))
    pairs = [(f"what is {i % 30} ?", f"it is {'not ' * (i % 2)}{i} .") for i in range(90)]
    for name, column in (("questions", 0), ("people", 1), ("answers", 1), ("others", 0)):
        Path(f"{name}.txt").write_text("".join(f"{pair[column]}\n" for pair in pairs))
    really = textgan.evaluation.scoring.choose_metrics

    def quick(wanted: list[str], *arguments: object, **more: object) -> object:
        return really(["quick" if name == "all" else name for name in wanted], *arguments, **more)

    tiny = replace(TINY, sentences=40)
    timed = textgan.bench.run_bench
    monkeypatch.setattr(
        "textgan.bench.timing.run_bench",
        lambda *arguments, **more: timed(*arguments, **more, setting=tiny),
    )
    for module in ("evaluation.compare", "evaluation.evaluate", "evaluation.temperature_sweep"):
        monkeypatch.setattr(f"textgan.{module}.choose_metrics", quick)
    for line in commands:
        words = shlex.split(line)
        if words[1] == "train":
            toy = {
                k: v for k, v in TOY.items() if k.partition(".")[0] in ("schedule", "evaluation")
            }
            given = {"--data", "--pairs"} & set(words)
            if not given and not any(word.startswith("init=") for word in words):
                toy |= {k: v for k, v in TOY.items() if k.startswith("oracle.")}
                toy["oracle.length"] = 20
            toy |= {"schedule.fakes": 16, "schedule.batch_size": 32, "schedule.mle_epochs": 1}
            answers = {"--pairs", "--source", "oracle.source_length=5"} & set(words)
            if "seqgan" in words:
                toy |= {"objective.rollouts": 2}
            if "seqgan" in words and not answers:
                toy |= {"discriminator.preset": "texygen_small"}
            if answers:
                toy |= {f"generator.{size}": 8 for size in ("embedding", "hidden", "attention")}
            words = [word for word in words if word.partition("=")[0] not in toy]
            words += [f"{key}={json.dumps(value)}" for key, value in toy.items()]
        elif words[1] == "evaluate":
            words += ["--size", "120" if "--encoder" in words else "60"]
        elif words[1] == "encode":
            words += ["epochs=1"]
            if "--start" not in words:
                words += ["network.embedding=8", "network.heads=2", "network.layers=1"]
        elif words[1] == "similarity":
            words += ["--limit", "40", "--resamplings", "20"]
        elif words[1] == "classify":
            words += ["epochs=1", "network.embedding=4", "network.hidden=4", "data.min_count=1"]
            words += ["attack.steps=1"]
        elif words[1] == "curve":
            words += ["--samples", "40", "--temperatures", "1,0.8"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 0, (line, capsys.readouterr().err)
        capsys.readouterr()
    (block,) = blocks_with("load_translator(")
    exec(compile(block, "docs", "exec"), {})
    assert len(capsys.readouterr().out.split("', '")) == 2
    for target in re.findall(r"^make (\w+)", SHELL, flags=re.MULTILINE):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_every_python_block_is_run_by_a_test_here() -> None:
    run = ["textgan.train(", "import FreeLB", "(Objective", '(Reinforce, name="my_averaged']
    run += ['(Reinforce, name="my_critical', "textgan.check(", "load_translator("]
    run += [f"({base}" for base in BASES]
    for block in BLOCKS:
        assert sum(part in block for part in run) == 1, block


def test_python_perturbs_a_pretrained_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The five lines of docs/perturbations.md, with a model of transformers."""
    transformers = pytest.importorskip("transformers")
    (block,) = blocks_with("import FreeLB")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=20, intermediate_size=8, **sizes)
    model = transformers.BertForSequenceClassification(config)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    batch = {"input_ids": torch.randint(1, 20, (4, 6)), "labels": torch.tensor([0, 1, 0, 1])}
    exec(
        compile(block, "docs", "exec"),
        {"model": model, "optimiser": optimiser, "batches": [batch, batch]},
    )
    moved = [not torch.equal(weight, before[name]) for name, weight in model.named_parameters()]
    assert sum(moved) > len(moved) / 2


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of README and docs, at toy size where it trains."""
    monkeypatch.chdir(tmp_path)
    really = textgan.train

    def small(*arguments: object, **settings: object) -> object:
        options = {key: value for key, value in TOY.items() if not key.startswith("oracle")}
        options |= {"schedule.batch_size": 32, "schedule.mle_epochs": 1}
        for group, values in list(settings.items()):
            if isinstance(values, dict):  # given twice, by group and by dotted key, is refused
                settings |= {f"{group}.{key}": value for key, value in values.items()}
                del settings[group]
        settings = options | settings | {"quiet": True}
        settings["data"] = str(ROOT / "data/captions.txt")
        return really(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(textgan, "train", small)
    for block in blocks_with("textgan.train("):
        exec(compile(block, "docs", "exec"), {})


def test_the_own_method_trains_and_keeps_its_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (method,) = blocks_with("(Objective")
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(method)
    name = re.findall(r"class (\w+)\(Objective", method)[0]
    toy = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    results = textgan.train(f"mine.py:{name}", out="run", quiet=True, **toy)
    assert list(results.rows)[-1] == f"mine.py:{name}, last"
    more = blocks_with("(Reinforce")
    Path("mine.py").write_text("\n\n".join([method, *more]))
    textgan.check("mine.py:Averaged")
    textgan.check("mine.py:Critical")
    (contract,) = blocks_with("textgan.check(")
    namespace = {"textgan": textgan}
    exec(compile(contract, "docs", "exec"), namespace)
    namespace["test_mine"]()  # type: ignore[operator]


@pytest.mark.parametrize("base", BASES)
def test_other_own_parts_keep_their_contracts(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (part,) = blocks_with(f"({base}")
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(part)
    (name,) = re.findall(rf"class (\w+)\({base}", part)
    textgan.check(f"mine.py:{name}")
    imported = set(re.findall(r"^from (textgan\S*)", part, flags=re.MULTILINE))
    assert imported <= {"textgan", "textgan.perturb"}
