"""What every part promises, checked: before each run by a dry run, at length by textgan check."""
