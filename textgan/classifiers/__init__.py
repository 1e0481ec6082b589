"""Text classifiers, attacks on them, and their table."""
