"""Sentence encoders: trained by contrast, kept in folders, measured."""
