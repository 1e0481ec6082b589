"""Files and settings that somebody else made: corpora, samples, configs, oracles, whole folders."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from .base import TINY, TINY_ORACLE, Kind, Result, sentences
from .outcomes import Outcome, judge
from .process import run_command

# odd, and text all the same
_PIECES = (
    b"\xef\xbb\xbf",
    b"\r",
    b"\r\n",
    b"\n\n\n",
    b"\x1b[2J",
    b"\x0c",
    "\u2028\u2029".encode(),
    "\u202e".encode(),
    b"\xf0\x9f\x90\x88",
    "床 前 明 月 光".encode(),
    "床前明月光".encode(),
    b"\t",
    b"a\tb",
    b"<unk> <s> </s>",
    b"=1+1",
    b'"',
    b"%s{0}",
    b"<script>alert(1)</script>",
    b"\xc2\xa0",
    b" " * 5000,
    b"[[[[[[",
    "\u0301\u0489".encode(),
    "\u200b\ufeff".encode(),
    "\ue000\U0010ffff".encode(),
)
# what no file of sentences has
_BROKEN = (
    b"\xff\xfe", b"\x00", b"\x85", "é".encode("latin-1"), b"a\tb\tc", b"{\"text\": \"a cat\"}",
    b"text,label\n\"a, cat\",1", b"\xed\xa0\x80", b"a" * 100_000, b"\x1a", b"\x1f\x8b\x08",
)  # fmt: skip


def odd_bytes(random: Random, size: int = 40) -> bytes:
    """Something like a file of sentences, with whatever may be wrong about one."""
    way = random.randrange(16)
    if way == 0:
        return random.randbytes(random.randint(0, 4000))
    number = random.choice((0, 1, 2, 10)) if random.random() < 0.1 else size
    lines = [line.encode() for line in sentences(random, number)]
    pieces = _PIECES if random.random() < 0.7 else (*_PIECES, *_BROKEN)
    for _ in range(random.choice((0, 1, 1, 3, 10))):
        piece = random.choice(pieces)
        if lines and random.random() < 0.7:
            at = random.randrange(len(lines))
            cut = random.randint(0, len(lines[at]))
            lines[at] = lines[at][:cut] + piece + lines[at][cut:]
        else:
            lines.insert(random.randint(0, len(lines)), piece)
    if way == 1:
        piece = random.choice(pieces)
        lines = [line + piece for line in lines]
    if way == 2 and lines:
        lines = [random.choice(lines)] * size
    content = random.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines)
    encoding = random.choice(("utf-8",) * 30 + ("utf-16", "utf-16-le", "utf-32", "utf-7"))
    if encoding != "utf-8":
        content = content.decode("utf-8", "replace").encode(encoding, "replace")
    return content


class Corpora(Kind):
    """Odd files of sentences, to train on."""

    name = "corpus"
    share = 0.12

    def case(self, random: Random, folder: Path) -> Result:
        suffix = random.choice(
            (".txt",) * 9 + (".tsv", ".tsv", ".csv", ".jsonl", ".json", ".gz", "")
        )
        path = folder / f"corpus{suffix}"
        content = odd_bytes(random, 60)
        if suffix == ".tsv" and random.random() < 0.8:
            content = b"\n".join(
                b"ab"[i % 2 : i % 2 + 1] + b"\t" + x for i, x in enumerate(content.split(b"\n"))
            )
        path.write_bytes(content)
        options = []
        if random.random() < 0.3:
            options += ["--tokens", "char"]
        for setting in ("data.min_count=1", "data.vocabulary=5", "data.length=4", "data.labels=no"):
            if random.random() < 0.2:
                options.append(setting)
        method = "sentigan" if suffix == ".tsv" else random.choice(("mle", "seqgan"))
        tiny = [key for key in TINY if method != "mle" or not key.startswith("discr")]
        tiny = [key for key in tiny if method == "seqgan" or not key.startswith("objective")]
        if method == "sentigan":
            tiny.append("objective.rollouts=1")
        what = f"train {method} --data {path.name} ({path.stat().st_size} bytes) {options}"
        run = folder / "run"
        ended = run_command(
            ["train", method, "--data", path, *options, *tiny, "--out", run], folder
        )
        outcome, detail = judge(ended), ended.err[-2500:]
        if outcome is Outcome.OK:
            for after in (
                ["sample", run, "-n", 5],
                ["evaluate", run, "--metrics", "distinct,bleu"],
            ):
                ended = run_command(after, folder)
                outcome, detail = judge(ended), f"{after[0]}: {ended.err[-2500:]}"
                if outcome is not Outcome.OK:
                    break
        return Result(what, outcome, detail)


class Samples(Kind):
    """Odd files of texts, to evaluate against odd references."""

    name = "samples"
    share = 0.1

    def case(self, random: Random, folder: Path) -> Result:
        names = {}
        for name in ("texts", "references", "train"):
            names[name] = folder / (
                name + random.choice((".txt", ".txt", ".txt", ".tsv", ".jsonl"))
            )
            odd = random.random() < (0.8 if name == "texts" else 0.4)
            good = ("\n".join(sentences(random, 40)) + "\n").encode()
            names[name].write_bytes(odd_bytes(random) if odd else good)
        metrics = random.choice(("bleu,distinct", "jsd,ms_jaccard,novelty", "self_bleu,repetition"))
        rest: list[object] = ["--metrics", metrics]
        if random.random() < 0.5:
            rest += ["--train", names["train"]]
        if random.random() < 0.3:
            rest += ["--tokenizer", random.choice(("nltk", "whitespace", "char"))]
        ended = run_command(
            ["evaluate", names["texts"], "--references", names["references"], *rest], folder
        )
        return Result(f"evaluate odd texts {metrics}", judge(ended), ended.err[-2500:])


class Configs(Kind):
    """Odd TOML and JSON files, odd key=value settings."""

    name = "config"
    share = 0.12
    VALUES = (
        "0",
        "0",
        "-1",
        "1",
        "1",
        "2",
        "2",
        "3",
        "5",
        "0.5",
        "0.5",
        "1e-3",
        "1.5",
        "-0.0",
        "1e308",
        "nan",
        "inf",
        "true",
        "''",
        "x",
        "[]",
        "[1]",
        "[[[[[[",
        "{}",
        "{a=1}",
        "9" * 5000,
        "9223372036854775808",
        "10000000",
        "2147483648",
        "lstm",
        "gru",
        "cnn",
        "rnn",
        "seqgan",
        "mle",
        "fgm",
        "fgm(epsilon=",
        "fgm(epsilon=1e400)",
        "'\\u0000'",
        "../../etc/passwd",
        "/dev/zero",
        "1\nseed=2",
        "1979-05-27",
        "0x10",
        "evil.py:X",
        "cuda",
        "",
    )

    def case(self, random: Random, folder: Path) -> Result:
        evil(folder)
        pairs = []
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            key, usual = random.choice(self._settings)
            value = random.choice(self.VALUES)
            if random.random() < 0.7:
                value = plausible(random, usual)
            elif random.random() < 0.2:
                key = random.choice(
                    (key + ".x", key.upper(), key[:-1], "." * 5, "", key + "." * 9999)
                )
            pairs.append(f"{key}={value}")
        arguments: list[object] = [*TINY_ORACLE, *TINY]
        what = "train seqgan " + " ".join(pair[:60] for pair in pairs)
        if random.random() < 0.4:
            path = folder / random.choice(("x.toml", "x.toml", "x.json"))
            path.write_bytes(self._file(random, path.suffix, pairs))
            what = f"train {path.name}: {path.read_bytes()[:80]!r}"
            ended = run_command(["train", path, *arguments, "--out", folder / "run"], folder)
        else:
            typed = [pair.replace("evil.py:X", "mle") for pair in pairs]  # what is typed is trusted
            ended = run_command(
                ["train", "seqgan", *arguments, "--out", folder / "run", "--", *typed], folder
            )
        outcome = Outcome.EXECUTED if (folder / "PWNED").exists() else judge(ended)
        return Result(what, outcome, f"{ended.code} {ended.seconds:.1f} s {ended.err[-2500:]}")

    @cached_property
    def _settings(self) -> list[tuple[str, Any]]:
        """Every setting of a run by dotted key, with the value that it usually has."""
        config = json.loads((self.runs.done("oracle") / "config.json").read_text("utf-8"))
        return [
            (f"{group}.{key}" if key else group, setting)
            for group, value in config.items()
            for key, setting in (value.items() if isinstance(value, dict) else (("", value),))
        ]

    def _file(self, random: Random, suffix: str, pairs: list[str]) -> bytes:
        way = random.randrange(6)
        if way == 0:
            return odd_bytes(random)
        if way == 1:
            deep = random.choice((900, 100_000))
            return random.choice(
                ("x = " + "[" * deep, "[" + "a." * deep + "b]", "{" * deep, "a." * deep + "b = 1")
            ).encode()
        if suffix == ".json":
            content = json.loads((self.runs.done("oracle") / "config.json").read_text("utf-8"))
            for pair in pairs:
                group, _, rest = pair.partition(".")
                if isinstance(content.get(group), dict) and rest:
                    content[group][rest.partition("=")[0]] = random.choice(
                        (*self.VALUES, 3, [], {})
                    )
                else:
                    content[group.partition("=")[0]] = random.choice((*self.VALUES, 3, [], None))
            text = json.dumps(content).encode()
        else:
            text = "\n".join(pairs).encode()
        if way == 2 and text:
            harmed = bytearray(text)
            for _ in range(3):
                harmed[random.randrange(len(harmed))] = random.randrange(256)
            return bytes(harmed)
        return text


def plausible(random: Random, usual: Any) -> str:
    """A value of the usual one's type and size, as it is written in TOML."""
    if isinstance(usual, bool):
        return random.choice(("true", "false"))
    if isinstance(usual, int):
        return str(max(0, random.choice((0, 1, 2, 3, usual - 1, usual + 1, 2 * usual))))
    if isinstance(usual, float):
        return repr(float(random.choice((0.0, 0.1, 0.5, 1.0, usual / 3, usual * 3))))
    if isinstance(usual, list):
        return random.choice(("[]", "[1]", "[1, 2]", "[2, 2, 2]"))
    return json.dumps(usual)


