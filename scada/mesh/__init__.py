"""Network monitoring: what the radio networks say about themselves, reckoned and remembered. It never asks the field."""
