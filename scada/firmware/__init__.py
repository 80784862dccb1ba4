"""Firmware campaigns: who may have an image, in which order, and what became of every module."""
