"""`python -m textgan` is `textgan`."""

from textgan.cli.app import main

main()
