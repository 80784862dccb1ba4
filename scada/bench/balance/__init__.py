"""Measurements of balancing: losses, suspects, phases. Held against independent engines and generated consumers."""
