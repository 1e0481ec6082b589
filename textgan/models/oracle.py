"""The synthetic oracle: a frozen random LSTM that plays the part of the real language.

Because it has an exact probability of every text, a generator can be scored exactly (SeqGAN, arXiv
1609.05473, section 5.1). Numbers are comparable only for the same oracle, whose entropy is their
floor, so a run measures and prints it.

An oracle may write texts that answer a source: random words, each as probable as the others. It
then reads, with every token, the mean vector of its source's words. (A state that only begins with
that vector forgets it: of the small oracle's texts the twentieth token would show 0.06 nats of its
source, and a generator that learns to read sources would gain 0.05 nats a token.) Every part has
one text for each source, so that means over pairs are unbiased of what is expected given a source,
NLL and divergences alike, and have the least variance that so many texts allow.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.core.files import read_bytes, require_file
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.corpus import Corpus
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.data.tokenizers import WordTokenizer
from textgan.models.draw import draw_texts
from textgan.models.generators.base import State, read_before
from textgan.models.generators.recurrent import LSTMGenerator

LARGEST = 2**29  # bytes of a file, and of its arrays; published ones have three million
# the header of an array in an .npz, as numpy writes it
_NPY_ITEM = re.compile(r"'(\w+)'\s*:\s*('[^']*'|\([^()]*\)|True|False)")
_NPY_SHAPE = re.compile(r"\((?:\d{1,9}L?,\s*)*(?:\d{1,9}L?)?,?\s*\)")
_NPY_KIND = re.compile(r"'([<>=|]?[fiubcUS]\d{1,3})'")
GATES = "ifco"  # torch's order of an LSTM's gates; the files name the candidate c
FILE_ORDER = ["embedding"] + [f"{kind}_{gate}" for gate in "ifoc" for kind in "WUb"]
FILE_ORDER += ["W_out", "b_out"]


class ConditionalOracle(LSTMGenerator):
    """An LSTM that reads, with every token, the mean vector of its source's words, times the root
    of their greatest number: as large as a token's own vector."""

    reads_source = True

    def __init__(
        self, space: TextSpace, *, embedding: int = 32, hidden: int = 32, init: float = 1.0
    ) -> None:
        super().__init__(space, embedding=embedding, hidden=hidden, init=init)
        assert space.source is not None  # see new_oracle
        self.source_embedding = nn.Embedding(space.source.vocabulary, embedding)
        nn.init.normal_(self.source_embedding.weight, std=init)
        self.scale = space.source.length**0.5

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        source = condition.require_source()
        words = self.source_embedding(source.tokens) * source.mask.unsqueeze(2)
        mean = words.sum(1) / source.lengths.unsqueeze(1)
        return State(super().start(n, condition).carried, (self.scale * mean,))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        vectors = self.embedding(symbol) + state.shared[0][state.origin]
        hidden, carried = self._run(vectors.unsqueeze(1), state.carried)
        return hidden.squeeze(1), state.carry(*carried)

    def hidden(self, text: Text) -> Tensor:
        state = self.start(len(text), text.condition)
        vectors = self.embedding(read_before(text, self.space)) + state.shared[0].unsqueeze(1)
        return self._run(vectors, state.carried)[0]


def new_oracle(space: TextSpace, **settings: Any) -> LSTMGenerator:
    """Make an oracle of these texts, with weights of its own: one that reads their sources, if
    they have any."""
    return (LSTMGenerator if space.source is None else ConditionalOracle)(space, **settings)