class Oracles(Kind):
    """Odd files of an oracle's parameters: pickles that reach for more, arrays that lie."""

    name = "oracle"
    share = 0.1

    def case(self, random: Random, folder: Path) -> Result:
        suffix = random.choice((".pkl", ".npz", ".npz"))
        path = folder / f"oracle{suffix}"
        way = random.choice(("bits", "bits", "cut", "zip", "bomb", "header", "arrays", "junk"))
        content = self._valid[suffix]
        if way in ("bits", "cut", "zip") or (way == "header" and suffix == ".pkl"):
            harmed = bytearray(content)
            for _ in range(random.choice((1, 1, 4, 20))):
                near = random.random() < 0.5
                at = random.randrange(min(len(harmed), 300) if near else len(harmed))
                harmed[-at if near and suffix == ".npz" else at] = random.randrange(256)
            content = bytes(harmed[: random.randrange(len(harmed))] if way == "cut" else harmed)
        elif way == "bomb" and suffix == ".pkl":
            content = _bomb(random, folder)
        elif way in ("bomb", "header"):
            content = _npz_of_headers(random)
        elif way == "arrays":
            content = _npz(_odd_arrays(random))
        elif way == "junk":
            content = random.randbytes(random.randint(0, 3000))
        path.write_bytes(content)
        rest = [
            setting for setting in TINY_ORACLE if "vocab" not in setting and "dd" not in setting
        ]
        ended = run_command(
            ["train", "seqgan", f"oracle.parameters={path}", *rest, *TINY, "--out", folder / "run"],
            folder,
        )
        outcome = Outcome.EXECUTED if (folder / "PWNED").exists() else judge(ended)
        return Result(f"oracle.parameters={path.name}, {way}", outcome, ended.err[-2500:])

    @cached_property
    def _valid(self) -> dict[str, bytes]:
        arrays = _arrays()
        listed = [arrays[name] for name in arrays]
        return {".npz": _npz(arrays), ".pkl": pickle.dumps(listed, protocol=2)}


