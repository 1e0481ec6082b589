"""What everything else stands on: random streams, files and text output."""
