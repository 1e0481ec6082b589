"""What texts are measured by, one file for a family of numbers; `base` holds the contract."""
