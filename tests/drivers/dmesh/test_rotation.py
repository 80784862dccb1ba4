"""A key is changed over the air, and nobody is ever locked out, wherever the link breaks and whoever is killed then."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.drivers.dmesh import keyring
from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.keystore import name_of
from scada.drivers.dmesh.numbers import KeyTarget
from tests.drivers.dmesh.meeting import EUIS, Meeting
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY

LINK = (KeyTarget.LINK, LINK_ID)
MODULE = (KeyTarget.MODULE, EUIS[1])
DEAD = ("nobody", "the server", "the concentrator", "both")


def rotating(folder: Path) -> tuple[Meeting, int]:
    """A meeting whose link key is to be changed, and the key's number."""
    one = Meeting(folder)
    one.keys.begin([LINK], one.clock.real())
    ring = one.keys.ring(LINK)
    assert ring is not None
    assert ring.new is not None
    return one, ring.new.number


def bury(one: Meeting, who: str) -> None:
    """Whoever was killed starts again from its disk."""
    if who in ("the server", "both"):
        one.start_server()
    if who in ("the concentrator", "both"):
        one.start_concentrator()


def changed(one: Meeting, number: int) -> None:
    """A link that works, under the new key at both ends, and then a session that is proven by it."""
    assert one.connect()
    one.beat()
    ours, theirs = one.keys.ring(LINK), one.state.keys.link
    assert ours is not None
    assert ours.active is not None
    assert ours.active == theirs.active
    assert ours.active.number == number
    assert ours.new is None
    one.cut()
    assert one.connect()
    assert one.connection.session.key == ours.active


def test_a_link_key_is_changed_over_the_air(tmp_path: Path) -> None:
    """KEY_PUT, KEY_CONFIRM, KEY_ACTIVATE; the session goes on, the next one is under the new key, as both stores say."""
    one, number = rotating(tmp_path)
    first = one.keys.link_key(LINK_ID)
    changed(one, number)
    (health,) = one.service.health()

    assert first == LINK_KEY
    assert one.disk.rings()["LINK", LINK_ID].active == Key(number, one.keys.link_key(LINK_ID) or b"")
    assert (health.figures["keys_changing"], health.figures["keys_changed"]) == (0, 1)


def test_a_change_that_is_laid_up_while_the_link_is_up_is_taken_on_at_the_next_beat(tmp_path: Path) -> None:
    """`scada keys rotate` is another process: the running server needs neither a restart nor a new session."""
    one = Meeting(tmp_path)
    one.connect()
    other = Meeting(tmp_path).keys
    other.begin([LINK], one.clock.real())
    one.beat()
    ring = one.keys.ring(LINK)

    assert ring is not None
    assert ring.new is None
    assert ring.active == one.state.keys.link.active != Key(0, LINK_KEY)


@pytest.mark.parametrize("dead", DEAD)
def test_the_link_may_break_before_and_after_every_frame_of_the_change(dead: str, tmp_path: Path) -> None:
    """Frame 0, 1, 2 … is the last that arrives; whoever is killed comes back from its disk; it always ends well."""
    counted = Meeting(tmp_path / "whole")
    counted.keys.begin([LINK], counted.clock.real())
    counted.connect()
    total = counted.carried
    states = set()
    for last in range(total + 1):
        one, number = rotating(tmp_path / str(last))
        one.connect(frames=last)
        one.cut()
        ours, theirs = one.keys.ring(LINK), one.state.keys.link
        assert ours is not None
        states.add((ours.state, theirs.state))
        bury(one, dead)
        changed(one, number)

    assert total > 10
    assert states == {                                      # every place where an answer may be lost has been visited
        ("new key waits", "active"), ("new key waits", "new key waits"), ("new key confirmed", "new key waits"),
        ("new key confirmed", "key before is still good"), ("key before is still good", "key before is still good"),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(DEAD), st.booleans()), max_size=8))
def test_any_number_of_breaks_and_deaths_and_changes_ends_well(troubles: list[tuple[int, str, bool]]) -> None:
    """Also while a second and third change is laid up between them."""
    with TemporaryDirectory() as folder:
        one = Meeting(Path(folder))
        for last, dead, again in troubles:
            ring = one.keys.ring(LINK)
            assert ring is not None
            if again and ring.new is None:
                one.keys.begin([LINK], one.clock.real())
            one.connect(frames=last)
            one.cut()
            bury(one, dead)
            one.reactor.advance(1.0)
        ring = one.keys.ring(LINK)
        assert ring is not None
        wanted = ring.new or ring.active
        assert wanted is not None
        changed(one, wanted.number)


