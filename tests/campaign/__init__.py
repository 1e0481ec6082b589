"""Hostile cases against the commands: kills, damage, fuzz. `python -m tests.campaign --help`."""
