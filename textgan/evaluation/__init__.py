"""Runs or files of texts measured by metrics, compared, and put on a page."""
