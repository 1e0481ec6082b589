"""`python -m textgan` is `textgan`."""

from textgan.cli import main

main()
