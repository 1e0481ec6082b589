"""Objectives: one file is one method. The contract is in `base`."""