def test_a_concentrator_that_lost_the_new_key_is_let_in_at_the_second_attempt(tmp_path: Path) -> None:
    """It was confirmed, so the server proves itself with it; where that is refused, it begins with the other."""
    one, number = rotating(tmp_path)
    one.keys.change(LINK, lambda ring: ring.confirm(number))
    refused = one.connect()
    one.cut()

    assert not refused
    changed(one, number)


def test_the_key_before_is_forgotten_after_its_grace(tmp_path: Path) -> None:
    """Counted in real time from the first session under the new key, at both ends; before that it stays."""
    one, number = rotating(tmp_path)
    one.connect()
    one.reactor.advance(30 * 86400.0)
    unproven = one.keys.ring(LINK)
    one.cut()
    changed(one, number)
    proven = one.keys.ring(LINK)
    one.cut()
    one.reactor.advance(7 * 86400.0 + 1)
    one.connect()
    one.beat()
    after = one.keys.ring(LINK)

    assert unproven is not None
    assert unproven.old == Key(0, LINK_KEY)
    assert unproven.until is None
    assert proven is not None
    assert proven.until is not None
    assert after == Ring(one.state.keys.link.active)
    assert one.state.keys.link.old is None


def test_a_revoked_key_ends_the_session_and_the_next_attempt_is_refused(tmp_path: Path) -> None:
    """Not only from the next dial-in on."""
    one = Meeting(tmp_path)
    up = one.connect()
    one.keys.revoke(LINK)
    one.reactor.advance(5.0)
    ended = not one.connection.up
    one.cut()

    assert up
    assert ended
    assert not one.connect()


def test_a_change_that_the_concentrator_refuses_is_told_and_not_hammered(tmp_path: Path) -> None:
    """It stands in the figures, the link stays up, and it is tried again only after five minutes."""
    one, number = rotating(tmp_path)
    theirs = one.state.keys.link
    one.state.keys.link = Ring(Key(number, bytes(16)), old=theirs.active)   # that number is another key's already
    up = one.connect()
    for _ in range(10):
        one.beat()
    (soon,) = one.service.health()
    for _ in range(60):                                     # over many keep-alives, which the concentrator answers
        one.beat()
    (later,) = one.service.health()

    assert up
    assert soon.figures["key_changes_refused"] == 1
    assert later.figures["key_changes_refused"] == 2
    assert later.figures["keys_changing"] == 1


def test_a_module_gets_its_first_key_and_a_second(tmp_path: Path) -> None:
    """Put and activated by way of its concentrator; both ends agree, and the one before has a last day."""
    one = Meeting(tmp_path)
    one.connect()
    one.keys.begin([MODULE], one.clock.real())
    one.beat()
    first = one.keys.ring(MODULE)
    one.reactor.advance(10.0)
    one.keys.begin([MODULE], one.clock.real())
    one.beat()
    second = one.keys.ring(MODULE)

    assert first is not None
    assert second is not None
    assert first.active is not None
    assert second.active == one.state.keys.modules[EUIS[1]].active
    assert second.old == first.active != second.active
    assert second.until is not None
    assert name_of(MODULE) == "module 00000000d1000002"


@pytest.mark.parametrize("dead", DEAD)
def test_a_module_key_survives_a_break_after_every_frame(dead: str, tmp_path: Path) -> None:
    """The same promise as for the link's own."""
    counted = Meeting(tmp_path / "whole")
    counted.keys.begin([MODULE], counted.clock.real())
    counted.connect()
    counted.beat()
    for last in range(counted.carried + 1):
        one = Meeting(tmp_path / str(last))
        one.keys.begin([MODULE], one.clock.real())
        if one.connect(frames=last):
            one.beat()
        one.cut()
        bury(one, dead)
        one.connect()
        one.beat()
        ring = one.keys.ring(MODULE)
        assert ring is not None
        assert ring.active is not None
        assert ring.active == one.state.keys.modules[EUIS[1]].active


def test_a_key_id_in_use_never_gets_another_key() -> None:
    """A repeat is a repeat; another key under the same number, or an older number, is refused."""
    ring = Ring(Key(5, bytes(16)))
    new = ring.put(Key(7, bytes([1] * 16)))

    assert new is not None
    assert new.put(Key(7, bytes([1] * 16))) == new
    assert new.put(Key(7, bytes([2] * 16))) is None
    assert ring.put(Key(4, bytes([2] * 16))) is None
    assert ring.put(Key(5, bytes([2] * 16))) is None


def test_a_ring_survives_its_file() -> None:
    """Every field; and the bare key of earlier versions is a ring too."""
    ring = Ring(Key(5, bytes(16)), Key(7, bytes([1] * 16)), True, Key(1, bytes([2] * 16)), 60, 1234)

    assert keyring.loaded(keyring.dumped(ring)) == ring
    assert keyring.loaded(bytes(16)) == Ring(Key(0, bytes(16)))
