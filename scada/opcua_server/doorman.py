"""Who may log in: names and passwords against the site's argon2 hashes, never on the event loop, never without a limit.

One verification takes about 50 ms and 64 MB by design, so verifications run one at a time in a thread, a bounded number
may wait, a password that was right is remembered for some minutes (as a keyed digest), and failures are limited per
name and per address.
"""

import asyncio
import hmac
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import attrs
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

REMEMBER_S: Final = 300.0
WINDOW_S: Final = 60.0
MAX_FAILURES: Final = 5                 # of one name at one address in the window; then it has to wait
MAX_FAILURES_NAME: Final = 50           # of one name anywhere: no single stranger locks the utility's own client out
MAX_FAILURES_PEER: Final = 20           # of one address
MAX_WAITING: Final = 16                 # verifications in the queue
MAX_TRACKED: Final = 1000               # names and addresses whose failures are counted
MAX_LENGTH: Final = 256                 # characters of a name or password that are looked at


@attrs.frozen
class Credential:
    name: str
    password_hash: str
    role: str
    areas: tuple[str, ...] = ()


@attrs.frozen
class Verdict:
    """What the doorman says: a credential, or a reason for the audit (never for the client)."""

    credential: Credential | None
    reason: str = ""
    counted: bool = True                # False: refused without looking; not worth an audit row each


def _nobody(hashes: Iterable[str]) -> str:
    """A hash nobody knows the password of, that takes as long to check as most of these do.

    The registry's parameters are not the library's default: checking an unknown name against the latter took six times
    as long, and told a stranger which names exist.
    """
    made = [one.rsplit("$", 2)[0] for one in hashes if one.count("$") == 5]
    made = made or [PasswordHasher().hash("").rsplit("$", 2)[0]]
    salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"{Counter(made).most_common(1)[0][0]}${salt}${digest}"


class Doorman:
    """Keeps the credentials and the limits."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._hasher = PasswordHasher()
        self._nobody = _nobody(())
        self._key = secrets.token_bytes(32)
        self._credentials: dict[str, Credential] = {}
        self._remembered: dict[str, tuple[float, bytes, str]] = {} # name -> until, digest, hash it was right for
        self._failures: dict[str, list[float]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="argon2")
        self._waiting = 0
        self.refused = 0

    def update(self, credentials: Iterable[Credential]) -> None:
        """Replace what is known; a changed or removed password is forgotten at once."""
        self._credentials = {one.name: one for one in credentials}
        self._nobody = _nobody(one.password_hash for one in self._credentials.values())
        self._remembered = {
            name: kept for name, kept in self._remembered.items()
            if name in self._credentials and self._credentials[name].password_hash == kept[2]
        }

    def credential(self, name: str) -> Credential | None:
        return self._credentials.get(name)

    def names(self) -> set[str]:
        return set(self._credentials)

    async def verify(self, name: str, password: str, peer: str) -> Verdict:
        """Check a name and password; always the same work, whether the name exists or not.

        What counts is the list of users when the check ends, not when it began.
        """
        now = self._monotonic()
        if len(name) > MAX_LENGTH or len(password) > MAX_LENGTH:
            return self._refuse("name or password too long")
        known = self._credentials.get(name)
        digest = hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")
        kept = self._remembered.get(name)
        fresh = known and kept and kept[0] > now and kept[2] == known.password_hash
        if known and kept and fresh and hmac.compare_digest(kept[1], digest):
            return Verdict(known)
        limits = {f"name {name} {peer}": MAX_FAILURES, f"name {name}": MAX_FAILURES_NAME, f"peer {peer}": MAX_FAILURES_PEER}
        if any(self._count(key, now) >= most for key, most in limits.items()):
            return self._refuse("too many failures; wait a minute")
        if self._waiting >= MAX_WAITING:
            return self._refuse("too many log-ins at once")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(
                self._thread, self._matches, known.password_hash if known else self._nobody, password
            )
        finally:
            self._waiting -= 1
        if known is None or not right:
            self.refused += 1
            for key in limits:
                self._fail(key, now)
            return Verdict(None, "unknown name or wrong password")
        if self._credentials.get(name) != known:           # changed or removed while the thread was at it
            return self._refuse("the account has changed meanwhile")
        self._remembered[name] = (now + REMEMBER_S, digest, known.password_hash)
        return Verdict(known)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _refuse(self, reason: str) -> Verdict:
        self.refused += 1
        return Verdict(None, reason, counted=False)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return bool(self._hasher.verify(hashed, password))
        except (VerificationError, InvalidHashError):
            return False

    def _count(self, key: str, now: float) -> int:
        recent = [at for at in self._failures.get(key, ()) if at > now - WINDOW_S]
        if recent:
            self._failures[key] = recent
        else:
            self._failures.pop(key, None)
        return len(recent)

    def _fail(self, key: str, now: float) -> None:
        self._failures.setdefault(key, []).append(now)
        while len(self._failures) > MAX_TRACKED:
            del self._failures[next(iter(self._failures))]
