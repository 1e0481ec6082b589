"""Pretrained networks of a few kilobytes, with random weights, in folders."""

from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = ["a", "man", "rides", "the", "wave", "on", "red", "board"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# kinds of networks: what transformers calls them, and their tokens in the order of their numbers
KINDS = {
    "bert": ("Bert", [*SPECIAL, *WORDS]),
    "roberta": ("Roberta", ["[CLS]", "[PAD]", "[SEP]", "[UNK]", *WORDS, "[MASK]"]),
    "mpnet": ("MPNet", ["[CLS]", "[PAD]", "[SEP]", "[UNK]", *WORDS, "[MASK]"]),
    "distilbert": ("DistilBert", [*SPECIAL, *WORDS]),
}
PLACES = 12  # tokens that each can read


def tiny(
    folder: Path,
    kind: str = "bert",
    *,
    seed: int = 0,
    frame: bool = True,
    pads: bool = True,
    head: bool = False,
    **settings: Any,
) -> Path:
    """frame: sentences get a first and a last token. pads: there is a token for padding. head: it
    is a masked language model. settings: more of the network's."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    called, words = KINDS[kind]
    vocabulary = {word: i for i, word in enumerate(words)}
    cut = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    cut.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if frame:
        ends = [(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")]
        cut.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=ends
        )
    names = {"pad_token": "[PAD]", "mask_token": "[MASK]"} if pads else {"eos_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=cut, unk_token="[UNK]", **names
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    padding = vocabulary["[PAD]"]
    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary), "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 16,
        # the RoBERTa family counts places from behind its padding
        "max_position_embeddings": PLACES + (1 + padding if padding else 0),
        "pad_token_id": padding,
    }  # fmt: skip
    if kind == "distilbert":
        sizes |= {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16}
    config = getattr(transformers, f"{called}Config")(**sizes | settings)
    what = f"{called}ForMaskedLM" if head else f"{called}Model"
    getattr(transformers, what)(config).save_pretrained(folder)
    return folder
