import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from answers import to_source
from numpy.typing import NDArray
from places import SHARED_DATA
from worlds import FIXED, agree, enumerate_texts, probabilities, same, texts_of

from textgan.core.errors import UserError
from textgan.data.text import Condition, Text, TextSpace, exchange_sources
from textgan.data.tokenizers import WordTokenizer
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.likelihood import nll_per_token
from textgan.models.oracle import (
    FILE_ORDER,
    ConditionalOracle,
    load_oracle,
    make_oracle,
    oracle_corpus,
)

V, E, H = 11, 4, 5
PUBLISHED = SHARED_DATA / "oracle/seqgan_target_lstm.npz"

Arrays = dict[str, NDArray[Any]]


def shape_of(key: str) -> tuple[int, ...]:
    known: dict[str, tuple[int, ...]] = {"embedding": (V, E), "W_out": (H, V), "b_out": (V,)}
    return known.get(key) or {"W": (E, H), "U": (H, H), "b": (H,)}[key[0]]


@pytest.fixture
def arrays() -> Arrays:
    random = np.random.default_rng(0)
    return {key: random.normal(size=shape_of(key)).astype(np.float32) for key in FILE_ORDER}


def to_npz(arrays: Arrays, path: Path) -> Path:
    np.savez(path, **arrays)
    return path


def to_pickle(arrays: Arrays, path: Path, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps([arrays[key] for key in FILE_ORDER], protocol))
    return path


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 did, as a `str`."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, content: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch[bytes] = save_bytes


def by_hand(
    arrays: Arrays, sentences: list[list[int]], added: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """log P of sentences, word by word, in the gate order that the original names.

    added: to the vector of every word that is read, a row for each sentence.
    """

    def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-x))

    result = []
    for number, sentence in enumerate(sentences):
        c, h, log_p = np.zeros(H), np.zeros(H), 0.0
        for before, word in zip([0, *sentence], sentence, strict=False):
            x = arrays["embedding"][before].astype(np.float64)
            x = x if added is None else x + added[number]
            gate = {
                g: x @ arrays[f"W_{g}"] + h @ arrays[f"U_{g}"] + arrays[f"b_{g}"] for g in "ifoc"
            }
            c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["c"])
            h = sigmoid(gate["o"]) * np.tanh(c)
            logits = h @ arrays["W_out"] + arrays["b_out"]
            log_p += logits[word] - np.log(np.exp(logits).sum())
        result.append(log_p)
    return np.array(result)


def holds(oracle: LSTMGenerator, arrays: Arrays) -> bool:
    """Whether an oracle's weights are exactly those of the arrays."""
    weights = dict(oracle.named_parameters())

    def is_there(name: str, expected: NDArray[Any]) -> bool:
        return np.array_equal(weights[name].numpy(), expected.astype(np.float32))

    def stacked(kind: str) -> NDArray[Any]:
        return np.concatenate([arrays[f"{kind}_{gate}"].T for gate in "ifco"])

    return (
        is_there("embedding.weight", arrays["embedding"])
        and is_there("rnn.weight_ih_l0", stacked("W"))
        and is_there("rnn.weight_hh_l0", stacked("U"))
        and is_there("rnn.bias_ih_l0", stacked("b"))
        and is_there("output.weight", arrays["W_out"].T)
        and is_there("output.bias", arrays["b_out"])
        and not weights["rnn.bias_hh_l0"].any()
    )


# --- oracles of one's own ---