def _arrays(vocabulary: int = 12, embedding: int = 3, hidden: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype("float32")

    arrays = {"embedding": normal(vocabulary, embedding)}
    for gate in "ifoc":
        arrays[f"W_{gate}"] = normal(embedding, hidden)
        arrays[f"U_{gate}"] = normal(hidden, hidden)
        arrays[f"b_{gate}"] = normal(hidden)
    return arrays | {"W_out": normal(hidden, vocabulary), "b_out": normal(vocabulary)}


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _odd_arrays(random: Random) -> dict[str, Any]:
    arrays = _arrays()
    name = random.choice(list(arrays))
    odd = (
        np.zeros(0), np.array(3.0), np.full(arrays[name].shape, np.nan), np.array("text"),
        arrays[name].astype("complex64"), arrays[name].T, arrays[name][None], np.zeros((1, 10**6)),
        arrays[name].astype("int8"), arrays[name].astype(">f8"),
    )  # fmt: skip
    if random.random() < 0.3:
        del arrays[name]
    else:
        arrays[name] = random.choice(odd)
    return arrays


def _npz_of_headers(random: Random) -> bytes:
    """Arrays whose headers promise anything."""
    headers = (
        "(((", "'''", "{", "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 3), }",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**100},), }}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "  {\n bad", "[" * 9000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }", "", "\x00",
    )  # fmt: skip
    file = io.BytesIO()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    with zipfile.ZipFile(file, "w", random.choice(kinds)) as archive:
        for name in _arrays():
            header = random.choice(headers).encode()
            npy = b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header
            archive.writestr(f"{name}.npy", npy + bytes(random.choice((0, 100, 10**6))))
    content = bytearray(file.getvalue())
    if random.random() < 0.3:  # flags of encryption and unknown compression
        content[random.choice((6, 8))] = random.randrange(256)
    return bytes(content)


