"""Who is logged in: server-side sessions, so that one can be ended, and an idle one ends by itself.

Kept in memory for now: a restart logs everybody out. The token is known to the browser alone; what is kept is its hash.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from scada.clock import SiteClock
from scada.commands import Actor, Origin
from scada.ports import Account

MAX_SESSIONS: Final = 2000
MAX_PER_ACCOUNT: Final = 100            # programs log in for every call; they end their own oldest sessions, nobody else's
MAX_SELECTIONS: Final = 8


@attrs.define(eq=False)
class Session:
    """One log-in. `ended` turns true once and stays; streams look at it."""

    key: str
    account: Account
    origin: Origin
    used: float                         # s, monotonic, of the last request
    csrf: str
    ended: bool = False
    selections: dict[str, Any] = attrs.field(factory=dict)      # reviewed selections by id, the newest few
    notices: list[tuple[str, str]] = attrs.field(factory=list)   # (kind, text) for the next page

    def actor(self) -> Actor:
        return Actor(self.account.name, self.account.role, self.account.areas, self.origin)

    def stands(self, account: Account | None) -> bool:
        """Whether the account still has the rights this session was opened with."""
        was = self.account
        return account is not None and not account.disabled and (account.role, account.areas) == (was.role, was.areas) and (
            was.must_change or not account.must_change
        )

    def remember(self, selection: Any) -> None:
        self.selections[selection.id] = selection
        while len(self.selections) > MAX_SELECTIONS:
            self.selections.pop(next(iter(self.selections)))


class Sessions:
    """All sessions; every method is thread-safe."""

    def __init__(self, clock: SiteClock, idle_minutes: int) -> None:
        self._clock, self._idle = clock, idle_minutes * 60.0
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._secret = secrets.token_bytes(32)
        self._passwords: dict[str, str] = {}                # account -> its hash when accounts were last looked at

    def open(self, account: Account, origin: Origin) -> str:
        """Start a session; returns its token, which is kept nowhere here."""
        token = secrets.token_urlsafe(32)
        key = _key(token)
        session = Session(key, account, origin, self._clock.monotonic(), self.form_token(token))
        with self._lock:
            everybody = list(self._open.values())
            for crowd, most in (
                ([one for one in everybody if one.account.name == account.name], MAX_PER_ACCOUNT), (everybody, MAX_SESSIONS)
            ):
                if len(crowd) >= most:
                    self._close([min(crowd, key=lambda one: one.used)])
                    break
            self._open[key] = session
        return token

    def find(self, token: str | None, *, touch: bool = True) -> Session | None:
        """The live session of a token; `touch` counts as use."""
        if not token:
            return None
        now = self._clock.monotonic()
        with self._lock:
            session = self._open.get(_key(token))
            if session is None:
                return None
            if now - session.used > self._idle:
                session.ended = True
                del self._open[session.key]
                return None
            if touch:
                session.used = now
            return session

    def alive(self, session: Session) -> bool:
        """Whether a session still counts, without using it."""
        return not session.ended and self._clock.monotonic() - session.used <= self._idle

    def close(self, session: Session) -> None:
        with self._lock:
            session.ended = True
            self._open.pop(session.key, None)

    def close_all_of(self, name: str, keep: Session | None = None) -> None:
        """End every session of an account (its password or role changed), but `keep`."""
        with self._lock:
            self._close([one for one in self._open.values() if one.account.name == name and one is not keep])
            self._passwords.pop(name, None)

    def hold_to(self, accounts: Iterable[Account], passwords: Mapping[str, str]) -> None:
        """End the sessions of accounts that were closed, or got other rights or (by somebody else) another password.

        `passwords` is account -> hash, of those that may log in without changing it first.
        """
        known = {account.name: account for account in accounts}
        with self._lock:
            changed = {name for name, stored in passwords.items() if self._passwords.get(name, stored) != stored}
            self._passwords = dict(passwords)
            self._close([
                one for one in self._open.values()
                if one.account.name in changed or not one.stands(known.get(one.account.name))
            ])

    def _close(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            session.ended = True
            del self._open[session.key]

    def form_token(self, secret_of_browser: str) -> str:
        """What a form must carry: bound to a cookie the attacker's page cannot read."""
        return hmac.new(self._secret, secret_of_browser.encode(), hashlib.sha256).hexdigest()

    def __len__(self) -> int:
        return len(self._open)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
