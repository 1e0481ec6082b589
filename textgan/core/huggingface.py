"""Pretrained networks in local folders, as Hugging Face's transformers and sentence-transformers
(extra `hf`) save them.

Nothing is downloaded and nothing in a folder is executed: weights are safetensors. A folder that is
not what it should be is refused with one line.
"""

from __future__ import annotations

import hashlib
import importlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from textgan.core.errors import UserError
from textgan.core.files import file_digest, files_in, is_folder, require_file
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream

MOST_TOKENS = 512  # of a sentence; what follows is not read
TOKENIZER = ("token*", "vocab*", "merges*", "*.model")
READ = ("config.json", "*.safetensors", *TOKENIZER)
# the same of a folder of sentence-transformers, each of whose modules may have a folder inside
READ_OF_MODULES = ("**/*.json", "**/*.safetensors", *(f"**/{kind}" for kind in TOKENIZER))
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load_tokenizer(folder: Path, called: str, most: int = MOST_TOKENS) -> Any:
    """Load the tokenizer in a folder; its `model_max_length` is what the network there can read, at
    most `most` tokens.

    called: what asked for the folder, for messages. Raises UserError where transformers is missing
    or the folder has no such thing.
    """

    def load(transformers: Any) -> Any:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
        config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
        return tokenizer, config

    tokenizer, config = _loaded(folder, called, load)
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise UserError(f"{_wanted(called)}: its tokenizer knows no words")
    places = config.to_dict().get("max_position_embeddings") or MOST_TOKENS
    # the RoBERTa family numbers places from behind that of the padding
    places -= 1 + config.pad_token_id if config.pad_token_id else 0
    tokenizer.model_max_length = min(tokenizer.model_max_length, places, most)
    return tokenizer


def load_network(folder: Path, called: str, **settings: Any) -> Any:
    """Load the network in a folder, with float32 weights and without a head that predicts.

    called, raises: as for `load_tokenizer`. settings: of `from_pretrained`.
    """

    # weights that a folder lacks are drawn at random: from numbers of their own, then refused
    def load(transformers: Any) -> Any:
        with fork_rng(stream(Purpose.DISCARDED, 0), torch.device("cpu")):
            return transformers.AutoModel.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **LOCAL, **settings
            )

    network, info = _loaded(folder, called, load)
    lacking = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if lacking:
        raise UserError(f"{_wanted(called)}: there are no weights for {lacking[0]}")
    if network.config.is_encoder_decoder:
        raise UserError(f"{_wanted(called)}: this one also decodes, give its encoder alone")
    return network.float()


def load_sentence_transformer(folder: Path, called: str, device: torch.device) -> tuple[Any, int]:
    """Load the model in a folder of sentence-transformers, with float32 weights; return it and the
    size of its vectors.

    called, raises: as for `load_tokenizer`.
    """

    def load(library: Any) -> Any:
        with fork_rng(stream(Purpose.DISCARDED, 0), torch.device("cpu")):
            first = _checksums(open_model(library))
        with fork_rng(stream(Purpose.DISCARDED, 1), torch.device("cpu")):
            model = open_model(library).float()
        # weights that a folder lacks are drawn at random, and differ with the seed
        drawn = [name for name, value in _checksums(model).items() if first[name] != value]
        # modules may not fit each other, or the network not be able to read what it says it can
        vectors = model.encode(["", "a " * MOST_TOKENS], show_progress_bar=False)
        return model, vectors.shape[1], [name for name in drawn if "pooler" not in name]

    def open_model(library: Any) -> Any:
        return library.SentenceTransformer(
            str(folder), device=str(device), model_kwargs={"use_safetensors": True}, **LOCAL
        )

    inside = [path for path in folder.rglob("*") if path.is_dir()]
    model, size, lacking = _loaded(folder, called, load, "sentence_transformers", inside)
    if lacking:
        raise UserError(f"{_wanted(called)}: there are no weights for {lacking[0]}")
    return model, size


def _checksums(model: Any) -> dict[str, float]:
    return {name: float(value.double().sum()) for name, value in model.state_dict().items()}


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that a tokenizer puts before and after every sentence."""
    special = set(tokenizer.all_special_tokens)
    for word in sorted(set(tokenizer.get_vocab()) - special):
        alone = tokenizer(word, add_special_tokens=False)["input_ids"]
        whole = tokenizer(word)["input_ids"]
        for start in range(len(whole) - len(alone) + 1 if alone else 0):
            if whole[start : start + len(alone)] == alone:
                return whole[:start], whole[start + len(alone) :]
    return [], []


def digest(folder: Path, kinds: Sequence[str] = READ) -> str:
    """Hash all files of these kinds, which decide the vectors or the tokens, to eight digits."""
    sha = hashlib.sha256()
    for path in sorted({path for kind in kinds for path in folder.glob(kind) if path.is_file()}):
        sha.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        sha.update(bytes.fromhex(file_digest(path)))
    return sha.hexdigest()[:8]


def _loaded(
    folder: Path,
    called: str,
    load: Callable[[Any], Any],
    library: str = "transformers",
    inside: Sequence[Path] = (),
) -> Any:
    """Load something with a library in silence; raise UserError for whatever goes wrong.

    inside: folders in the folder that are read, too.
    """
    if not is_folder(folder):
        raise UserError(f"{called}: there is no folder {folder}")
    try:
        module = importlib.import_module(library)
    except ImportError:
        name = library.replace("_", "-")
        raise UserError(f"{called} needs {name}: pip install 'textgan[hf]'") from None
    for place in (folder, *inside):
        for path in files_in(place):
            require_file(path, f"{called}: {path.name}")  # the library would wait for a pipe
        _refuse_pickles(place, called)
    with silent():
        try:
            return load(module)
        # these libraries raise whatever a reader of one of a hundred models raises
        except Exception as error:
            why = f"{error}".strip().partition("\n")[0] or type(error).__name__
            raise UserError(f"{_wanted(called)}: {why}") from None


def _refuse_pickles(folder: Path, called: str) -> None:
    """UserError for a folder whose weights are only in a pickle, which could run anything."""
    pickles = sorted([*folder.glob("pytorch_model*.bin"), *folder.glob("*.ckpt")])
    if pickles and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"{called}: its weights are only in {pickles[0].name}, a pickle, and those are never "
            "opened here; if you trust it, convert it: python -c 'import sys, transformers as t; "
            f"t.AutoModel.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])' "
            f"{shlex.quote(str(folder))}"
        )


def _wanted(called: str) -> str:
    return (
        f"{called} is not a folder of a sentence encoder (config.json, model.safetensors, "
        "tokenizer.json)"
    )


@contextmanager
def silent() -> Iterator[None]:
    """Without the bars and warnings of transformers, which are then as they were."""
    logging = importlib.import_module("transformers").utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
