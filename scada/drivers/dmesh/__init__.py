"""D-Mesh metering concentrators over DMLP (docs/dmlp.md)."""
