"""Encoders side by side: the baseline, the table, what is refused."""

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import Cli, refused

import textgan
import textgan.encoders.evaluate
from textgan.data.tokenizers import WordTokenizer
from textgan.encoders.base import LineEncoder, Progress
from textgan.encoders.evaluate import BASELINE, COLUMNS, BagOfWords, evaluate_encoders
from textgan.encoders.folder import save_encoder
from textgan.encoders.similarity import pair_cosines, spearman
from textgan.encoders.sts import read_sts
from textgan.models.pretrained import build_network


def write(folder: Path, *lines: str) -> Path:
    path = folder / "sts.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


# --- the baseline ---


def test_words_are_counted() -> None:
    bag = BagOfWords(["a cat sees a dog", "a dog", "the sea"])
    lines = ["a cat", "cat a", "a a cat cat", "a dog", "the sea"]
    vectors = bag.encode_lines(lines)
    assert vectors.shape == (5, COLUMNS)
    assert vectors.dtype == torch.float64
    assert vectors.sum(1).tolist() == [2, 2, 4, 2, 2]
    assert pair_cosines(vectors[:1].repeat(5, 1), vectors).tolist() == pytest.approx(
        [1, 1, 1, 0.5, 0]
    )


def test_rare_words_share_columns() -> None:
    bag = BagOfWords(["a a a a b b b c c d", "e"], columns=4)
    vectors = bag.encode_lines(["a", "b", "c", "d", "e f g h"])
    assert vectors[:4].tolist() == torch.eye(4).tolist()
    assert vectors[4, :2].tolist() == [0, 0]  # the frequent ones keep theirs for themselves
    assert vectors[4].sum() == 4
    assert bag.name != BagOfWords(["a b c d"], "char").name


def test_characters_are_counted_where_they_are_the_tokens() -> None:
    bag = BagOfWords(["山重水", "水山"], "char")
    assert pair_cosines(bag.encode_lines(["山水"]), bag.encode_lines(["水山"])).tolist() == [
        pytest.approx(1)
    ]


# --- the command ---


class Stub(LineEncoder):
    """Vectors from a rule."""

    def __init__(self, name: str, rule: Callable[[str], list[float]]) -> None:
        self.name, self.rule = name, rule

    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        return torch.tensor([self.rule(line) for line in lines], dtype=torch.float64)


def stopped(line: str) -> list[float]:
    raise KeyboardInterrupt


def full(line: str) -> list[float]:
    raise MemoryError