def make_oracle(
    vocabulary: int,
    length: int,
    embedding: int,
    hidden: int,
    seed: int,
    source: TextSpace | None = None,
) -> LSTMGenerator:
    """Make an LSTM whose parameters are all N(0, 1), the same for the same seed, and freeze it.

    The seed is taken as it is: it names the oracle, whose entropy is known by it. source: of the
    texts that its own answer; None: they answer none.
    """
    space = TextSpace(vocabulary, length, source=source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        oracle = new_oracle(space, embedding=embedding, hidden=hidden, init=1.0)
    return oracle.requires_grad_(False)


def load_oracle(path: Path, length: int, largest: int = LARGEST) -> LSTMGenerator:
    """Load the oracle in a file: `.npz` with named arrays, or the original pickle of 15 arrays.

    Arrays act on the right (x @ W): `embedding` (V, E); for each gate g of i, f, o, c `W_g` (E, H),
    `U_g` (H, H), `b_g` (H,); `W_out` (H, V), `b_out` (V,). No code in the file is executed.
    Raises UserError for anything else, or more than `largest` bytes.
    """
    name = f"oracle.parameters = {str(path)!r}"
    require_file(path, name)
    arrays = (_read_npz if zipfile.is_zipfile(path) else _read_pickle)(path, name, largest)
    missing = [key for key in FILE_ORDER if key not in arrays]
    if missing:
        raise UserError(f"{name} has no array {missing[0]!r}; needed: {', '.join(FILE_ORDER)}")
    vocabulary, embedding = _shape(arrays["embedding"], 2, "embedding", name)
    hidden, _ = _shape(arrays["W_out"], 2, "W_out", name)
    expected: dict[str, tuple[int, ...]] = {"embedding": (vocabulary, embedding)}
    for gate in GATES:
        expected[f"W_{gate}"] = (embedding, hidden)
        expected[f"U_{gate}"] = (hidden, hidden)
        expected[f"b_{gate}"] = (hidden,)
    expected |= {"W_out": (hidden, vocabulary), "b_out": (vocabulary,)}
    for key, shape in expected.items():
        array = arrays[key]
        if array.shape != shape:
            raise UserError(f"{name}: {key} has shape {array.shape}, expected {shape}")
        if array.dtype.kind != "f" or not (np.abs(array) <= np.finfo(np.float32).max).all():
            raise UserError(f"{name}: {key} must hold finite floating-point numbers")
    tensors = {key: torch.from_numpy(arrays[key].astype(np.float32, copy=True)) for key in expected}
    oracle = LSTMGenerator(TextSpace(vocabulary, length), embedding=embedding, hidden=hidden)

    def stacked(kind: str) -> Tensor:
        return torch.cat([tensors[f"{kind}_{gate}"].t() for gate in GATES])

    with torch.no_grad():
        oracle.embedding.weight.copy_(tensors["embedding"])
        oracle.rnn.get_parameter("weight_ih_l0").copy_(stacked("W"))
        oracle.rnn.get_parameter("weight_hh_l0").copy_(stacked("U"))
        biases = torch.cat([tensors[f"b_{gate}"] for gate in GATES])
        oracle.rnn.get_parameter("bias_ih_l0").copy_(biases)
        oracle.output.weight.copy_(tensors["W_out"].t())
        oracle.output.bias.copy_(tensors["b_out"])
    return oracle.requires_grad_(False)


def oracle_corpus(
    oracle: LSTMGenerator, positives: int, held_out: int, seed: int, facts: dict[str, Any]
) -> Corpus:
    """Draw `positives` training texts and so many held-out ones (valid, test) from the oracle.

    Each part has a stream of its own, so that the test is the same whatever there is to train on.
    Where texts answer a source, each has one of its own, drawn uniformly.
    """
    space, of_source = oracle.space, oracle.space.source

    def drawn(purpose: Purpose, n: int) -> Text:
        with fork_rng(stream(purpose, seed), torch.device("cpu")):
            condition = UNCONDITIONAL
            if of_source is not None:
                words = torch.randint(of_source.vocabulary, (n, of_source.length))
                condition = Condition(source=Text.full(words))
            return draw_texts(oracle, n, condition=condition)

    return Corpus(
        "oracle",
        space,
        drawn(Purpose.ORACLE_TRAIN, positives),
        drawn(Purpose.ORACLE_VALID, held_out),
        drawn(Purpose.ORACLE_TEST, held_out),
        WordTokenizer.numbers(space.vocabulary, space.length),
        facts | {"split": {"train": positives, "valid": held_out, "test": held_out}},
        source_tokenizer=(
            None
            if of_source is None
            else WordTokenizer.numbers(of_source.vocabulary, of_source.length)
        ),
    )


def _shape(array: Any, dimensions: int, key: str, name: str) -> tuple[int, int]:
    if array.ndim != dimensions or 0 in array.shape:
        raise UserError(f"{name}: {key} has shape {array.shape}, expected two dimensions")
    return int(array.shape[0]), int(array.shape[1])


def _read_npz(path: Path, name: str, largest: int) -> dict[str, Any]:
    content = read_bytes(path, name, largest)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            left = largest
            arrays: dict[str, Any] = {}
            for key in FILE_ORDER:
                if f"{key}.npy" in file.NameToInfo:
                    arrays[key], size = _read_npy(
                        file, file.NameToInfo[f"{key}.npy"], left, largest
                    )
                    left -= size
    except Exception as error:
        # a hostile archive can make zipfile and zlib raise nearly anything
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name} is not a readable .npz of plain arrays: {why}") from None
    return arrays


