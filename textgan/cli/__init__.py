"""The command line: asks, prints, decides nothing."""
