"""A copy of the key store that a passphrase opens, for another server; the master key stays where it is.

AES-256-GCM under scrypt (RFC 7914) of the passphrase: 64 MB and a fraction of a second for every guess.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from scada.errors import ConfigError, Problem

MAGIC: Final = b"SCADAKB1"
SALT: Final = 16                        # bytes
NONCE: Final = 12
COST: Final = 2**16                     # scrypt's n, with r = 8
SHORTEST: Final = 12                    # characters of a passphrase


def sealed(raw: bytes, passphrase: str) -> bytes:
    """The backup. Raises `ConfigError` for a passphrase that could be guessed."""
    if len(passphrase) < SHORTEST:
        raise ConfigError([Problem("passphrase", "", f"is too short; expected {SHORTEST} characters or more")])
    salt, nonce = secrets.token_bytes(SALT), secrets.token_bytes(NONCE)
    return MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, raw, MAGIC)


def opened(data: bytes, passphrase: str, where: str) -> bytes:
    """What is in a backup. Raises `ConfigError`."""
    at = len(MAGIC)
    if data[:at] != MAGIC:
        raise ConfigError([Problem(where, "", "is no backup of a key store; expected a file of `scada keys backup`")])
    salt, nonce, rest = data[at:at + SALT], data[at + SALT:at + SALT + NONCE], data[at + SALT + NONCE:]
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, rest, MAGIC)
    except (InvalidTag, ValueError):
        raise ConfigError([Problem(where, "", "does not open with this passphrase, or it is damaged")]) from None


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(passphrase.encode())