def test_the_same_seed_makes_the_same_oracle() -> None:
    a, b, other = (make_oracle(50, 6, 8, 9, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["embedding.weight"], other["embedding.weight"])


def test_making_an_oracle_disturbs_no_random_numbers() -> None:
    before = torch.get_rng_state()
    oracle = make_oracle(20, 4, 3, 3, 1)
    oracle_corpus(oracle, 30, 20, 5, {})
    assert torch.equal(torch.get_rng_state(), before)


def test_an_oracle_is_standard_normal_and_frozen() -> None:
    oracle = make_oracle(2000, 20, 32, 32, 0)
    for name, parameter in oracle.named_parameters():
        assert not parameter.requires_grad
        if "bias_hh" in name:  # one bias a gate, as in the paper
            assert not parameter.any()
        else:
            few = 4 / parameter.numel() ** 0.5
            assert abs(parameter.mean().item()) < few
            assert abs(parameter.std().item() - 1) < few
    assert (oracle.space.vocabulary, oracle.space.length, oracle.space.eos) == (2000, 20, None)


def test_an_oracle_prefers_its_own_texts() -> None:
    oracle = make_oracle(200, 8, 16, 16, 0)
    own = nll_per_token(oracle, draw_texts(oracle, 500)).value
    uniform = nll_per_token(oracle, Text.full(torch.randint(200, (500, 8)))).value
    assert own < np.log(200) < uniform


def test_the_corpus_of_an_oracle_is_split_as_told() -> None:
    oracle = make_oracle(20, 4, 3, 3, 1)
    corpus = oracle_corpus(oracle, 30, 20, 5, {"made": "here"})
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [30, 20, 20]
    assert corpus.facts == {"made": "here", "split": {"train": 30, "valid": 20, "test": 20}}
    assert corpus.space == oracle.space
    assert corpus.tokenizer == WordTokenizer.numbers(corpus.space.vocabulary, corpus.space.length)
    line = corpus.decode(corpus.train[:1])[0]
    assert line.split() == [str(token) for token in corpus.train.tokens[0].tolist()]
    again = oracle_corpus(oracle, 30, 20, 5, {})
    assert torch.equal(again.train.tokens, corpus.train.tokens)
    assert torch.equal(again.test.tokens, corpus.test.tokens)
    other = oracle_corpus(oracle, 30, 20, 6, {})
    assert not torch.equal(other.train.tokens, corpus.train.tokens)


# --- oracles whose texts answer a source ---

SOURCES = TextSpace(2, 2)


def conditional(seed: int = 0) -> ConditionalOracle:
    """An oracle of 27 texts, each in answer to one of four sources."""
    oracle = make_oracle(3, 3, 3, 4, seed, SOURCES)
    assert isinstance(oracle, ConditionalOracle)
    return oracle.double()


def test_an_oracle_with_sources_is_the_lstm_that_reads_their_mean() -> None:
    oracle = make_oracle(V, 6, E, H, 3, TextSpace(7, 4))
    weights = {name: weight.numpy() for name, weight in oracle.named_parameters()}
    arrays = {"embedding": weights["embedding.weight"], "W_out": weights["output.weight"].T}
    arrays["b_out"] = weights["output.bias"]
    for number, gate in enumerate("ifco"):
        rows = slice(number * H, (number + 1) * H)
        arrays[f"W_{gate}"] = weights["rnn.weight_ih_l0"][rows].T
        arrays[f"U_{gate}"] = weights["rnn.weight_hh_l0"][rows].T
        arrays[f"b_{gate}"] = weights["rnn.bias_ih_l0"][rows]
    source, sentences = torch.randint(7, (20, 4)), torch.randint(V, (20, 6))
    added = weights["source_embedding.weight"].astype(np.float64)[source].sum(1) / 2
    right = torch.from_numpy(by_hand(arrays, sentences.tolist(), added))
    text = replace(Text.full(sentences), condition=Condition(source=Text.full(source)))
    assert same(oracle.double().score(text), right, 1e-10)


def test_sources_leave_the_weights_of_an_oracle_as_they_were() -> None:
    alone, conditional = make_oracle(20, 4, 3, 3, 1), make_oracle(20, 4, 3, 3, 1, SOURCES)
    weights = conditional.state_dict()
    assert all(torch.equal(weights[name], one) for name, one in alone.state_dict().items())
    assert conditional.reads_source and not alone.reads_source
    assert not any(parameter.requires_grad for parameter in conditional.parameters())


def test_probabilities_given_each_source_sum_to_one() -> None:
    oracle, texts = conditional(), enumerate_texts(FIXED)
    given = [
        probabilities(oracle, to_source(texts, source))
        for source in enumerate_texts(SOURCES).split(1)
    ]
    for chances in given:
        assert same(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert same(given[1], given[2])  # (0, 1) and (1, 0) have one mean
    assert (given[0] - given[3]).abs().sum() > 0.5


def test_what_an_oracle_writes_word_by_word_is_what_it_scores() -> None:
    oracle, texts = conditional(), to_source(enumerate_texts(FIXED), texts_of(SOURCES, [(1, 0)]))
    forks = torch.arange(len(texts)).flip(0)
    state = oracle.start(len(texts), texts.condition)[forks]
    symbol, total = torch.zeros_like(forks), torch.zeros(len(forks)).double()
    for word in texts.tokens[forks].unbind(1):
        logits, state = oracle.step(symbol, state)
        total += logits.log_softmax(1).gather(1, word.unsqueeze(1)).squeeze(1)
        symbol = word
    assert same(total, oracle.score(texts)[forks])


def test_pairs_are_drawn_as_the_oracle_says() -> None:
    oracle = conditional()
    corpus = oracle_corpus(oracle, 8000, 20, 5, {})
    texts = enumerate_texts(FIXED)
    chances = [
        probabilities(oracle, to_source(texts, source)) / 4
        for source in enumerate_texts(SOURCES).split(1)
    ]
    assert corpus.train.source is not None
    codes = torch.cat([corpus.train.source.tokens, corpus.train.tokens], 1)
    pairs = codes @ torch.tensor([2 * 27, 27, 9, 3, 1])
    # enumeration is in the order of digits, sources before texts
    assert agree(torch.bincount(pairs, minlength=4 * 27), torch.cat(chances))
    assert corpus.source_tokenizer == WordTokenizer.numbers(2, 2)
    again = oracle_corpus(oracle, 50, 20, 5, {})
    assert torch.equal(again.test.tokens, corpus.test.tokens)
    for part in (corpus.train, corpus.valid, corpus.test):
        assert part.source is not None
    assert torch.equal(again.test.source.tokens, corpus.test.source.tokens)  # type: ignore[union-attr]
    line = corpus.decode(corpus.test[:1])[0]
    assert [len(side.split()) for side in line.split("\t")] == [2, 3]


def test_the_mean_over_pairs_is_the_entropy_given_the_source() -> None:
    oracle, texts = conditional(), enumerate_texts(FIXED)
    exact, spread = 0.0, 0.0
    for source in enumerate_texts(SOURCES).split(1):
        chances = probabilities(oracle, to_source(texts, source))
        exact += float(-(chances * chances.log()).sum()) / 4
        spread += float((chances * chances.log().square()).sum()) / 4
    corpus = oracle_corpus(oracle, 20, 4000, 1, {})
    error = (spread - exact**2) ** 0.5 / 4000**0.5 / 3
    assert abs(nll_per_token(oracle, corpus.test).value - exact / 3) < 4 * error


def test_the_source_says_much_of_a_text_down_to_its_end() -> None:
    """With another's source every token costs 3 nats more; a constant source says nothing."""
    oracle = make_oracle(100, 20, 32, 32, 0, TextSpace(20, 5))
    test = oracle_corpus(oracle, 20, 1000, 0, {}).test
    cost = [-oracle.log_prob(text).mean(0) for text in (exchange_sources(test), test)]
    assert (cost[0] - cost[1]).mean() > 3
    assert (cost[0] - cost[1]).min() > 1


# --- published oracles ---


def test_a_loaded_oracle_is_the_lstm_of_the_original(arrays: Arrays, tmp_path: Path) -> None:
    oracle = load_oracle(to_npz(arrays, tmp_path / "oracle.npz"), 6).double()
    sentences = torch.randint(V, (20, 6))
    right = torch.from_numpy(by_hand(arrays, sentences.tolist()))
    assert same(oracle.score(Text.full(sentences)), right, 1e-10)
    assert not any(parameter.requires_grad for parameter in oracle.parameters())
    assert (oracle.space.vocabulary, oracle.space.length, oracle.space.eos) == (V, 6, None)


@pytest.mark.parametrize("kind", ["f4", "f8", ">f4", ">f8"])
def test_npz_holds_the_weights_exactly(arrays: Arrays, tmp_path: Path, kind: str) -> None:
    stored = {key: array.astype(kind) for key, array in arrays.items()}
    assert holds(load_oracle(to_npz(stored, tmp_path / "oracle.npz"), 6), arrays)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickles_hold_the_weights_exactly(
    arrays: Arrays, tmp_path: Path, protocol: int, kind: str, order: Any
) -> None:
    stored = {key: np.array(array, kind, order=order) for key, array in arrays.items()}
    oracle = load_oracle(to_pickle(stored, tmp_path / "oracle.pkl", protocol), 6)
    assert holds(oracle, arrays)


@pytest.mark.parametrize("kind", [">f4", ">f8"])
def test_pickles_of_another_byte_order_hold_the_weights_exactly(
    arrays: Arrays, tmp_path: Path, kind: str
) -> None:
    stored = {key: array.astype(kind) for key, array in arrays.items()}
    for protocol in range(6):
        oracle = load_oracle(to_pickle(stored, tmp_path / "oracle.pkl", protocol), 6)
        assert holds(oracle, arrays)
        # the byte order of a file must not become that of all arrays
        assert np.array([1.5], "f4").tobytes() == struct.pack("=f", 1.5)


def test_a_pickle_of_python_2_holds_the_weights_exactly(arrays: Arrays, tmp_path: Path) -> None:
    file = io.BytesIO()
    Python2Pickler(file, 2).dump([arrays[key] for key in FILE_ORDER])
    content = file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in content
    assert b"_codecs" not in content
    (tmp_path / "oracle.pkl").write_bytes(content)
    assert holds(load_oracle(tmp_path / "oracle.pkl", 6), arrays)


class Calls:
    """Pickles as a call of something."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.parts = (call, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cannot_run_anything(arrays: Arrays, tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "oracle.pkl"
    touch = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    hostile = [
        Calls(os.system, f"touch '{marker}'"),
        Calls(eval, touch),
        Calls(exec, touch),
        Calls(Path.touch, marker),
        Calls(getattr, "abc", "upper"),
        Calls(np.fromfile, str(path)),
    ]
    for call in hostile:
        for content in (call, [call, *list(arrays.values())[1:]], [call] * 15, {"a": call}):
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(UserError, match="pickle of arrays"):
                load_oracle(path, 6)
            assert not marker.exists()
    # what was refused would have worked
    pickle.loads(pickle.dumps(hostile[1], protocol))
    assert marker.exists()


def test_a_pickle_cannot_make_objects_out_of_addresses(tmp_path: Path) -> None:
    # numpy.ndarray, if a pickle may call it, reads pointers from bytes; whatever stands there is
    # then asked for its size, by a method that its type names
    class Witness:
        asked = False

        def __index__(self) -> int:
            self.asked = True
            return 1

    witness = Witness()
    pointers = Calls(np.ndarray, (1,), "O", struct.pack("P", id(witness)))
    path = tmp_path / "oracle.pkl"
    for protocol in range(6):
        path.write_bytes(pickle.dumps(Calls(np.ndarray, pointers), protocol))
        with pytest.raises(UserError, match=r"oracle\.parameters"):
            load_oracle(path, 6)
        assert not witness.asked


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_other_things_is_refused(arrays: Arrays, tmp_path: Path, protocol: int) -> None:
    first, *others = (arrays[key] for key in FILE_ORDER)
    wrong = [
        np.array([[{}]], object),
        np.array([[b"word"]]),
        first.astype(np.int64),
        first.astype([("a", "f4")]),
        np.ma.masked_array(first),
        first.tolist(),
        None,
        Calls(np.ndarray, (2**62,), "f8"),
        Calls(np.ndarray, (2, 2), "O"),
        Calls(np.frombuffer, b"12345678", "f8"),
    ]
    path = tmp_path / "oracle.pkl"
    for array in wrong:
        path.write_bytes(pickle.dumps([array, *others], protocol))
        with pytest.raises(UserError, match=r"oracle\.parameters"):
            load_oracle(path, 6)
    for content in ([first, *others, first], others, dict(arrays), {}, 5, "text"):
        path.write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(UserError, match="list of 15 arrays in the order of embedding, W_i"):
            load_oracle(path, 6)


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", b"\x80\x02", b"\x80\x04]" + b"(" * 99])
def test_a_file_that_is_no_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "oracle.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"oracle\.pkl' is neither an \.npz nor a pickle"):
        load_oracle(tmp_path / "oracle.pkl", 6)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path, message in {tmp_path / "oracle.npz": "no such file", tmp_path: "is a folder"}.items():
        with pytest.raises(UserError, match=message) as caught:
            load_oracle(path, 6)
        assert str(path) in str(caught.value)


def test_a_cut_off_file_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    for whole in (to_npz(arrays, tmp_path / "a.npz"), to_pickle(arrays, tmp_path / "a.pkl")):
        content = whole.read_bytes()
        for share in (0.01, 0.5, 0.99):
            cut = tmp_path / f"cut{whole.suffix}"
            cut.write_bytes(content[: int(share * len(content))])
            with pytest.raises(UserError, match="cut"):
                load_oracle(cut, 6)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_refused(
    arrays: Arrays, tmp_path: Path, save: Callable[..., None]
) -> None:
    path = tmp_path / "oracle.npz"
    save(path, **arrays)
    content = bytearray(path.read_bytes())
    for place in range(60, 180):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"oracle\.npz"):
        load_oracle(path, 6)


@pytest.mark.parametrize("missing", ["embedding", "U_o", "b_out"])
def test_a_missing_array_is_named(arrays: Arrays, tmp_path: Path, missing: str) -> None:
    del arrays[missing]
    with pytest.raises(UserError, match=f"has no array '{missing}'; needed: embedding, W_i"):
        load_oracle(to_npz(arrays, tmp_path / "oracle.npz"), 6)


def test_further_arrays_are_ignored(arrays: Arrays, tmp_path: Path) -> None:
    more = arrays | {"note": np.array(["by me"]), "extra": np.array([{}], object)}
    assert holds(load_oracle(to_npz(more, tmp_path / "oracle.npz"), 6), arrays)


@pytest.mark.parametrize("save", [to_npz, to_pickle])
@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("embedding", (V,)),
        ("embedding", (0, E)),
        ("embedding", (V, E + 1)),
        ("embedding", (V + 1, E)),
        ("W_i", (H, E)),
        ("U_c", (H, H + 1)),
        ("b_f", (1, H)),
        ("W_out", ()),
        ("W_out", (V, H)),
        ("b_out", (V - 1,)),
    ],
)
def test_arrays_of_the_wrong_shape_are_refused(
    arrays: Arrays,
    tmp_path: Path,
    save: Callable[[Arrays, Path], Path],
    key: str,
    shape: tuple[int, ...],
) -> None:
    arrays[key] = np.ones(shape, np.float32)
    with pytest.raises(UserError, match=r"has shape \(.*\), expected"):
        load_oracle(save(arrays, tmp_path / "oracle.npz"), 6)


@pytest.mark.parametrize("save", [to_npz, to_pickle])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers_are_refused(
    arrays: Arrays, tmp_path: Path, save: Callable[[Arrays, Path], Path], value: float
) -> None:
    arrays["U_f"][2, 1] = value
    with pytest.raises(UserError, match="U_f must hold finite floating-point numbers"):
        load_oracle(save(arrays, tmp_path / "oracle.npz"), 6)


def test_weights_too_large_for_float32_are_refused(arrays: Arrays, tmp_path: Path) -> None:
    arrays["W_c"] = arrays["W_c"].astype(np.float64) * 1e200
    with pytest.raises(UserError, match="W_c must hold finite floating-point numbers"):
        load_oracle(to_npz(arrays, tmp_path / "oracle.npz"), 6)


@pytest.mark.parametrize("kind", [np.int64, np.complex64, np.bool_, "U3"])
def test_arrays_of_other_things_are_refused(arrays: Arrays, tmp_path: Path, kind: Any) -> None:
    arrays["b_i"] = np.ones(H).astype(kind)
    with pytest.raises(UserError, match="b_i must hold finite floating-point numbers"):
        load_oracle(to_npz(arrays, tmp_path / "oracle.npz"), 6)


def test_an_npz_of_objects_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    arrays["b_i"] = np.array([Calls(Path.touch, marker)], object)
    with pytest.raises(UserError, match=r"not a readable \.npz of plain arrays"):
        load_oracle(to_npz(arrays, tmp_path / "oracle.npz"), 6)
    assert not marker.exists()


def test_an_npz_of_other_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "oracle.npz"
    with zipfile.ZipFile(path, "w") as file:
        for key in FILE_ORDER:
            file.writestr(f"{key}.npy", b"these are not the arrays")
    with pytest.raises(UserError, match=r"oracle\.npz"):
        load_oracle(path, 6)


def test_an_npz_that_claims_to_be_huge_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    path = to_npz(arrays, tmp_path / "oracle.npz")
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    claim = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**18)}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, claim)
    members["embedding.npy"] = header.getvalue() + bytes(64)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(UserError, match=r"not a readable \.npz"):
        load_oracle(path, 6)


@pytest.mark.shared_data
@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published oracle is not here")
def test_the_published_oracle_has_its_published_entropy() -> None:
    oracle = load_oracle(PUBLISHED, 20)
    assert oracle.embedding.weight.shape == (5000, 32)
    with torch.no_grad():
        own = nll_per_token(oracle, draw_texts(oracle, 4000)).value
    uniform = nll_per_token(oracle, Text.full(torch.randint(5000, (500, 20)))).value
    assert 5.72 < own < 5.78
    assert 11.3 < uniform < 11.5


def test_a_pickle_with_line_ends_of_text_is_called_damaged(tmp_path: Path) -> None:
    arrays = [np.zeros((2, 2), dtype=np.float32)] * len(FILE_ORDER)
    path = tmp_path / "crlf.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=0).replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match=r"crlf.pkl' is damaged: all its line feeds .*autocrlf"):
        load_oracle(path, 20)
    path.write_bytes(b"\x80\x02cos\nsys\ttem\n.")
    with pytest.raises(UserError, match=r"neither an .npz nor a pickle of arrays") as refused:
        load_oracle(path, 20)
    assert str(refused.value).isprintable()


def small_arrays() -> dict[str, Any]:
    result: dict[str, Any] = {"embedding": np.ones((4, 2), np.float32)}
    for gate in "ifoc":
        result |= {
            f"W_{gate}": np.ones((2, 3)),
            f"U_{gate}": np.ones((3, 3)),
            f"b_{gate}": np.ones(3),
        }
    return result | {"W_out": np.asfortranarray(np.ones((3, 4))), "b_out": np.ones(4)}


def test_every_way_in_which_numpy_saves_arrays_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    arrays = small_arrays()
    arrays["W_out"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays)
        oracle = load_oracle(path, 5)
        assert oracle.output.weight.tolist() == arrays["W_out"].T.tolist()


def npy(header: str, content: bytes = b"") -> bytes:
    raw = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + content


@pytest.mark.parametrize(
    "header",
    [
        "(((", "'''", "{", "  x\n y", "[" * 9000, "",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 100 + ",), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }",
    ],
)  # fmt: skip
def test_hostile_headers_of_arrays_are_one_line(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as file:
        for key in FILE_ORDER:
            file.writestr(f"{key}.npy", npy(header, b"\0" * 16))
    with pytest.raises(UserError, match=r"x\.npz' is not a readable \.npz of plain arrays: .+"):
        load_oracle(path, 5)


def test_hostile_archives_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, **small_arrays())
    whole = path.read_bytes()
    at = [i for i in range(len(whole)) if whole.startswith(b"PK\x01\x02", i)]
    changes = {8: (0x01, 0x20, 0x40), 10: (1, 6, 9, 12, 14, 93, 97, 98, 99)}
    for offset, values in changes.items():  # flags: encrypted, patched; kinds of compression
        for value in values:
            content = bytearray(whole)
            for i in at:
                content[i + offset] = value
            path.write_bytes(content)
            with pytest.raises(UserError, match=r"x\.npz"):
                load_oracle(path, 5)
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", kind) as file:
            for key, array in small_arrays().items():
                buffer = io.BytesIO()
                np.save(buffer, array)
                file.writestr(f"{key}.npy", buffer.getvalue())
        with pytest.raises(UserError, match="another way"):
            load_oracle(path, 5)
    random = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        for i in random.integers(0, len(content), 3):
            content[i] = int(random.integers(0, 256))
        path.write_bytes(content)
        with suppress(UserError):  # and nothing else
            load_oracle(path, 5)


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000,), }"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key in FILE_ORDER:
            file.writestr(f"{key}.npy", npy(header, bytes(4_000_000)))
    with pytest.raises(UserError, match="its arrays take more than 1,048,576 bytes"):
        load_oracle(path, 5, largest=2**20)
    lying = bytearray(path.read_bytes())
    for i in [i for i in range(len(lying)) if lying.startswith(b"PK\x01\x02", i)]:
        lying[i + 24 : i + 28] = (100).to_bytes(4, "little")  # what it claims to be large
    path.write_bytes(lying)
    with pytest.raises(UserError, match=r"x\.npz"):
        load_oracle(path, 5, largest=2**20)