def _read_npy(
    file: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, largest: int
) -> tuple[Any, int]:
    """An array of an archive, and its bytes; ValueError for what numpy.savez does not write.

    numpy's own reader evaluates the header as Python and inflates whatever there is.
    """
    if entry.flag_bits & 0x61:
        raise ValueError(f"{entry.filename} is encrypted or patched")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is compressed in another way than numpy's")
    if entry.file_size > most:
        raise ValueError(f"its arrays take more than {largest:,} bytes")
    with file.open(entry) as stream:
        content = stream.read(most + 1)  # what is claimed of the size may be a lie
    if len(content) > most:
        raise ValueError(f"its arrays take more than {largest:,} bytes")
    width = 2 if content[6:7] == b"\1" else 4
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = content[8 + width : start].decode("latin1").strip() if start < 2**14 else ""
    keys = dict(_NPY_ITEM.findall(header))
    shape = _NPY_SHAPE.fullmatch(keys.get("shape", ""))
    kind = _NPY_KIND.fullmatch(keys.get("descr", ""))
    if content[:6] != b"\x93NUMPY" or not shape or not kind:
        raise ValueError(f"{entry.filename} is not a plain array")
    order: Literal["F", "C"] = "F" if keys.get("fortran_order") == "True" else "C"
    sizes = tuple(int(size) for size in re.findall(r"\d+", shape[0]))
    array = np.frombuffer(content, np.dtype(kind[1]), offset=start)
    return array.reshape(sizes, order=order), len(content)


class _Float:
    """In place of a float32 or float64 dtype while a pickle is read."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if code not in ("f4", "f8", "<f4", "<f8", ">f4", ">f8"):
            raise pickle.UnpicklingError(f"it has an array of type {code!r}, not of floats")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "="):
            raise pickle.UnpicklingError(f"it has an array of byte order {order!r}")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """In place of an array while a pickle is read; nothing of numpy is in the pickle's reach."""

    array: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if isinstance(content, str):
            content = content.encode("latin1")
        self.array = _to_array(content, kind, shape, "F" if fortran else "C")


def _to_array(content: Any, kind: Any, shape: Any, order: Any) -> Any:
    if not isinstance(content, (bytes, bytearray)) or not isinstance(kind, _Float):
        raise pickle.UnpicklingError("it builds something other than a plain array")
    return np.frombuffer(content, kind.dtype).reshape(tuple(map(int, shape)), order=order)


_NDARRAY = object()  # what a pickle gets when it asks for numpy.ndarray: a name, not the class


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can make arrays of floats and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): _NDARRAY,
            ("numpy", "dtype"): _Float,
            ("numpy.core.numeric", "_frombuffer"): _from_buffer,
            ("numpy._core.numeric", "_frombuffer"): _from_buffer,
            ("_codecs", "encode"): _latin_bytes,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not an array")
        return allowed[module, name]


def _empty_array(kind: Any, shape: Any, code: Any) -> Any:
    # numpy pickles an array as an empty one whose contents follow as its state
    if kind is not _NDARRAY or shape != (0,):
        raise pickle.UnpicklingError("it builds something other than a plain array")
    return _Array()


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Any:
    # how pickle protocol 5 holds an array
    made = _Array()
    made.array = _to_array(buffer, dtype, shape, order)
    return made


def _latin_bytes(text: Any, encoding: Any) -> bytes:
    # how Python 3 writes bytes into pickles that Python 2 can read
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something other than bytes")
    return text.encode("latin1")


def _read_pickle(path: Path, name: str, largest: int) -> dict[str, Any]:
    raw = read_bytes(path, name, largest)
    try:
        # encoding: what Python 2 called str holds the arrays' bytes
        content = _ArraysOnly(io.BytesIO(raw), encoding="latin1").load()
    except Exception as error:
        # a hostile stream can make the unpickler raise nearly anything
        if (ends := raw.count(b"\n")) and ends == raw.count(b"\r\n"):
            raise UserError(
                f"{name} is damaged: all its line feeds have a carriage return before them, as in "
                "a file that was copied as text or checked out with git's autocrlf; get it again "
                "as a binary file (in .gitattributes: *.pkl binary)"
            ) from None
        why = "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(error))
        raise UserError(f"{name} is neither an .npz nor a pickle of arrays: {why}") from None
    made = content if isinstance(content, list) else []
    arrays = [part.array if isinstance(part, _Array) else None for part in made]
    if len(arrays) != len(FILE_ORDER) or not all(type(a) is np.ndarray for a in arrays):
        raise UserError(
            f"{name}: expected a list of {len(FILE_ORDER)} arrays in the order of "
            f"{', '.join(FILE_ORDER)}"
        )
    return dict(zip(FILE_ORDER, arrays, strict=True))
