"""The mathematics of metrics, on sentences as numbers."""
