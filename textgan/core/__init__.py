"""What everything else stands on: files and text output."""
