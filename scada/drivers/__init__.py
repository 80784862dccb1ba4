"""Drivers: what speaks to the field, one package a protocol."""
