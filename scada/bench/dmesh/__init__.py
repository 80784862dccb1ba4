"""Measurements of the D-Mesh driver: what one process holds and takes of a whole city's concentrators."""
