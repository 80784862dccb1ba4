"""A maker of firmware for tests: signs manifests over the codec's own bytes."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scada.drivers.dmesh.messages import Manifest, manifest_body, signed_part

VENDOR = "Maker"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def content(size: int = 3000, start: bytes = b"") -> bytes:
    """An image's bytes."""
    return (start + bytes(number * 7 % 251 for number in range(size)))[:size]


def manifest(
    image: bytes, version: str = "2.0", rollback: int = 2, hardware: str = "D100FC", block_size: int = 128
) -> bytes:
    digest = hashlib.sha256(image).digest()
    return manifest_body(Manifest(VENDOR, hardware, version, rollback, len(image), digest, block_size))


def sign(body: bytes, key: Ed25519PrivateKey = KEY) -> bytes:
    return key.sign(signed_part(body))
