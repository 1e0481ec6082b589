"""Lines as the sentences of an evaluation."""

from collections.abc import Iterable, Sequence

from textgan.data.pre_tokenizer import LineTokens, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.tokenizers import WordTokenizer


def sentences_of(
    *texts: Iterable[str], known: Sequence[str] = (), tokens: LineTokens = "whitespace"
) -> tuple[WordTokenizer, list[Sentences]]:
    """Several texts of lines as sentences, and the tokenizer that has an id for all of their
    words; those that were known before have the first ones."""
    return encode_all(WordTokenizer(tuple(known), PreTokenizer(tokens, unknown="")), texts)


def joined_words(rows: Iterable[Iterable[str]]) -> list[str]:
    """Lists of words as lines."""
    return [" ".join(row) for row in rows]
