"""Files of texts: what is read by which commands, and what is refused with which remedy."""

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpora import corpus_of
from hypothesis import given
from hypothesis import strategies as st
from toys import Cli

from textgan.core.errors import UserError
from textgan.data.splits import split_file
from textgan.data.texts import Form, Row, read_rows
from textgan.evaluation.texts import read_texts

SENTENCES = [f"a {w}, seen by {v}" for w in ("dog", "cat", "sun", "sea") for v in "abcdefg"]
LABELS = ["neg", "pos"] * 14
CHINESE = "春眠不觉晓\n处处闻啼鸟\n夜来风雨声\n花落知多少\n"
GZIPPED = gzip.compress(b"a dog\n", mtime=0)  # the same bytes in every process


def write(folder: Path, content: str | bytes | list[str], name: str) -> Path:
    path = folder / name
    if isinstance(content, list):
        content = "\n".join(content) + "\n"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def labelled() -> list[str]:
    return [f"{label}\t{text}" for label, text in zip(LABELS, SENTENCES, strict=True)]


def as_csv(delimiter: str = ",") -> str:
    rows = [
        f'{i}{delimiter}"{text}"{delimiter}{label}'
        for i, (label, text) in enumerate(zip(LABELS, SENTENCES, strict=True))
    ]
    return "\n".join([delimiter.join(("id", "text", "label")), *rows]) + "\n"


def as_jsonl() -> list[str]:
    pairs = zip(LABELS, SENTENCES, strict=True)
    return [json.dumps({"text": text, "label": label}) for label, text in pairs]


def refusal(path: Path, called: str = "data.file") -> str:
    with pytest.raises(UserError) as refused:
        read_rows(path, called)
    message = str(refused.value)
    assert message.startswith(f"{called} = {str(path)!r}") and "\n" not in message
    return message


# --- bytes ---


