"""The foundation of all rooms, which imports none of them: errors, settings, files, seeds,
statistics, logs."""
