"""Modbus devices, described by templates (config/templates/modbus)."""