STUBS: dict[str, Callable[[str], list[float]]] = {
    "constant": lambda line: [1.0, 2.0],
    "letters": lambda line: [float(line.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"],
    "zeros": lambda line: [0.0, 0.0],
    "stopped": stopped,
    "full": full,
    "broken": lambda line: [float("nan") if "moon" in line else 1.0],
}


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(told: str, device: torch.device | None = None) -> LineEncoder:
        return Stub(told, STUBS[told])

    monkeypatch.setattr(textgan.encoders.evaluate, "open_encoder", opened)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A hundred sentences and more of four to eight words out of thirty, some of them twice."""
    random = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("wind", "hill", "sun", "moon", "tree") for b in ("", *"bcdfg")]
    lines = [" ".join(random.choice(words, random.integers(4, 9))) for _ in range(110)]
    path = tmp_path / "lines.txt"
    twice = [line.replace(" ", "  ") for line in lines[:30]]  # white space makes no difference
    path.write_text("\n".join(lines + twice) + "\n")
    return path


def different_lines(data: Path) -> list[str]:
    return list(dict.fromkeys(" ".join(line.split()) for line in data.read_text().splitlines()))


@pytest.mark.usefixtures("stubs")
def test_a_table_with_a_row_for_each_encoder(cli: Cli, data: Path, tmp_path: Path) -> None:
    sts = write(
        tmp_path,
        *(f"{'xy'[i % 2]}\t{i}\tthe old cat\tthe old c{'at' * (i % 7)}" for i in range(14)),
    )
    arguments = (
        "similarity",
        "letters",
        "constant",
        "--data",
        data,
        "--sts",
        sts,
        "--resamplings",
        50,
    )
    code, out, err = cli(*arguments)
    assert (code, err) == (0, "")
    tables = out.split("\n\n")
    heads = [table.split("  ")[0] for table in tables[:-1]]
    assert heads == [
        "uniformity ↓",
        "STS x 100 ↑",
        "alignment ↓",
        "accuracy@1 ↑",
        "MRR ↑",
    ]
    for table in tables[:-1]:
        rows = [line.split("  ")[0] for line in table.splitlines()[2:]]
        assert rows == [BASELINE, "letters", "constant"]
    assert "drop" in tables[2] and "typo" in tables[2] and "[" in tables[2]
    assert "constant: no STS of all: numbers that are all equal correlate with nothing" in out
    assert cli(*arguments)[1] == out  # the same seed
    assert cli(*arguments, "--seed", 1)[1] != out


@pytest.mark.usefixtures("stubs")
def test_numbers_in_closed_form(data: Path) -> None:
    result = evaluate_encoders(
        ["letters", "constant", "zeros"], data=data, noise=["swap"], resamplings=0
    )
    n = len(different_lines(data))
    assert result.facts["lines"] == n
    for name in ("constant", "zeros"):
        scores = {key: score.estimate.value for key, score in result.rows[name].items()}
        harmonic = sum(1 / k for k in range(1, n + 1))
        assert scores == pytest.approx(
            {
                "uniformity/lines": 0,
                "alignment/swap": 0,
                "first/swap": 1 / n,
                "reciprocal/swap": harmonic / n,
            },
            abs=1e-12,
        )
    assert f"zeros: {n} of {n} lines have a vector of zeros" in result.notes
    # neither words nor letters that are only counted know their order
    assert result.rows["letters"]["alignment/swap"].estimate.value == pytest.approx(0, abs=1e-12)
    assert result.rows[BASELINE]["alignment/swap"].estimate.value == pytest.approx(0, abs=1e-12)
    assert all(score.estimate.low is None for score in result.rows["letters"].values())


@pytest.mark.usefixtures("stubs")
def test_every_number_is_signed(cli: Cli, data: Path, tmp_path: Path) -> None:
    sts = write(tmp_path, *(f"{i}\tthe old cat\tthe old c{'at' * i}" for i in range(5)))
    arguments = (
        "similarity",
        "letters",
        "--data",
        data,
        "--resamplings",
        20,
        "--noise",
        "typo,drop",
        "--json",
    )
    result = json.loads(cli(*arguments, "--sts", sts, "--rate", 0.4, "--seed", 3)[1])
    assert result["textgan"] == textgan.__version__
    n = result["facts"]["lines"]
    row = result["rows"]["letters"]
    assert list(row) == [
        "uniformity/lines", "sts/all", "alignment/drop", "first/drop", "reciprocal/drop",
        "alignment/typo", "first/typo", "reciprocal/typo",
    ]  # fmt: skip
    for name, score in row.items():
        assert score["low"] <= score["value"] <= score["high"], name
        family, column = name.split("/")
        signature = score["signature"]
        assert signature.startswith(f"{family}|enc:letters|n:{5 if family == 'sts' else n}|data:")
        assert signature.endswith(f"|v:{textgan.__version__}")
        if column in ("drop", "typo"):
            assert f"|noise:{column}|rate:0.4|tok:word|seed:3|" in signature
    assert set(result["facts"]["changed"]) == {"drop", "typo"}
    other = tmp_path / "other.txt"
    other.write_text(data.read_text().replace("moon", "star"))
    again = json.loads(cli(*arguments[:3], other, *arguments[4:])[1])
    signatures = [
        one["rows"]["letters"]["uniformity/lines"]["signature"] for one in (result, again)
    ]
    assert signatures[0] != signatures[1]


@pytest.mark.usefixtures("stubs")
def test_more_noise_is_further_away_and_harder_to_find(data: Path) -> None:
    rows = [
        evaluate_encoders(["letters"], data=data, rate=rate, resamplings=0).rows["letters"]
        for rate in (0.1, 0.6)
    ]
    for kind in ("drop", "replace"):
        little, much = (
            {f: row[f"{f}/{kind}"].estimate.value for f in ("alignment", "reciprocal")}
            for row in rows
        )
        assert little["alignment"] < much["alignment"]
        assert little["reciprocal"] > much["reciprocal"]


@pytest.mark.usefixtures("stubs")
def test_the_interval_of_uniformity_is_that_of_its_subsets(data: Path) -> None:
    from textgan.core.statistics import over_subsets, spread
    from textgan.encoders.similarity import uniformity

    lines = different_lines(data)
    vectors = BagOfWords(lines).encode_lines(lines)
    value = uniformity(vectors)
    replicates = over_subsets([value], lambda some: [uniformity(vectors[some])], len(lines), 40, 0)
    expected = spread(value, replicates[:, 0])
    result = evaluate_encoders(["letters"], data=data, noise=["drop"], resamplings=20)
    estimate = result.rows[BASELINE]["uniformity/lines"].estimate
    assert estimate.value == pytest.approx(expected.value)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.usefixtures("stubs")
def test_each_subset_of_pairs_has_its_own_number(data: Path, tmp_path: Path) -> None:
    lines = different_lines(data)[:24]
    rows = [f"{'xxy'[i % 3]}\t{i % 5}\t{a}\t{b}" for i, (a, b) in enumerate(pairwise(lines))]
    path = write(tmp_path, *rows)
    result = evaluate_encoders(["letters"], data=data, sts=path, noise=["drop"], resamplings=0)
    sts, encoder = read_sts(path), Stub("letters", STUBS["letters"])
    cosines = pair_cosines(encoder.encode_lines(sts.first), encoder.encode_lines(sts.second))
    for name, some in sts.parts().items():
        score = result.rows["letters"][f"sts/{name}"]
        expected = 100 * spearman(cosines.numpy()[some], sts.gold[some])
        assert score.estimate.value == pytest.approx(expected)
        assert f"|n:{len(some)}|" in score.signature
        assert f"|subset:{name}|" in score.signature


@pytest.mark.usefixtures("stubs")
def test_at_most_so_many_lines(data: Path) -> None:
    result, again, other = (
        evaluate_encoders(
            ["letters"], data=data, noise=["drop"], limit=20, resamplings=0, seed=seed
        )
        for seed in (0, 0, 1)
    )
    assert result.facts["lines"] == 20
    assert result.to_dict() == again.to_dict()
    assert result.facts["sha256"] != other.facts["sha256"]


def test_encoders_that_were_saved(cli: Cli, data: Path, tmp_path: Path) -> None:
    lines = data.read_text().splitlines()
    tokenizer = WordTokenizer.train(lines)
    folders = [tmp_path / "one" / "encoder", tmp_path / "two" / "encoder"]
    for folder in folders:
        settings = {"embedding": 4, "hidden": 3}
        network = build_network("rnn", settings, tokenizer)
        sha256 = hashlib.sha256(data.read_bytes()).hexdigest() if folder == folders[1] else ""
        save_encoder(folder, "rnn", settings, network, tokenizer, {"data": {"sha256": sha256}})
    before = torch.get_rng_state()
    code, out, err = cli("similarity", *folders, "--data", data, "--resamplings", 20)
    assert (code, err) == (0, "")
    rows = [line.split("  ")[0] for line in out.split("\n\n")[0].splitlines()[2:]]
    assert rows == [BASELINE, "encoder", "encoder (2)"]
    assert "encoder (2): learnt from lines of lines.txt" in out
    assert "encoder: learnt" not in out
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("stubs")
def test_what_cannot_be_measured_is_refused_in_one_line(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    def said(*arguments: object) -> str:
        return refused(cli, "similarity", *arguments)

    given = ("letters", "--data", data)
    assert "some of its vectors are not finite" in said("broken", "--data", data)
    wrong = said(*given, "--noise", "dorp")
    assert "noise = 'dorp': there is no such noise; did you mean 'drop'?" in wrong
    assert "noise = ',': give at least one name" in said(*given, "--noise", ",")
    for rate in ("0", "1.5", "nan", "-1"):
        assert f"rate = {float(rate)}: give a number from 1e-09 to 1" in said(
            *given, "--rate", rate
        )
    assert "tokens = 'byte': give word or char" in said(*given, "--tokens", "byte")
    assert "changes no line" in said(*given, "--noise", "typo", "--tokens", "char")
    assert "changes no line" in said(*given, "--rate", 1e-9)
    assert "there is no such file" in said("letters", "--data", tmp_path / "none.txt")
    assert "sts = " in said(*given, "--sts", tmp_path / "none.tsv")
    assert "device = 'gpu' is unknown" in said(*given, "--device", "gpu")
    assert "--data" in said("letters")
    few = tmp_path / "few.txt"
    few.write_text("a b\nc d\n" * 30)
    assert "has 2 different lines; at least 20 are needed" in said("letters", "--data", few)
    few.write_text("\n".join("a " * n for n in range(1, 40)))
    assert "all lines are made of one word" in said("letters", "--data", few)


@pytest.mark.usefixtures("stubs")
def test_control_c_ends_in_one_line(cli: Cli, data: Path) -> None:
    code, out, err = cli("similarity", "letters", "stopped", "--data", data, "--noise", "drop")
    assert (code, out) == (130, "")
    assert err == "textgan: stopped; nothing is kept of textgan similarity\n"


def test_a_folder_without_an_encoder_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    assert str(tmp_path) in refused(cli, "similarity", tmp_path, "--data", data)
    assert "hf:" in refused(cli, "similarity", f"hf:{tmp_path / 'none'}", "--data", data)
