"""Passwords: what is good enough, how they are kept, and how many tries a name has."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256                 # bounds the work an attacker can ask for with one request
TRIES: Final = 10                       # of one name at one address: no stranger locks a person out
TRIES_NAME: Final = 100                 # of one name anywhere: many addresses do not make guessing fast
TRIES_WINDOW_S: Final = 60.0
MAX_NAMES: Final = 10_000               # names remembered by the limiter; beyond it the oldest go

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, 2 passes, 1 lane. Measured here: 34 ms, and twenty log-ins
# at once take 0.4 GB instead of the 1.3 GB of the library's default.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"        # nothing that is mistaken for something else in print


def hash_of(password: str) -> str:
    """The argon2id hash, with its salt and parameters, as text."""
    return str(_hasher.hash(password))


@cache
def dummy_hash() -> str:
    """Checked for a name that does not exist, so that the answer takes as long as for one that does."""
    return hash_of(secrets.token_hex(16))


def matches(stored: str, password: str) -> bool:
    try:
        return bool(_hasher.verify(stored, password[: MAX_LENGTH + 1]))
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return bool(_hasher.check_needs_rehash(stored))


def weaknesses(name: str, password: str) -> tuple[str, ...]:
    """Every reason why a password is refused; none if it is good enough."""
    faults = []
    if len(password) < MIN_LENGTH:
        faults.append(f"the password has {len(password)} characters; at least {MIN_LENGTH} are needed")
    if len(password) > MAX_LENGTH:
        faults.append(f"the password has {len(password)} characters; at most {MAX_LENGTH} are taken")
    if password.casefold() == name.casefold():
        faults.append("the password is the name")
    if password and len(set(password)) == 1:
        faults.append("the password is one character repeated")
    if not password.isprintable():
        faults.append("the password holds characters that cannot be printed")
    return tuple(faults)


def one_time_password() -> str:
    """Sixteen characters that can be read aloud; 79 bits."""
    letters = [secrets.choice(_ALPHABET) for _ in range(16)]
    return "-".join("".join(letters[start:start + 4]) for start in range(0, 16, 4))


class TryLimit:
    """Counts tries per name in a sliding window. Thread-safe, bounded."""

    def __init__(self, monotonic: Callable[[], float], tries: int = TRIES, window_s: float = TRIES_WINDOW_S) -> None:
        self._monotonic, self._tries, self._window_s = monotonic, tries, window_s
        self._names: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = Lock()

    def allows(self, name: str) -> bool:
        """Note a try; False when the name has none left."""
        now = self._monotonic()
        with self._lock:
            recent = [at for at in self._names.pop(name, ()) if at > now - self._window_s]
            allowed = len(recent) < self._tries
            self._names[name] = [*recent, now] if allowed else recent
            while len(self._names) > MAX_NAMES:
                self._names.popitem(last=False)
        return allowed

    def forget_all_of(self, name: str) -> None:
        """Give back the tries of a name at every address."""
        with self._lock:
            for key in [one for one in self._names if one.startswith(f"{name} ")]:
                del self._names[key]

    def forget(self, name: str) -> None:
        """A success gives the tries back."""
        with self._lock:
            self._names.pop(name, None)
