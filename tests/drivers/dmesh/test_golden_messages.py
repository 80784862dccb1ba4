"""One golden frame of every message type, made by a script that shares no code with ours: read, and written again."""

import ast
import contextlib
import io
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from scada.drivers.dmesh import crypto, frame, messages
from scada.drivers.dmesh.numbers import EITHER, FROM_CONCENTRATOR, HANDSHAKE, Type
from tests.drivers.dmesh.samples import SAMPLES

FOLDER = Path(__file__).parents[2] / "golden/dmlp"
GOLDEN: dict[str, Any] = json.loads((FOLDER / "messages.json").read_text(encoding="utf-8"))
LINK_ID = int(GOLDEN["link_id"], 16)
KEYS = crypto.session_keys(*(bytes.fromhex(GOLDEN[name]) for name in ("link_key", "nonce_c", "nonce_s")))
BY_NAME = {one.TYPE.name: one for one in SAMPLES}
EXTRA = pytest.mark.parametrize("case", GOLDEN["variants"], ids=lambda case: case["shows"].split(":")[0])
CASES = pytest.mark.parametrize("case", GOLDEN["messages"], ids=lambda case: case["name"])


def direction(case: dict[str, Any]) -> tuple[bytes, int]:
    """Key and DIR of a sealed frame."""
    to_server = case["way"] == "to server"
    return (KEYS.to_server, crypto.TO_SERVER) if to_server else (KEYS.to_concentrator, crypto.TO_CONCENTRATOR)


def test_there_is_one_golden_frame_of_every_message_type() -> None:
    """No type without an outside witness."""
    held = sorted((case["type"], case["name"]) for case in GOLDEN["messages"])

    assert held == sorted((int(one), one.name) for one in Type)


@CASES
def test_a_golden_frame_is_read(case: dict[str, Any]) -> None:
    """Frame, seal, CBOR and fields give the message that the script meant."""
    (found,) = frame.FrameDecoder().feed(bytes.fromhex(case["frame"]))
    assert isinstance(found, frame.Frame)
    body = found.body
    if found.secured:
        opened = crypto.unseal(*direction(case), KEYS.sid, found)
        assert isinstance(opened, tuple)
        counter, body = opened
        assert counter == case["counter"]

    assert body.hex() == case["body"]
    assert messages.decode(body) == messages.Packet(BY_NAME[case["name"]], case["corr"])


@CASES
def test_a_golden_frame_is_written_byte_for_byte(case: dict[str, Any]) -> None:
    """The way out: MACs, wrapped keys and signatures included."""
    body = messages.encode(BY_NAME[case["name"]], case["corr"])
    key, way = direction(case)
    made = (
        frame.Frame(LINK_ID, body) if case["way"].startswith("plain")
        else crypto.seal(key, way, KEYS.sid, case["counter"], LINK_ID, body)
    )

    assert body.hex() == case["body"]
    assert frame.encode(made).hex() == case["frame"]


@CASES
def test_a_golden_frame_goes_the_way_its_message_goes(case: dict[str, Any]) -> None:
    """Who sends it, and whether it may be plain."""
    kind = Type(case["type"])
    from_concentrator = case["way"].endswith("to server")

    assert kind in EITHER or (kind in FROM_CONCENTRATOR) == from_concentrator
    assert kind in HANDSHAKE or not case["way"].startswith("plain")


@EXTRA
def test_a_variant_is_read_and_written_again(case: dict[str, Any]) -> None:
    """What one frame of its type leaves open. An unknown key, and an integer where we write a float, do not come back."""
    (found,) = frame.FrameDecoder().feed(bytes.fromhex(case["frame"]))
    assert isinstance(found, frame.Frame)
    opened = crypto.unseal(*direction(case), KEYS.sid, found) if found.secured else (None, found.body)
    packet = messages.decode(bytes.fromhex(case["body"]))
    assert isinstance(packet, messages.Packet)
    assert packet.message.TYPE.name == case["name"]
    again = messages.encode(packet.message, packet.corr)

    assert opened == (case.get("counter"), bytes.fromhex(case["body"]))
    assert messages.decode(again) == packet
    assert (again.hex() == case["body"]) == ("99" not in case["map"] and case["name"] != "SAMPLES")


def test_the_mac_of_the_golden_shed_holds() -> None:
    """A field that is absent is not under it."""
    (case,) = [one for one in GOLDEN["variants"] if one["name"] == "GROUP_COMMAND"]
    packet = messages.decode(bytes.fromhex(case["body"]))
    assert isinstance(packet, messages.Packet)
    assert isinstance(packet.message, messages.GroupCommand)

    assert messages.signed(packet.message, bytes.fromhex(GOLDEN["group_key"])) == packet.message


def test_the_golden_offer_is_signed_by_its_maker() -> None:
    """Over the label and exactly the bytes that travel; one bit of them changed, and it does not hold."""
    (case,) = [one for one in GOLDEN["messages"] if one["name"] == "FW_OFFER"]
    packet = messages.decode(bytes.fromhex(case["body"]))
    assert isinstance(packet, messages.Packet)
    assert isinstance(packet.message, messages.FwOffer)
    offer, maker = packet.message, Ed25519PublicKey.from_public_bytes(bytes.fromhex(GOLDEN["maker_public_key"]))

    maker.verify(offer.signature, messages.signed_part(offer.manifest))
    with pytest.raises(InvalidSignature):
        maker.verify(offer.signature, messages.signed_part(offer.manifest[:-1] + b"\x01"))


def test_the_script_still_makes_what_is_kept() -> None:
    """The frames are what the script beside them writes, and it imports nothing of ours and no CBOR."""
    source = (FOLDER / "make.py").read_text(encoding="utf-8")
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)
    }
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(FOLDER / "make.py"))

    assert {one.split(".")[0] for one in imported} == {"hashlib", "json", "struct", "zlib", "cryptography"}
    assert json.loads(out.getvalue()) == GOLDEN
