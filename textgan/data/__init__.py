"""Text, from a file's lines to batches of token ids: tokenizers, vocabularies, splits, corpora."""