def zipped(name: str = "texts.txt") -> bytes:
    with io.BytesIO() as memory:
        with zipfile.ZipFile(memory, "w") as archive:
            archive.writestr(name, "a dog .\n" * 30)
        return memory.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "a dog\na cat\n".encode("utf-16"), "UTF-16, not in UTF-8.*iconv -f UTF-16 -t"),
        ("a.txt", "a dog\na cat\n".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8 "),
        ("a.txt", "a dog\na cat\n".encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8 "),
        ("a.txt", CHINESE.encode("utf-16"), "iconv -f UTF-16 -t UTF-8 "),
        ("a.txt", CHINESE.encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8 "),
        ("a.txt", CHINESE.encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8 "),
        ("a.txt", "a dog\na cat\n".encode("utf-32"), "iconv -f UTF-32 -t UTF-8 "),
        ("a.txt", "a dog\na cat\n".encode("utf-32-le"), "iconv -f UTF-32LE -t UTF-8 "),
        ("a.jsonl", "{'a': 1}\n".encode("utf-16"), "UTF-16"),
        (
            "a.txt.gz",
            GZIPPED,
            "compressed with gzip; unpack it: gunzip -k ",
        ),
        (
            "a.txt",
            GZIPPED,
            "compressed with gzip; unpack it: gunzip -k ",
        ),
        ("a.zip", zipped(), "a zip archive; unpack it first: unzip "),
        ("a.txt", zipped(), "a zip archive; unpack it first: unzip "),
        ("a.xlsx", zipped(), "an Excel workbook; save its sheet as CSV"),
        ("a.docx", zipped(), "a document of a word processor; save it as plain text"),
        ("a.parquet", b"PAR1\x15\0", "a Parquet table; convert it: python -c .*read_parquet"),
        ("a.txt", b"PAR1\x15\0", "a Parquet table"),
        ("a.bz2", b"BZh91AY", "compressed with bzip2; unpack it: bunzip2 -k "),
        ("a.gz", b"a dog\n", "ends in .gz but is not compressed with gzip; if it is text"),
        ("a.parquet", b"a dog\n", "ends in .parquet but is not a Parquet table"),
        ("a.txt", b"good\tthe \0", "binary .it has zero bytes.; give UTF-8 text"),
        ("a.txt", bytes(range(256)) * 8, "binary"),
        ("a.txt", "fünf\n".encode("latin-1"), r"not UTF-8 in line 1 \(byte 0xfc\)"),
    ],
)
def test_what_is_no_utf8_text_is_named_with_its_remedy(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(write(tmp_path, content, name), "data.file")


def test_a_name_with_spaces_can_be_pasted(tmp_path: Path) -> None:
    path = write(tmp_path, "a dog\na cat\n".encode("utf-16"), "my texts.txt")
    assert f"-t UTF-8 '{path}' > 'my texts-utf8.txt'" in refusal(path)


# --- plain text ---


def test_plain_lines_and_labelled_lines(tmp_path: Path) -> None:
    content = "a dog \n\n  a cat\n"
    plain = write(tmp_path, content, "a.txt")
    expected = [Row(1, None, "a dog"), Row(2, None, ""), Row(3, None, "a cat")]
    assert read_rows(plain, "x").rows == expected
    rows = read_rows(
        write(tmp_path, ["pos\t a dog ", "", "neg\ta cat", "pos\t"], "a.tsv"), "x"
    ).rows
    expected = [Row(1, "pos", "a dog"), Row(2, None, ""), Row(3, "neg", "a cat")]
    assert rows == [*expected, Row(4, "pos", "")]
    lines = write(tmp_path, labelled(), "b.txt")
    assert [row.label for row in read_rows(lines, "x", Form("yes")).rows] == LABELS
    assert [row.text for row in read_rows(lines, "x", Form("no")).rows] == labelled()


def test_labels_under_a_plain_name_are_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path, labelled(), "a.txt")
    assert (
        "28 of 28 lines have a tab; give data.labels=yes if they are label, tab, sentence, or "
        "data.labels=no if these are plain sentences" in refusal(path)
    )
    assert "give labels=yes if" in refusal(path, called="references")
    one = write(tmp_path, [*SENTENCES, "a\tslip"], "b.txt")
    assert len(read_rows(one, "x").rows) == 29  # one tab is a slip of the pen


# --- tables ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_by_named_fields(delimiter: str, tmp_path: Path) -> None:
    path = write(tmp_path, as_csv(delimiter), "a.csv")
    rows = read_rows(path, "x", Form(field="text", label_field="label")).rows
    assert [row.text for row in rows] == SENTENCES
    assert [row.label for row in rows] == LABELS
    assert [row.line for row in rows] == list(range(2, 30))
    assert {row.label for row in read_rows(path, "x", Form(field="text")).rows} == {None}
    if delimiter == "\t":
        path.rename(tmp_path / "a.tsv")
        assert (
            read_rows(tmp_path / "a.tsv", "x", Form(field="text", label_field="label")).rows == rows
        )


def test_quotes_line_breaks_and_empty_texts_of_csv(tmp_path: Path) -> None:
    content = 'text,n\r\n"a ""big"" dog",1\r\n"two\r\n lines",2\r\n,3\r\n\r\n"tab\there",4\r\n'
    rows = read_rows(write(tmp_path, content, "a.csv"), "x", Form(field="text")).rows
    assert rows == [
        Row(2, None, 'a "big" dog'),
        Row(3, None, "two lines"),
        Row(5, None, ""),
        Row(7, None, "tab here"),
    ]
    long = "text\n" + "word " * 100_000 + "\n"
    assert (
        len(read_rows(write(tmp_path, long, "b.csv"), "x", Form(field="text")).rows[0].text)
        == 499_999
    )


def test_json_lines_by_named_fields(tmp_path: Path) -> None:
    lines = [
        *as_jsonl(),
        "",
        json.dumps({"text": "ein\nFuß 日", "label": 3}),
        '{"text": "", "label": true}',
    ]
    rows = read_rows(write(tmp_path, lines, "a.jsonl"), "x", Form("auto", "text", "label")).rows
    assert [row.text for row in rows] == [*SENTENCES, "ein Fuß 日", ""]
    assert [row.label for row in rows] == [*LABELS, "3", None]
    assert rows[-2].line == 30


TEXT = Form(field="text")
BOTH = Form(field="text", label_field="label")


@pytest.mark.parametrize(
    ("name", "content", "form", "message"),
    [
        ("a.csv", as_csv(), Form(), "'id', 'text', 'label' in its first line; give data.field"),
        ("a.csv", as_csv(), Form(field="texts"), "no field 'texts' .*; it has 'id', 'text', 'lab"),
        ("a.csv", as_csv(), Form("auto", "text", "y"), "no field 'y' .data.label_field=y.; it "),
        ("a.csv", as_csv(), Form("yes", "text"), "data.labels=yes needs data.label_field"),
        ("a.csv", as_csv(), Form("no", "text", "label"), "contradicts data.label_field=label"),
        ("a.csv", as_csv() + "29,a dog, a cat,pos\n", TEXT, "line 30 has 4 fields and the first"),
        ("a.csv", as_csv() + '29,"a dog', TEXT, "no CSV: in line 30 unexpected end of data"),
        ("a.csv", "text,text\na,b\n", TEXT, "its first line names the field 'text' twice"),
        ("a.csv", "text,label\n", TEXT, "names of fields .'text', 'label'. but no rows"),
        ("a.csv", "text,label\n,\n", TEXT, "is empty"),
        ("a.csv", "text,label\na dog,\n", BOTH, "in line 2 the label .'label'. is empty"),
        ("a.csv", "text\n" + "a,dog\n" * 30, TEXT, "line 2 has 2 fields and the first line 1"),
        ("a.jsonl", as_jsonl(), Form(), "has the fields 'text', 'label'; give data.field=NAME"),
        ("a.jsonl", as_jsonl(), Form(field="x"), "there is no field 'x'"),
        ("a.jsonl", [*as_jsonl(), '{"x": "a"}'], TEXT, "line 29 has no field 'text'"),
        ("a.jsonl", ['{"text": "a"}', *as_jsonl()], BOTH, "line 1 has no field 'label', but"),
        ("a.jsonl", ['{"text": "a"}', '{"text": "a", "s": "b"}'], Form(field="text",
         source_field="s"), "line 1 has no field 's', but 'text'; give it there, or leave the"),
        ("a.txt", ["1\t-0.5000\ta dog", "1\t-1.2500\ta cat"], Form(), "texts of a beam"),
        ("a.tsv", ["1\t-0.5000\ta dog", "1\t-1.2500\ta cat"], Form(), r"--n-best.: .* awk -F"),
        ("a.tsv", ["1\t-0.5000\ta\tb"], Form(pairs=True), "texts of a beam"),
        ("a.jsonl", [*as_jsonl(), "a dog"], TEXT, "line 29 is not a JSON object"),
        ("a.jsonl", [*as_jsonl(), "[" * 99999], TEXT, "line 29 is not a JSON object"),
        ("a.jsonl", ['{"text": 3}'], TEXT, "in line 1 the field 'text' is a number, not a text"),
        ("a.jsonl", ['{"text": ["a"]}'], TEXT, "in line 1 the field 'text' is a list"),
        ("a.jsonl", ['{"text": "a", "label": 0.5}'], BOTH, "the label .'label'. is a number"),
        ("a.jsonl", ['{"text": "a"}', '{"text": null}'], TEXT, "in line 2 .* 'text' is null"),
        ("a.jsonl", ['{"text": "a", "label": null}'], BOTH, "the label .'label'. is empty"),
        ("a.jsonl", ['{"text": "a \\ud83d"}'], TEXT, r"has \\ud83d, which is no character"),
        ("a.jsonl", ['{"text": "a \\u0000"}'], TEXT, r"has \\u0000, which is no character"),
        ("a.txt", SENTENCES, TEXT, "data.field=text, but plain text has no fields"),
        ("a.txt", SENTENCES, Form("auto", "text", "", "text"), "data.format=text has no fields"),
        ("a.tsv", labelled(), TEXT, "data.field=text, but its first line has 'neg', 'a dog, s"),
        ("a.tsv", ["label\ttext", *labelled()], Form(), "line 1 names fields, 'label', 'text'"),
        ("a.tsv", ["1\ta dog\tx", *labelled()], Form(), "has 2 tabs.* or data.field=NAME of a"),
        ("a.tsv", [f'pos\t"{s}"' for s in SENTENCES], Form(), "28 of 28 sentences are in quotes"),
        # other names
        ("a.txt", as_jsonl(), Form(), "holds JSON lines; give data.format=jsonl and .*'text', "),
        ("a.txt", ["stray", *as_jsonl()], Form(), "holds JSON lines"),
        ("a.txt", [f'"{s}"' for s in SENTENCES], Form(), "JSON lines; take the texts out of them"),
        ("a.txt", [f'["{s}", 1]' for s in SENTENCES], Form(), "JSON lines; take the texts out"),
        ("a.json", as_jsonl(), Form(), "holds JSON lines; give data.format=jsonl"),
        ("a.json", json.dumps(SENTENCES), Form(), "one JSON document; make JSON lines .* jq -c"),
        ("a.txt", json.dumps([{"text": "a"}], indent=1), Form(), "one JSON document"),
        ("a.txt", as_csv(), Form(), "commas .*'id', 'text', 'label'; give data.format=csv"),
        ("a.txt", as_csv(";"), Form(), "table with semicolons between its fields"),
        ("a.txt", as_csv("\t"), Form(), "table with tabs between its fields"),
        ("a.txt", as_csv().replace('"', "").replace(", seen", ""), Form("no"), "with commas"),
        ("a.txt", ["text,label", *["a dog,pos"] * 30], Form(), "'text', 'label'"),
        ("a.txt", as_csv().split("\n", 1)[1], Form(), "table with commas"),
        ("a.txt", [f"a {w},pos" for w in "abcde"] + ["a dog,neg"] * 5, Form(), "with commas"),
        ("a.txt", [f"neg | {s}" for s in SENTENCES] + ["pos | a"] * 9, Form(), "with bars"),
        ("a.txt", [f"__label__pos {s}" for s in SENTENCES], Form(), "fastText's form; .* sed 's/"),
        ("a.txt", [f"{{'text': '{s}'}}" for s in SENTENCES], Form(), "dictionaries that are no JS"),
        ("a.txt", ["<html>", *SENTENCES], Form(), "HTML or XML; take the text out"),
        ("a.tsv", ["sentence\tid", *labelled()], TEXT, "its first line has 'sentence', 'id'"),
    ],
)  # fmt: skip
def test_structured_files_are_read_by_a_field_or_refused(
    name: str, content: Any, form: Form, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(write(tmp_path, content, name), "data.file", form)


@pytest.mark.parametrize(
    "lines",
    [
        SENTENCES,  # one comma in every line
        ["So long, farewell", "Good night, good night", "Sweet sorrow, that I shall say"] * 9,
        ['"Come here," he said, "and sit."', '"No," she said.', "He left."] * 9,
        ["[1]", "[2] see there", "{curly}"] * 9,
        ["1 2 3", "4 5 6", "7 8 9"] * 9,
        ["label", "text", "sentence"] * 9,
        ["Q: who?", "A: me.", "12:30; 13:15"] * 9,
        ["床前明月光，疑是地上霜。", "举头望明月，低头思故乡。"] * 9,
        ["text,"] * 30,
        ["I came, I saw", "You came, I saw", "We came, you saw"] * 9,
        ["yes,no", "no,yes,no", "maybe"] * 9,
        ["{so} be {it}", "{a} b"] * 9,
        ["a"] * 30,
    ],
)
def test_plain_sentences_are_no_tables(lines: list[str], tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, lines, "a.txt"), "data.file").rows
    assert [row.text for row in rows] == lines


@pytest.mark.parametrize("content", [as_csv(), "\n".join(as_jsonl()), "\n".join(labelled())])
def test_who_says_that_these_are_plain_sentences_gets_them(content: str, tmp_path: Path) -> None:
    path = write(tmp_path, content, "a.txt")
    rows = read_rows(path, "data.file", Form(format="text")).rows
    assert [row.text for row in rows] == content.splitlines()


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@given(st.lists(st.tuples(cells, cells), min_size=1), st.sampled_from([",", ";", "\t", "|"]))
def test_tables_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    pairs = [*pairs, ("a text", "a label")]
    with io.StringIO(newline="") as table:
        writer = csv.writer(table, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("text", "other"), *pairs])
        written = table.getvalue()
    lines = [json.dumps({"text": text, "other": other}) for text, other in pairs]
    for path in (write(folder, written, "a.csv"), write(folder, lines, "a.jsonl")):
        for number, field in enumerate(("text", "other")):
            rows = read_rows(path, "x", Form(field=field)).rows
            assert not any("\t" in row.text or "\n" in row.text for row in rows)
            assert [row.text.split() for row in rows] == [pair[number].split() for pair in pairs]


@given(st.binary(max_size=60), st.sampled_from(["txt", "tsv", "csv", "jsonl", "json", "gz"]))
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for head in (b"", b"text,label\n", b'{"text": "', b"\xff\xfe", b"a\tb\n"):
        path = write(folder, head + content, f"a.{suffix}")
        for form in (Form(), Form("yes"), Form("no"), TEXT, Form(field="text", format="csv")):
            refused: list[UserError] = []
            try:
                rows = read_rows(path, "x", form).rows
            except UserError as error:
                refused.append(error)
                rows = []
            assert any(row.text for row in rows) or refused
            assert not any("\n" in row.text for row in rows)
            assert not any("\n" in str(one) or len(str(one)) > 900 for one in refused)


@pytest.mark.parametrize(
    "content",
    ['"' * 300_000, ',"""' * 90_000, "{" * 300_000, "[" * 300_000, " " * 300_000, "a," * 90_000],
)
def test_hostile_lines_take_no_time(content: str, tmp_path: Path) -> None:
    began = time.process_time()
    for name, form in (("a.txt", Form()), ("a.csv", TEXT), ("a.jsonl", TEXT)):
        head = "text\n" if name == "a.csv" else ""
        with contextlib.suppress(UserError):
            read_rows(write(tmp_path, f"{head}{content}\n" * 3, name), "x", form)
    assert time.process_time() - began < 5


# --- the commands agree ---


@pytest.fixture
def train_flags() -> list[str]:
    tiny = ["schedule.mle_epochs=1", "schedule.rounds=0", "generator.hidden=4", "data.min_count=1"]
    return [*tiny, "evaluation.samples=10", "evaluation.final_samples=20"]


Command = Callable[[Path], list[object]]
COMMANDS: dict[str, Command] = {
    "train": lambda path: ["train", "mle", "--data", path],
    "encode": lambda path: ["encode", "scal", "--data", path, "--out", path.parent / "enc"],
    "classify": lambda path: ["classify", path],
    "similarity": lambda path: ["similarity", "none", "--data", path],
    "evaluate": lambda path: ["evaluate", path, "--references", path],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_one_answer_to_one_file(
    command: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content, name, message in (
        ("\n".join(labelled()), "a.txt", "28 of 28 lines have a tab"),
        (as_csv(), "a.csv", "has the fields 'id', 'text', 'label'"),
        ("\n".join(as_jsonl()), "a.jsonl", "has the fields 'text', 'label'"),
        ("\n".join(as_jsonl()), "b.txt", "holds JSON lines"),
        (as_csv(), "c.txt", "looks like a table with commas"),
        ("a\n".encode("utf-16"), "d.txt", "UTF-16"),
    ):
        code, out, err = cli(*COMMANDS[command](write(tmp_path, content, name)))
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err
    assert not (tmp_path / "enc").exists() and not (tmp_path / "runs").exists()


def test_a_file_is_opened_once_for_its_texts_and_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, real = write(tmp_path, labelled(), "a.tsv"), [], os.open

    def counted(path: Any, *more: Any, **keywords: Any) -> int:
        opened.append(Path(path).name)
        return real(path, *more, **keywords)

    monkeypatch.setattr(os, "open", counted)
    hashes = [
        corpus_of(path).facts,
        split_file(path).facts,
        read_texts(path, "samples").about,
    ]
    assert opened == ["a.tsv"] * 3
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [facts["sha256"] for facts in hashes] == [right] * 3


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_the_same_options_everywhere(
    name: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, train_flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    content = as_csv() if name == "a.csv" else "\n".join(as_jsonl())
    path = write(tmp_path, content, name)
    options = ["--field", "text", "--label-field", "label"]
    code, _, err = cli("train", "mle", "--data", path, *options, *train_flags, "--out", "run")
    assert code == 0, err
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert (facts["field"], facts["label_field"], facts["sentences"]) == ("text", "label", 28)
    assert set(facts["labels"]) == {"neg", "pos"}
    code, _, err = cli(
        "evaluate", path, "--references", path, *options, "--metrics", "length", "--json"
    )
    assert code == 0, err
    # what sample writes of a labelled run, evaluate and train read
    code, sampled, _ = cli("sample", "run", "-n", "60")
    assert {line.count("\t") for line in sampled.splitlines()} == {1}
    texts = write(tmp_path, sampled, "s.tsv")
    code, out, err = cli(
        "evaluate", texts, "--references", path, "--field", "text", "--metrics", "length",
        "--tokenizer", "whitespace", "--json",
    )  # fmt: skip
    assert code == 0, err
    words = [len(line.split("\t")[1].split()) for line in sampled.splitlines()]
    rows = json.loads(out)["rows"]["s.tsv"]
    assert rows["length"]["value"] == pytest.approx(sum(words) / len(words))
    code, _, err = cli("train", "mle", "--data", texts, *train_flags, "--out", "again")
    assert code == 0, err
    # the texts of one label
    code, one, _ = cli("sample", "run", "--label", "pos")
    path = write(tmp_path, one, "one.tsv")
    code, _, err = cli("evaluate", path, "--references", texts, "--metrics", "length")
    assert code == 0, err


def test_labels_and_sentences_in_the_other_order_are_noticed(tmp_path: Path, cli: Cli) -> None:
    turned = ["\t".join(line.split("\t")[::-1]) for line in labelled()]
    path = write(tmp_path, turned, "a.tsv")
    for command in (["evaluate", path, "--references", path], ["train", "mle", "--data", path]):
        code, _, err = cli(*command)
        assert code == 2 and "has 28 different labels in 28 lines" in err


def test_a_field_that_no_file_has_is_refused(tmp_path: Path, cli: Cli) -> None:
    path = write(tmp_path, SENTENCES, "a.txt")
    code, _, err = cli("evaluate", path, "--references", path, "--field", "text")
    assert code == 2 and "--field text: none of the files has fields" in err
    code, _, err = cli("evaluate", path, "--references", path, "--labels", "maybe")
    assert code == 2 and "labels = 'maybe': give auto, yes or no" in err
