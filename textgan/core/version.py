"""The version of textgan."""

__version__ = "0.1.0"
