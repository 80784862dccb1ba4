"""Outages: what many signs of silence and of lost supply have in common, and the one alarm that stands for them."""
