"""Whose signature an image needs: makers' public keys that an administrator trusts, one by one."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from scada.errors import ConfigError, Problem
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


def key_file_of(path: Path) -> bytes:
    """The 32 bytes of the public key in a file; raises `ConfigError`, which never repeats what may be a secret."""
    try:
        with path.open("rb") as file:
            data = file.read(4096)
        if data.lstrip().startswith(b"-----BEGIN"):
            found = load_pem_public_key(data)
            if isinstance(found, Ed25519PublicKey):
                return found.public_bytes_raw()
        elif len(key := bytes.fromhex(data.decode("ascii").strip())) == KEY_SIZE:
            return key
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except (ValueError, UnsupportedAlgorithm):
        pass
    expected = "expected an Ed25519 public key: PEM (`openssl pkey -pubout`), or 64 hex digits; never the private key"
    raise ConfigError([Problem(str(path), "", expected)])
