"""Names and passwords: what is let in, what is remembered, what has to wait."""

import asyncio
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters

from scada.opcua_server.doorman import (
    MAX_FAILURES,
    MAX_FAILURES_NAME,
    MAX_FAILURES_PEER,
    MAX_WAITING,
    REMEMBER_S,
    Credential,
    Doorman,
)

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
SITE = PasswordHasher(time_cost=2, memory_cost=1024, parallelism=1)    # not the library's default either
DANA = Credential("dana", CHEAP.hash("right"), "dispatcher", ("north",))
VERA = Credential("vera", CHEAP.hash("other"), "viewer")


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def doorman(time: Time) -> Doorman:
    one = Doorman(time)
    one._nobody = CHEAP.hash("nobody")
    one.update([DANA, VERA])
    return one


def ask(doorman: Doorman, name: str, password: str, peer: str = "10.0.0.1") -> Any:
    return asyncio.run(doorman.verify(name, password, peer))


def counted(doorman: Doorman) -> list[str]:
    """Record each password that is really hashed."""
    looked: list[str] = []
    really = doorman._matches

    def matches(hashed: str, password: str) -> bool:
        looked.append(password)
        return really(hashed, password)

    doorman._matches = matches                             # type: ignore[method-assign]
    return looked


def test_the_right_password_gives_the_real_credential(doorman: Doorman) -> None:
    """Name, role and areas as the registry has them."""
    assert ask(doorman, "dana", "right").credential == DANA
    assert ask(doorman, "dana", "wrong").credential is None
    assert ask(doorman, "vera", "right").credential is None


def test_an_unknown_name_costs_a_hash_too(doorman: Doorman) -> None:
    """Otherwise the time of an answer tells which names exist."""
    hashed: list[str] = []
    really = doorman._matches
    doorman._matches = lambda against, password: hashed.append(against) or really(against, password)  # type: ignore[method-assign, func-returns-value]

    assert ask(doorman, "nobody", "x").credential is None
    assert hashed == [doorman._nobody]


def test_a_password_that_was_right_is_not_hashed_again_for_some_minutes(doorman: Doorman, time: Time) -> None:
    """Reconnecting clients cost nothing; the memory ends, and holds no password."""
    looked = counted(doorman)
    for _ in range(3):
        assert ask(doorman, "dana", "right").credential == DANA
    assert len(looked) == 1
    time.now += REMEMBER_S + 1
    assert ask(doorman, "dana", "right").credential == DANA

    assert len(looked) == 2
    assert b"right" not in repr(doorman._remembered).encode()


def test_a_changed_password_is_forgotten_at_once(doorman: Doorman) -> None:
    """The old one does not work for another five minutes."""
    ask(doorman, "dana", "right")
    doorman.update([Credential("dana", CHEAP.hash("new"), "dispatcher")])

    assert ask(doorman, "dana", "right").credential is None
    assert ask(doorman, "dana", "new").credential is not None


def test_a_removed_user_does_not_come_in(doorman: Doorman) -> None:
    """Remembered or not."""
    ask(doorman, "dana", "right")
    doorman.update([VERA])

    assert ask(doorman, "dana", "right").credential is None


@pytest.mark.parametrize("after", [[VERA, Credential("dana", CHEAP.hash("new"), "dispatcher")], [VERA]])
def test_who_changes_while_his_password_is_checked_does_not_come_in_with_the_old_one(
    after: list[Credential], doorman: Doorman
) -> None:
    """The check takes its time; what counts is the list of users when it ends. Nothing of the old is remembered."""
    really = doorman._matches

    def matches(hashed: str, password: str) -> bool:
        right = really(hashed, password)
        doorman.update(after)
        return right

    doorman._matches = matches                             # type: ignore[method-assign]

    assert ask(doorman, "dana", "right").credential is None
    doorman._matches = really                              # type: ignore[method-assign]
    assert ask(doorman, "dana", "right").credential is None


def test_what_is_remembered_of_another_hash_is_not_believed(doorman: Doorman) -> None:
    """However it came to be there: a remembered password counts for the hash it was right for, and no other."""
    ask(doorman, "dana", "right")
    kept = dict(doorman._remembered)
    doorman.update([Credential("dana", CHEAP.hash("new"), "dispatcher")])
    doorman._remembered = kept

    assert ask(doorman, "dana", "right").credential is None


