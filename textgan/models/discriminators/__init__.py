"""Discriminators: one file is one kind of network. The contract is in `base`."""
