"""Accounts: who may come in, what is refused, and that it is all written down."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from twisted.internet.task import Clock

from scada.commands import Actor, Role
from scada.errors import CommandRejected, TooManyTries
from scada.registry import passwords
from scada.registry.database import RegistryDatabase, open_registry
from scada.registry.users import UserBook
from tests.fakes import site_clock
from tests.registry.sites import sqlite

ADMIN = Actor("root", Role.ADMINISTRATOR)
GOOD = "correct horse battery"


@pytest.fixture
def reactor() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, reactor: Clock) -> Iterator[RegistryDatabase]:
    opened = open_registry(sqlite(tmp_path), site_clock(reactor))
    yield opened
    opened.close()


@pytest.fixture
def users(database: RegistryDatabase) -> UserBook:
    return database.users


def test_the_right_password_opens_and_a_wrong_one_does_not(users: UserBook) -> None:
    """The name is taken as people type it."""
    users.add(ADMIN, "Ana", GOOD, Role.DISPATCHER, ["north", "south", "north"])
    account = users.authenticate(" ANA ", GOOD)

    assert account is not None
    assert (account.name, account.role, account.areas, account.must_change) == (
        "ana", Role.DISPATCHER, ("north", "south"), False
    )
    assert users.authenticate("ana", GOOD + " ") is None
    assert users.authenticate("nobody", GOOD) is None
    assert users.authenticate("an\ud800", GOOD) is None
    assert users.authenticate("ana", "x" * 10**6) is None


def test_an_unknown_name_costs_a_hash_like_a_known_one(users: UserBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the time of the answer does not tell which names exist."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    hashed: list[str] = []
    verify = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda stored, password: hashed.append(stored) or verify(stored, password))
    users.authenticate("ana", "wrong")
    users.authenticate("nobody", "wrong")

    assert len(hashed) == 2
    assert hashed[1] == passwords.dummy_hash()
    assert [one.rsplit("$", 2)[0] for one in hashed] == ["$argon2id$v=19$m=19456,t=2,p=1"] * 2


def test_ten_tries_a_minute_then_even_the_right_password_waits(users: UserBook, reactor: Clock) -> None:
    """Per name, counted, and over after a minute; another name is not touched."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    users.add(ADMIN, "ion", GOOD, Role.VIEWER)
    for _ in range(10):
        assert users.authenticate("ana", "wrong") is None
    with pytest.raises(TooManyTries):
        users.authenticate("ana", GOOD)
    assert users.authenticate("ion", GOOD) is not None
    assert (users.failed, users.limited) == (10, 1)
    reactor.advance(60)
    assert users.authenticate("ana", GOOD) is not None


def test_a_stranger_does_not_lock_a_named_person_out(users: UserBook) -> None:
    """His tries count for his address; the person's own desk is not touched, and a refused try is no failure."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    for _ in range(10):
        assert users.authenticate("ana", "wrong", "203.0.113.9") is None
    for _ in range(500):
        with pytest.raises(TooManyTries):
            users.authenticate("ana", "wrong", "203.0.113.9")

    assert (users.failed, users.limited) == (10, 500)
    assert users.authenticate("ana", GOOD, "10.0.0.5") is not None


def test_a_password_that_is_reset_can_be_used_at_once(users: UserBook) -> None:
    """Whoever mistyped the old one too often need not wait, wherever he sits."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    for _ in range(10):
        users.authenticate("ana", "wrong", "10.0.0.5")
    users.reset_password(ADMIN, "ana", GOOD + "!")

    assert users.authenticate("ana", GOOD + "!", "10.0.0.5") is not None