def test_an_unknown_name_costs_as_much_as_a_known_one(time: Time) -> None:
    """Known 19 ms and unknown 119 ms told a stranger which names exist; only the parameters decide the time."""
    doorman = Doorman(time)
    hashed: list[str] = []
    doorman._matches = lambda against, password: bool(hashed.append(against))  # type: ignore[method-assign, func-returns-value]
    doorman.update([Credential("dana", SITE.hash("right"), "dispatcher")])
    ask(doorman, "dana", "x")
    ask(doorman, "nobody", "x")

    known, unknown = (extract_parameters(one) for one in hashed)
    assert known == unknown


def test_where_hashes_are_of_another_make_nobody_has_one_of_that_make(time: Time) -> None:
    """Old hashes are re-made at the next log-in only; until then nobody's costs what most of them cost."""
    doorman = Doorman(time)
    hashed: list[str] = []
    doorman._matches = lambda against, password: bool(hashed.append(against))  # type: ignore[method-assign, func-returns-value]
    doorman.update([DANA, VERA, Credential("ion", SITE.hash("right"), "viewer")])
    ask(doorman, "nobody", "x")

    assert extract_parameters(hashed[0]) == extract_parameters(DANA.password_hash)


def test_failures_of_a_name_make_it_wait_and_cost_nothing_then(doorman: Doorman, time: Time) -> None:
    """After five failures nothing is hashed there for a minute, not even the right password; then it is again."""
    for _ in range(MAX_FAILURES):
        assert ask(doorman, "dana", "wrong", "10.0.1.1").counted
    looked = counted(doorman)
    verdict = ask(doorman, "dana", "right", "10.0.1.1")

    assert (verdict.credential, verdict.counted, looked) == (None, False, [])
    time.now += 61
    assert ask(doorman, "dana", "right").credential == DANA


def test_one_stranger_does_not_lock_out_a_client_that_was_never_here(doorman: Doorman) -> None:
    """After a restart nobody is remembered; the utility's own SCADA must get in all the same."""
    for _ in range(MAX_FAILURES_PEER + 1):
        ask(doorman, "dana", "wrong", "203.0.113.9")

    assert ask(doorman, "dana", "right", "10.0.0.5").credential == DANA


def test_a_name_that_is_guessed_at_from_everywhere_has_to_wait(doorman: Doorman) -> None:
    """Many addresses do not make guessing fast."""
    for number in range(MAX_FAILURES_NAME):
        ask(doorman, "dana", "wrong", f"10.1.0.{number}")

    assert ask(doorman, "dana", "right", "10.0.0.5").credential is None


def test_who_is_inside_already_is_not_locked_out_by_others(doorman: Doorman) -> None:
    """A flood of wrong passwords for a name does not stop its real owner from reconnecting."""
    ask(doorman, "dana", "right")
    for number in range(MAX_FAILURES + 1):
        ask(doorman, "dana", "wrong", f"10.0.0.{number}")

    assert ask(doorman, "dana", "right").credential == DANA


def test_failures_of_an_address_make_it_wait_whatever_names_it_tries(doorman: Doorman) -> None:
    """A list of guessed names from one place."""
    for number in range(MAX_FAILURES_PEER):
        ask(doorman, f"name{number}", "x", "10.0.0.9")

    assert not ask(doorman, "vera", "other", "10.0.0.9").credential
    assert ask(doorman, "vera", "other", "10.0.0.10").credential == VERA


def test_more_log_ins_than_can_wait_are_refused_and_the_loop_is_free_meanwhile(doorman: Doorman) -> None:
    """Hashing runs in one thread; the loop serves others while it runs."""
    go = threading.Event()

    def slow(hashed: str, password: str) -> bool:
        return go.wait(10)

    doorman._matches = slow                                # type: ignore[method-assign]

    async def run() -> list[Any]:
        waiting = [asyncio.ensure_future(doorman.verify(f"n{number}", "x", f"p{number}")) for number in range(MAX_WAITING)]
        await asyncio.sleep(0)
        one_more = await doorman.verify("late", "x", "late")
        go.set()
        await asyncio.gather(*waiting)
        return [one_more.credential, one_more.counted]

    assert asyncio.run(run()) == [None, False]


def test_a_name_of_a_megabyte_is_refused_without_looking(doorman: Doorman) -> None:
    """Neither hashed nor kept."""
    looked = counted(doorman)

    assert not ask(doorman, "x" * 1_000_000, "y").counted
    assert looked == []


def test_the_memory_of_failures_is_bounded(doorman: Doorman) -> None:
    """Names are free to invent."""
    doorman._matches = lambda hashed, password: False      # type: ignore[method-assign]
    for number in range(1500):
        ask(doorman, f"n{number}", "x", f"p{number}")

    assert len(doorman._failures) <= 1000
