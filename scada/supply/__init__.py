"""Disconnection and reconnection of single supplies: who holds them off, two persons, and one command at a time."""