def test_a_name_that_is_guessed_at_from_everywhere_has_to_wait(users: UserBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many addresses do not make guessing fast."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    monkeypatch.setattr(passwords, "matches", lambda *_: False)
    for number in range(passwords.TRIES_NAME):
        assert users.authenticate("ana", "wrong", f"10.1.0.{number}") is None

    with pytest.raises(TooManyTries):
        users.authenticate("ana", GOOD, "10.0.0.5")


def test_a_success_gives_the_tries_back(users: UserBook) -> None:
    """Who logs in twenty times a minute with the right password is no attacker."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)

    assert all(users.authenticate("ana", GOOD) is not None for _ in range(12))


def test_the_limiter_remembers_a_bounded_number_of_names() -> None:
    """Somebody trying random names fills no memory."""
    limit = passwords.TryLimit(lambda: 0.0)
    for number in range(passwords.MAX_NAMES + 100):
        limit.allows(str(number))

    assert len(limit._names) == passwords.MAX_NAMES


def test_a_disabled_account_stays_out_until_it_is_enabled(users: UserBook) -> None:
    """With the right password too; and its credentials are not handed on."""
    users.add(ADMIN, "ana", GOOD, Role.ENGINEER)
    users.set_disabled(ADMIN, "ana", True)

    assert users.authenticate("ana", GOOD) is None
    assert users.credentials() == ()
    users.set_disabled(ADMIN, "ana", False)
    assert users.authenticate("ana", GOOD) is not None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 12"),
        ("x" * 257, "at most 256"),
        ("ana.popescu.md", "is the name"),
        ("ANA.Popescu.md", "is the name"),
        ("aaaaaaaaaaaaaaa", "one character repeated"),
        ("tab\tin the middle", "cannot be printed"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(users: UserBook, password: str, reason: str) -> None:
    """At the first one and at every change."""
    with pytest.raises(CommandRejected, match=reason):
        users.add(ADMIN, "ana.popescu.md", password, Role.VIEWER)
    users.add(ADMIN, "ana.popescu.md", GOOD, Role.VIEWER)
    with pytest.raises(CommandRejected, match=reason):
        users.set_password("ana.popescu.md", password)
    assert users.authenticate("ana.popescu.md", GOOD) is not None


def test_every_reason_is_given_at_once(users: UserBook) -> None:
    """A name that cannot be, an area that cannot be, and a weak password."""
    with pytest.raises(CommandRejected) as caught:
        users.add(ADMIN, "ana/../x", "aaa", Role.VIEWER, [" "])
    assert len(caught.value.reasons) == 4


def test_a_name_exists_once(users: UserBook) -> None:
    """Also in other letters."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    with pytest.raises(CommandRejected, match="already"):
        users.add(ADMIN, "ANA", GOOD, Role.ADMINISTRATOR)


def test_the_first_administrator_has_a_one_time_password_that_is_stored_nowhere(
    database: RegistryDatabase, users: UserBook, tmp_path: Path
) -> None:
    """Made once; the file holds its hash only."""
    password = users.make_administrator()
    account = users.authenticate("admin", password or "")

    assert account is not None
    assert (account.role, account.must_change) == (Role.ADMINISTRATOR, True)
    assert users.make_administrator() is None
    database.close()
    assert all((password or "").encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_credentials_are_of_enabled_accounts_whose_password_is_their_own(users: UserBook) -> None:
    """A one-time password opens the web page that changes it, and nothing else."""
    users.make_administrator()
    users.add(ADMIN, "ana", GOOD, Role.DISPATCHER, ["north"])
    ((name, stored, role, areas),) = users.credentials()

    assert (name, role, areas) == ("ana", Role.DISPATCHER, ("north",))
    assert PasswordHasher().verify(stored, GOOD)
    users.set_password("admin", GOOD)
    assert [one[0] for one in users.credentials()] == ["admin", "ana"]


def test_the_last_administrator_cannot_be_closed_out(users: UserBook) -> None:
    """Not disabled, not given another role, not limited to an area; one who is limited is no other."""
    users.add(ADMIN, "ana", GOOD, Role.ADMINISTRATOR)
    for refused in (
        lambda: users.set_disabled(ADMIN, "ana", True),
        lambda: users.set_role(ADMIN, "ana", Role.VIEWER),
        lambda: users.set_role(ADMIN, "ana", Role.ADMINISTRATOR, ["north"]),
    ):
        with pytest.raises(CommandRejected, match="last administrator"):
            refused()
    users.add(ADMIN, "eva", GOOD, Role.ADMINISTRATOR, ["north"])
    with pytest.raises(CommandRejected, match="last administrator"):
        users.set_disabled(ADMIN, "ana", True)
    users.add(ADMIN, "ion", GOOD, Role.ADMINISTRATOR)
    assert users.set_disabled(ADMIN, "ana", True).disabled


def test_a_new_account_has_the_language_of_the_site_unless_told_otherwise(users: UserBook) -> None:
    """An English default would hide the site's own language from everybody."""
    plain = users.add(ADMIN, "ion", GOOD, Role.VIEWER)
    told = users.add(ADMIN, "olga", GOOD, Role.VIEWER, language="ru")

    assert [plain.language, told.language] == ["", "ru"]
    assert {one.name: one.language for one in users.accounts()} == {"ion": "", "olga": "ru"}
    with pytest.raises(CommandRejected, match="no language xx; expected one of en, ro, ru"):
        users.add(ADMIN, "max", GOOD, Role.VIEWER, language="xx")


def test_role_areas_and_language_change(users: UserBook) -> None:
    """Areas stay unless they are given."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER, ["north"])
    users.set_language("ana", "ro")

    assert users.set_role(ADMIN, "ana", Role.DISPATCHER).areas == ("north",)
    assert users.set_role(ADMIN, "ana", Role.DISPATCHER, []).areas == ()
    assert [(one.role, one.language) for one in users.accounts()] == [(Role.DISPATCHER, "ro")]
    with pytest.raises(CommandRejected, match="expected one of en, ro, ru"):
        users.set_language("ana", "xx")
    with pytest.raises(CommandRejected, match="no user eva"):
        users.set_role(ADMIN, "eva", Role.VIEWER)
    assert users.account("eva") is None


def test_every_change_of_an_account_is_audited_without_its_password(database: RegistryDatabase, users: UserBook) -> None:
    """Who did it: the person, or the administrator."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    users.set_password("ana", GOOD + "!")
    users.reset_password(ADMIN, "ana", GOOD + "?")
    users.set_role(ADMIN, "ana", Role.ENGINEER)
    users.set_disabled(ADMIN, "ana", True)
    rows = database.audit.page()

    assert [(row.actor, row.action) for row in reversed(rows)] == [
        ("root", "user.add"), ("ana", "user.password"), ("root", "user.password"),
        ("root", "user.role"), ("root", "user.disable"),
    ]
    assert not any(GOOD in row.detail or "argon2" in row.detail for row in rows)


def test_a_hash_of_other_parameters_is_renewed_at_the_next_log_in(users: UserBook, tmp_path: Path) -> None:
    """So that stronger parameters reach everybody without anybody's doing."""
    users.add(ADMIN, "ana", GOOD, Role.VIEWER)
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)
    with sqlite3.connect(tmp_path / "registry.sqlite") as other:
        other.execute("UPDATE users SET password_hash = ?", (weak,))
    other.close()
    users.authenticate("ana", GOOD)

    assert users.credentials()[0][1].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
