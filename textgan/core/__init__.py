"""What every room uses and what knows of none: errors, settings, files, seeds, statistics, logs."""
