"""textgan check: tries a part, textgan's or one's own, on tiny worlds."""
