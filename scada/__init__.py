"""SCADA-style integration server for electricity distribution and utility metering."""

__version__ = "0.1.0"
