"""The golden values of docs/dmlp.md: computed by an independent script, so that our codec is not its own judge."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from scada.drivers.dmesh import crypto, frame, messages, profile, profile_decode
from scada.intervals import MISSING

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden/dmlp/frames.json").read_text())
LINK_ID = int(GOLDEN["link_id"], 16)
LINK_KEY = bytes.fromhex(GOLDEN["link_key"])
KEYS = crypto.session_keys(LINK_KEY, bytes.fromhex(GOLDEN["nonce_c"]), bytes.fromhex(GOLDEN["nonce_s"]))


def golden_profile() -> profile.Profile:
    """The arrays of the golden PROFILE."""
    case = GOLDEN["profile"]
    counts = np.array([[MISSING if one is None else one for one in row] for row in case["deltas"]], dtype=np.int64)
    return profile.Profile(
        first_hour=case["first_hour"],
        index=np.array(case["modules"], dtype=np.uint16),
        channel=np.array(case["channels"], dtype=np.uint8),
        register=np.array(case["registers"], dtype=np.int64),
        counts=counts,
        status=np.zeros(counts.shape, dtype=np.uint8),
    )


def test_the_keys_of_a_session_are_the_golden_ones() -> None:
    """Link key and nonces give exactly the authentication key, both session keys and the session id."""
    assert crypto.auth_key(LINK_KEY).hex() == GOLDEN["auth_key"]
    assert KEYS.to_server.hex() == GOLDEN["to_server_key"]
    assert KEYS.to_concentrator.hex() == GOLDEN["to_concentrator_key"]
    assert f"{KEYS.sid:08x}" == GOLDEN["sid"]


def test_the_golden_ping_is_written_byte_for_byte() -> None:
    """Header, header CRC, CBOR and CRC-32 of a plain frame."""
    ping = messages.encode(messages.Ping(GOLDEN["ping"]["time"]), GOLDEN["ping"]["corr"])

    assert frame.encode(frame.Frame(LINK_ID, ping)).hex() == GOLDEN["ping"]["frame"]


def test_the_golden_ping_is_read() -> None:
    """The same frame gives back the message and its corr."""
    (found,) = frame.FrameDecoder().feed(bytes.fromhex(GOLDEN["ping"]["frame"]))

    assert isinstance(found, frame.Frame)
    assert found.link_id == LINK_ID
    assert messages.decode(found.body) == messages.Packet(messages.Ping(GOLDEN["ping"]["time"]), GOLDEN["ping"]["corr"])


def test_the_golden_profile_is_opened_and_decoded() -> None:
    """A secured frame opens under the session key and its block becomes the golden arrays."""
    (sealed,) = frame.FrameDecoder().feed(bytes.fromhex(GOLDEN["profile"]["frame"]))
    assert isinstance(sealed, frame.Frame)
    opened = crypto.unseal(KEYS.to_server, crypto.TO_SERVER, KEYS.sid, sealed)
    assert isinstance(opened, tuple)
    counter, body = opened
    packet = messages.decode(body)
    assert isinstance(packet, messages.Packet)
    assert isinstance(packet.message, messages.ProfileMessage)
    found = profile_decode.decode(packet.message.block)

    assert counter == GOLDEN["profile"]["counter"]
    assert packet.message.record == GOLDEN["profile"]["record"]
    assert isinstance(found, profile.Profile)
    expected = golden_profile()
    assert found.first_hour == expected.first_hour
    for name in ("index", "channel", "register", "counts", "status"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_golden_profile_is_written_byte_for_byte() -> None:
    """The way out makes the same bytes, seal included."""
    case = GOLDEN["profile"]
    body = messages.encode(messages.ProfileMessage(case["record"], profile.encode(golden_profile())))
    sealed = crypto.seal(KEYS.to_server, crypto.TO_SERVER, KEYS.sid, case["counter"], LINK_ID, body)

    assert frame.encode(sealed).hex() == case["frame"]
