"""The ground of every room, which knows of none: errors, settings, files, seeds, statistics,
logs."""