class _Reach:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> Any:
        return self.parts


def _bomb(random: Random, folder: Path) -> bytes:
    target = str(folder / "PWNED")
    reach = random.choice(
        (
            _Reach(os.system, f"touch {target}"),
            _Reach(eval, f"open({target!r}, 'w')"),
            _Reach(exec, f"open({target!r}, 'w')"),
            _Reach(os.mkdir, target),
            _Reach(Path.touch, Path(target)),
            _Reach(np.ndarray.tofile, np.zeros(3), target),
            _Reach(np.zeros, (10**6, 10**6)),
            _Reach(bytes, 10**12),
        )
    )
    return pickle.dumps([reach, *_arrays().values()], protocol=random.choice((0, 1, 2, 3, 4)))


def evil(folder: Path) -> Path:
    """A file that leaves a mark when it is imported."""
    path = folder / "evil.py"
    mark = folder / "PWNED"
    path.write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from textgan.objectives.seqgan import SeqGAN\nfrom textgan.perturb.fgm import FGM\n"
        "class X(SeqGAN, name='evil_x'):\n    pass\n",
        "utf-8",
    )
    return path


class Foreign(Kind):
    """A run's folder that names code: no command may run it unasked."""

    name = "foreign"
    share = 0.02
    PLACES = (
        ("objective", "name"), ("generator", "name"), ("discriminator", "name"),
        ("discriminator", "perturb"), ("mle", "perturb"),
    )  # fmt: skip

    def case(self, random: Random, folder: Path) -> Result:
        half = random.random() < 0.5
        source = self.runs.half("oracle") if half else self.runs.done("oracle")
        run = self.runs.copy(source, folder / "run")
        evil(folder)
        evil(run)
        (run / "PWNED").unlink(missing_ok=True)
        group, key = random.choice(self.PLACES)
        named = random.choice(
            ("evil.py:X", str(folder / "evil.py:X"), str(run / "evil.py:X"), "run/evil.py:X",
             "./run/../evil.py:X", "evil.py:X(epsilon=1)", "code/evil.py:X")
        )  # fmt: skip
        config = json.loads((run / "config.json").read_text("utf-8"))
        config[group][key] = named
        (run / "config.json").write_text(json.dumps(config), "utf-8")
        command = random.choice(
            (["sample", run], ["evaluate", run, "--metrics", "distinct"], ["compare", run],
             ["curve", run, "--metrics", "distinct"], ["resume", run], ["report", run],
             ["report", run, "--no-measure"])
        )  # fmt: skip
        what = f"{command[0]} of a folder with {group}.{key} = {named.replace(str(folder), '.')}"
        ended = run_command(command, folder)
        done = (folder / "PWNED").exists() or (run / "PWNED").exists()
        return Result(what, Outcome.EXECUTED if done else judge(ended), ended.err[-2500:])
