"""Pulses to quantities: kWh and m³ by the constants that were valid then."""
