"""The command line: asks, prints, decides nothing."""

from textgan.cli.app import main as main
