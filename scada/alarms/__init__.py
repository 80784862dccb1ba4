"""Alarms: limits, staleness and device events, as persisted ISA-18.2 states."""
