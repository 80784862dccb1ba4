"""Dials against counts."""
