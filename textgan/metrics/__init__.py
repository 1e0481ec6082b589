"""Metrics of texts, one file for a family of numbers; `base` holds the contract."""
