"""The historian measured: what it takes, what it costs on disk and in memory, how fast it is read."""
