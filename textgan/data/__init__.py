"""Readers of data files: what a file is, and the texts in it."""
