"""Contrastive training of sentence encoders, and the masked words that they begin with."""
