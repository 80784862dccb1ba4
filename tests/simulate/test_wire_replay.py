"""A recorded wire, read again: the same messages and the same rejects as the server saw, and nothing without the key."""

from collections import Counter
from pathlib import Path

import pytest

from scada.drivers.dmesh.messages import Auth, Challenge, Close, Hello, ProfileMessage, Ready
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.errors import ConfigError
from scada.simulate.faults import CATALOGUE
from scada.simulate.wire_log import Piece, WireLog, read
from scada.simulate.wire_replay import Told, replay
from tests.simulate.stand import KEYS, LINKS, Stand, play


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    """What the server counted while frames were damaged, and the record of it."""
    folder = tmp_path_factory.mktemp("wire")
    stand = Stand(folder)
    log = WireLog(folder / "wire.jsonl", stand.reactor.seconds)
    try:
        for client in stand.clients:
            client.line.taps.append(log.tap(client.state.link_id))
            client.cut()                        # so that the record begins with a handshake
        seen = play(stand, CATALOGUE["corrupt-frames"])
    finally:
        stand.close()
        log.close()
    return seen, folder / "wire.jsonl"


def told(path: Path, keys: dict[int, bytes] = KEYS) -> list[Told]:
    return list(replay(read(path), keys))


def test_a_replayed_wire_shows_what_the_server_saw(recorded: tuple[dict[str, float], Path]) -> None:
    """Every damaged frame is rejected again, every session has its handshake, and records come in order."""
    seen, path = recorded
    found = told(path)
    rejects = Counter(one.what.reason for one in found if isinstance(one.what, Rejected))
    sessions = {(one.link_id, one.connection) for one in found if isinstance(one.what, Ready)}

    # The record is made at the field's end: it also holds what was sent on a connection that the server had let go of.
    assert rejects[Reject.FRAME_CRC] >= seen["dmesh.dropped_frame_crc"] > 0
    assert rejects[Reject.CRYPTO] == 0
    assert len(sessions) >= 2
    for link, connection in sessions:
        mine = [one for one in found if (one.link_id, one.connection) == (link, connection)]
        records = [one.what.record for one in mine if isinstance(one.what, ProfileMessage) and one.what.record]
        assert isinstance(next(one.what for one in mine if one.what is not None), Hello)
        assert records == sorted(records)
    assert [one.at for one in found] == sorted(one.at for one in found)


def test_without_the_link_key_a_record_tells_the_handshake_only(recorded: tuple[dict[str, float], Path]) -> None:
    """No key, or a wrong one: everything sealed is dropped as crypto."""
    for keys in ({}, dict.fromkeys(LINKS, bytes(16 * [255]))):
        found = [one.what for one in told(recorded[1], keys) if one.what is not None]
        sealed = [one for one in found if isinstance(one, Rejected) and one.reason is Reject.CRYPTO]

        assert {type(one) for one in found} <= {Hello, Challenge, Auth, Close, Rejected}
        assert len(sealed) > 50


def test_what_was_told_can_be_read_by_people_and_programs(recorded: tuple[dict[str, float], Path]) -> None:
    """One line each, long messages cut; all of it as JSON."""
    found = told(recorded[1])
    first = next(one for one in found if isinstance(one.what, Hello))

    assert " up    HELLO Hello(" in str(first)
    assert first.told()["message"] == "HELLO"
    assert max(len(str(one)) for one in found) < 260


def test_a_record_that_a_kill_cut_off_is_read_and_a_spoilt_one_is_refused_with_the_line(tmp_path: Path) -> None:
    """The last line may be half written; any other must be right."""
    log = WireLog(tmp_path / "w", lambda: 5.0)
    log.tap(7)(1, "open", b"")
    log.tap(7)(1, "up", b"DM")
    log.close()
    whole = (tmp_path / "w").read_text()
    (tmp_path / "w").write_text(whole + '{"at": 1, "li')

    assert read(tmp_path / "w") == (Piece(0.0, 7, 1, "open", b""), Piece(0.0, 7, 1, "up", b"DM"))
    (tmp_path / "w").write_text("x\n" + whole)
    with pytest.raises(ConfigError, match=r":1: is no piece of a wire; expected at, link, connection, way and data"):
        read(tmp_path / "w")
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "nothing")
