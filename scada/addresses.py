"""Host and port as a URL has them: an IPv6 address stands in brackets, and an address to listen on is not one to call."""

from typing import Final

EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def authority(host: str, port: int) -> str:
    """`host:port` for a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def to_call(host: str) -> str:
    """Where something that listens at `host` is reached from this machine."""
    return EVERYWHERE.get(host, host)
