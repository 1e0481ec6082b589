"""A run: its settings, its folder, the schedule of its steps, and the loop that does them."""
