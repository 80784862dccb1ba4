"""Dials against counted registers: offsets, periodic reconciliation, what is due; and the photos of them."""
