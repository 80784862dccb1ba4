"""Demand response: the one door for commands to the field."""
