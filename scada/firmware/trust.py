"""Whose signature an image needs: makers' public keys that an administrator trusts, one by one. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from scada.rollout import Image

KEY_SIZE: Final = 32                    # bytes of an Ed25519 public key (RFC 8032)


@attrs.frozen
class TrustedKey:
    vendor: str                         # as the manifest names it
    key: bytes
    added: int                          # ns, real time
    by: str

    @property
    def fingerprint(self) -> str:
        """What people compare over the telephone."""
        return hashlib.sha256(self.key).hexdigest()[:16]


def vouched(image: Image, signature: bytes, keys: Iterable[TrustedKey]) -> TrustedKey | None:
    """The trusted key of the image's own vendor that made the signature, if there is one."""
    for one in keys:
        if one.vendor != image.vendor:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(one.key).verify(signature, image.signed)
        except (InvalidSignature, ValueError):
            continue
        return one
    return None


def faults(image: Image, signature: bytes, content: bytes, keys: Iterable[TrustedKey]) -> list[str]:
    """Why an image cannot be imported; every reason at once."""
    keys = tuple(keys)
    found = []
    if not any(one.vendor == image.vendor for one in keys):
        found.append(f"no key of {image.vendor} is trusted; an administrator adds it with `scada firmware trust`")
    elif vouched(image, signature, keys) is None:
        found.append(f"the signature was not made with a trusted key of {image.vendor}")
    if len(content) != image.size:
        found.append(f"the image has {len(content)} bytes; the manifest says {image.size}")
    elif hashlib.sha256(content).digest() != image.sha256:
        found.append("the image is not the one of the manifest: its SHA-256 differs")
    return found
