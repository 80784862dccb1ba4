"""Who may come in: accounts, roles, areas, passwords. Every method blocks and is thread-safe; changes are audited."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from scada.commands import Actor, Origin, Role
from scada.errors import CommandRejected, TooManyTries
from scada.ports import Account
from scada.registry import passwords
from scada.registry.audit import AuditTrail, append
from scada.registry.columns import TEXT_LENGTH
from scada.registry.models import Base, RevisionRow, UserAreaRow, UserRow
from scada.registry.schema import reading, writing

LANGUAGES: Final = ("en", "ro", "ru")
ADMINISTRATOR: Final = "admin"
SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_users: Final = Base.metadata.tables[UserRow.__tablename__]
_areas: Final = Base.metadata.tables[UserAreaRow.__tablename__]
_revisions: Final = Base.metadata.tables[RevisionRow.__tablename__]


class UserBook:
    """Implements `ports.Users`, and what the command line and the HMI's user page need beyond it."""

    def __init__(
        self, engine: Callable[[], Engine], audit: AuditTrail, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine, self._audit = engine, audit
        self._limit = passwords.TryLimit(monotonic)
        self._names = passwords.TryLimit(monotonic, passwords.TRIES_NAME)
        self.failed = self.limited = 0      # since the start; figures for health, not exact under threads

    # ------------------------------------------------------------------------------------------- coming in
    def authenticate(self, name: str, password: str, address: str = "") -> Account | None:
        name = name.strip().casefold()
        if not self._limit.allows(f"{name} {address}") or not self._names.allows(name):
            self.limited += 1
            raise TooManyTries
        with reading(self._engine()) as connection:
            found = _found(connection, name)
        unknown = passwords.dummy_hash()                    # whoever comes first waits for it, with whatever name
        stored = unknown if found is None else found[1]
        right = passwords.matches(stored, password)
        if found is None or not right or found[0].disabled:
            self.failed += 1
            return None
        self._limit.forget(f"{name} {address}")
        self._names.forget(name)
        if passwords.is_outdated(stored):
            with writing(self._engine()) as connection:
                _change(connection, name, password_hash=passwords.hash_of(password))
        return found[0]

    def credentials(self) -> tuple[tuple[str, str, Role, tuple[str, ...]], ...]:
        with reading(self._engine()) as connection:
            return tuple(
                (account.name, stored, account.role, account.areas)
                for account, stored in _all(connection)
                if not account.disabled and not account.must_change
            )

    # ------------------------------------------------------------------------------------------------ look
    def accounts(self) -> tuple[Account, ...]:
        with reading(self._engine()) as connection:
            return tuple(account for account, _ in _all(connection))

    def account(self, name: str) -> Account | None:
        with reading(self._engine()) as connection:
            found = _found(connection, name.strip().casefold())
        return None if found is None else found[0]

    # ---------------------------------------------------------------------------------------------- change
    def add(
        self, actor: Actor, name: str, password: str, role: Role, areas: Sequence[str] = (), *, must_change: bool = False,
        language: str = "",
    ) -> Account:
        """Make an account; language "" is the site's. Raises `CommandRejected` with every reason."""
        name = name.strip().casefold()
        areas = tuple(dict.fromkeys(areas))
        faults = [*_name_faults(name), *_area_faults(areas), *passwords.weaknesses(name, password)]
        if language not in ("", *LANGUAGES):
            faults.append(_no_language(language))
        if faults:
            raise CommandRejected(faults)
        values = {
            "name": name, "password_hash": passwords.hash_of(password), "role": role, "language": language,
            "disabled": False, "must_change": must_change,
        }
        said = self._audit.note(actor, "user.add", name, role=role, areas=areas)
        with writing(self._engine()) as connection:
            if _found(connection, name) is not None:
                raise CommandRejected([f"there is a user {name} already"])
            connection.execute(insert(_users), values)
            _set_areas(connection, name, areas)
            _raise_revision(connection)
            append(connection, [said])
        return Account(name, role, areas, language, must_change=must_change)

    def set_password(self, name: str, password: str, *, must_change: bool = False) -> None:
        """The person's own doing."""
        self._set_password(None, name, password, must_change)

    def reset_password(self, actor: Actor, name: str, password: str, *, must_change: bool = True) -> Account:
        """Somebody else's doing; raises `CommandRejected`."""
        return self._set_password(actor, name, password, must_change)

    def _set_password(self, actor: Actor | None, name: str, password: str, must_change: bool) -> Account:
        name = name.strip().casefold()
        if faults := passwords.weaknesses(name, password):
            raise CommandRejected(faults)
        stored = passwords.hash_of(password)
        with writing(self._engine()) as connection:
            account = _known(connection, name)
            _change(connection, name, password_hash=stored, must_change=must_change)
            by = actor or Actor(name, account.role, account.areas)
            append(connection, [self._audit.note(by, "user.password", name, one_time=must_change)])
            account = _known(connection, name)
        self._limit.forget_all_of(name)
        self._names.forget(name)
        return account

    def set_language(self, name: str, language: str) -> None:
        if language not in LANGUAGES:
            raise CommandRejected([_no_language(language)])
        with writing(self._engine()) as connection:
            _change(connection, _known(connection, name).name, language=language)

    def set_disabled(self, actor: Actor, name: str, disabled: bool) -> Account:
        """Close an account, or open it again; the last administrator cannot be closed out."""
        with writing(self._engine()) as connection:
            account = _known(connection, name)
            if disabled:
                _keep_an_administrator(connection, account)
            _change(connection, account.name, disabled=disabled)
            append(connection, [self._audit.note(actor, "user.disable" if disabled else "user.enable", account.name)])
            return _known(connection, name)

    def set_role(self, actor: Actor, name: str, role: Role, areas: Sequence[str] | None = None) -> Account:
        """Give an account another role, and other areas unless None; no areas mean every area."""
        areas = None if areas is None else tuple(dict.fromkeys(areas))
        if faults := _area_faults(areas or ()):
            raise CommandRejected(faults)
        with writing(self._engine()) as connection:
            account = _known(connection, name)
            if role is not Role.ADMINISTRATOR or areas:
                _keep_an_administrator(connection, account)
            _change(connection, account.name, role=role)
            if areas is not None:
                _set_areas(connection, account.name, areas)
            after = _known(connection, name)
            said = {"role": role, "areas": after.areas, "was": account.role}
            append(connection, [self._audit.note(actor, "user.role", account.name, **said)])
            return after

    def make_administrator(self) -> str | None:
        """At the first start: an administrator with a one-time password, returned once and kept nowhere."""
        with reading(self._engine()) as connection:
            if any(account.role is Role.ADMINISTRATOR or account.name == ADMINISTRATOR for account, _ in _all(connection)):
                return None
        password = passwords.one_time_password()
        self.add(SYSTEM, ADMINISTRATOR, password, Role.ADMINISTRATOR, must_change=True)
        return password


def _all(connection: Connection) -> list[tuple[Account, str]]:
    areas: dict[str, list[str]] = {}
    for user, area in connection.execute(select(_areas.c.user, _areas.c.area).order_by(_areas.c.area)):
        areas.setdefault(user, []).append(area)
    return [
        _account(row, areas.get(row.name, ())) for row in connection.execute(select(_users).order_by(_users.c.name))
    ]


def _found(connection: Connection, name: str) -> tuple[Account, str] | None:
    row = connection.execute(select(_users).where(_users.c.name == name.encode("utf-8", "replace").decode())).one_or_none()
    if row is None:
        return None
    areas = connection.execute(select(_areas.c.area).where(_areas.c.user == row.name).order_by(_areas.c.area))
    return _account(row, areas.scalars().all())


def _account(row: Any, areas: Sequence[str]) -> tuple[Account, str]:
    account = Account(row.name, row.role, tuple(areas), row.language, row.disabled, row.must_change)
    return account, row.password_hash


def _known(connection: Connection, name: str) -> Account:
    found = _found(connection, name.strip().casefold())
    if found is None:
        raise CommandRejected([f"there is no user {name}"])
    return found[0]


def _change(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(update(_users).where(_users.c.name == name).values(**values))
    _raise_revision(connection)


def _raise_revision(connection: Connection) -> None:
    connection.execute(
        update(_revisions).where(_revisions.c.kind == "users").values(number=_revisions.c.number + 1)
    )


def _set_areas(connection: Connection, name: str, areas: Sequence[str]) -> None:
    connection.execute(delete(_areas).where(_areas.c.user == name))
    if areas:
        connection.execute(insert(_areas), [{"user": name, "area": area} for area in areas])


def _keep_an_administrator(connection: Connection, account: Account) -> None:
    others = [
        other for other, _ in _all(connection)
        if other.role is Role.ADMINISTRATOR and not other.areas and not other.disabled and other.name != account.name
    ]
    if account.role is Role.ADMINISTRATOR and not account.disabled and not others:
        raise CommandRejected([f"{account.name} is the last administrator; make another one first"])


def _no_language(language: str) -> str:
    return f"no language {language}; expected one of {', '.join(LANGUAGES)}"


def _name_faults(name: str) -> list[str]:
    if _NAME.fullmatch(name):
        return []
    return [f"{name!r} cannot be a user's name; letters a-z, digits and . _ @ - are taken, 64 at most"]


def _area_faults(areas: Sequence[str]) -> list[str]:
    return [
        f"{area!r} cannot be an area; expected printable text of 1 to {TEXT_LENGTH} characters"
        for area in areas if not (area.isprintable() and area == area.strip() and 0 < len(area) <= TEXT_LENGTH)
    ]
