"""Makes messages.json: one golden frame of every DMLP message and of some variants, written from docs/dmlp.md alone.

It imports nothing of this project, nor a CBOR library: what it shares with the code that is tested is the page. Run it with
any Python that has the `cryptography` package; it writes to standard output what stands in messages.json.
"""

import hashlib
import json
import struct
import zlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LINK_ID = 0x00010203
LINK_KEY, GROUP_KEY, MODULE_KEY, NEW_KEY = (bytes(range(start, start + 16)) for start in (0x00, 0x10, 0x20, 0x30))
NONCE_C, NONCE_S = bytes(range(0xA0, 0xB0)), bytes(range(0xB0, 0xC0))
MAKER = Ed25519PrivateKey.from_private_bytes(bytes(range(0x40, 0x60)))
TO_SERVER, TO_CONCENTRATOR = 0, 1

T = 1767225600
EUI, OTHER_EUI = 0xD100000000000001, 0xD100000000000002
ODD, EVEN = b"\x55" * 30, b"\xaa" * 30
ID16 = bytes(range(0xC0, 0xD0))
HASH = bytes(range(0x20, 0x40))


# ------------------------------------------------------------------------------------------- CBOR, deterministic
def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, form, limit in ((24, ">B", 8), (25, ">H", 16), (26, ">I", 32), (27, ">Q", 64)):
        if number < 1 << limit:
            return bytes([major << 5 | code]) + struct.pack(form, number)
    raise ValueError(number)


def cbor(item):
    if isinstance(item, bool):
        return b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, float):
        for code, form in ((0xF9, ">e"), (0xFA, ">f"), (0xFB, ">d")):
            packed = struct.pack(form, item)
            if struct.unpack(form, packed)[0] == item:
                return bytes([code]) + packed
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(cbor(one) for one in item)
    pairs = sorted((cbor(key), cbor(value)) for key, value in item.items())
    return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)


# ------------------------------------------------------------------------------------------------ keys and frames
def cmac(key, data):
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def derive(key, label, context=b""):
    return cmac(key, b"\x01" + label + b"\x00" + context + b"\x00\x80")


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def frame(body, *, sealed):
    fields = b"DM" + struct.pack(">BBHI", 0x10, 0x80 if sealed else 0, len(body), LINK_ID)
    content = fields + struct.pack(">H", crc16(fields)) + body
    return content + struct.pack(">I", zlib.crc32(content))


def sealed_frame(body, direction, counter):
    key = derive(LINK_KEY, b"DMLP1 s2c" if direction else b"DMLP1 c2s", NONCE_C + NONCE_S)
    sid = derive(LINK_KEY, b"DMLP1 sid", NONCE_C + NONCE_S)[:4]
    prefix = struct.pack(">BI", 0, counter)
    length = len(prefix) + len(body) + 8
    fields = b"DM" + struct.pack(">BBHI", 0x10, 0x80, length, LINK_ID)
    header = fields + struct.pack(">H", crc16(fields))
    nonce = struct.pack(">IB", LINK_ID, direction) + sid + struct.pack(">I", counter)
    return frame(prefix + AESCCM(key, tag_length=8).encrypt(nonce, body, header + prefix), sealed=True)


# ------------------------------------------------------------------------------------------------- the messages
HELLO = {0: 16, 1: 16, 2: LINK_ID, 3: "J100UC", 4: "1.2.3", 5: 11, 6: 22, 7: 0xFFF, 8: 4096, 9: 45, 10: 60, 11: NONCE_C,
         12: 1, 13: 99, 14: 17}
CHALLENGE = {0: 16, 1: 45, 2: 60, 3: 4096, 4: NONCE_S}


def handshake_mac(role, *bodies):
    return cmac(derive(LINK_KEY, b"DMLP1 auth"), b"DMLP1" + role + hashlib.sha256(b"".join(bodies)).digest())


hello = cbor([0x01, 0, HELLO])
CHALLENGE = CHALLENGE | {5: handshake_mac(b"S", hello, cbor([0x02, 0, CHALLENGE]))}
AUTH = {0: handshake_mac(b"C", hello, cbor([0x02, 0, CHALLENGE]), cbor([0x03, 0, {}]))}

COMMAND = {0: ID16, 1: 7, 2: EUI, 3: 5, 4: 3, 6: T + 600, 9: T << 16 | 1}
GROUP_COMMAND = {0: ID16, 1: 3, 2: 12, 3: 3, 4: 1, 5: 900, 6: T + 600, 7: 60, 8: 3, 9: T << 16 | 2, 11: 1500}
MANIFEST = cbor({0: "J100", 1: "D100FC", 2: "2.1.0", 3: 5, 4: 100_000, 5: HASH, 6: 256})
IMAGE = hashlib.sha256(b"DMLP1 firmware" + MANIFEST).digest()[:8]
MODULE = {0: 7, 1: EUI, 2: 3, 3: "AD220/50", 4: 2, 5: 3, 6: -71}
PARAMS = [{0: 1, 1: "scada.example"}, {0: 2, 1: 4059}]
BLOCK = {0: 490896, 1: 1, 2: b"\x01\x00", 3: b"\x00", 4: b"\x9c\x07\x00\x00", 5: b"\x03\x00"}
LINK_STAT = {0: 7, 1: 2, 2: 3, 3: -71, 4: -75, 5: 987, 6: 14200, 7: 512, 8: 3600, 9: 3450, 10: T - 30, 11: -250,
             12: [{0: 4, 1: -80, 2: 900}, {0: 0, 1: -92, 2: 410}], 13: 2, 14: 600, 15: -105, 16: 3}

# name, type, corr, the way it goes, map
MESSAGES = [
    ("HELLO", 0x01, 0, "plain to server", HELLO),
    ("CHALLENGE", 0x02, 0, "plain to concentrator", CHALLENGE),
    ("AUTH", 0x03, 0, "plain to server", AUTH),
    ("READY", 0x04, 0, "to concentrator", {0: T, 1: 42, 2: 17, 3: 8, 4: True}),
    ("CLOSE", 0x05, 0, "to concentrator", {0: 4, 1: "another connection", 2: 30}),
    ("PING", 0x06, 7, "to server", {0: T}),
    ("PONG", 0x07, 7, "to concentrator", {0: T, 1: T + 1, 2: True}),
    ("ERROR", 0x08, 9, "to server", {0: 3, 1: "PING: time: missing", 2: 6}),
    ("WAKE", 0x09, 0, "plain to concentrator", {0: LINK_ID}),
    ("RESULT", 0x0A, 9, "to server", {0: 2, 1: 120, 2: "reading"}),
    ("TIME_SET", 0x10, 9, "to concentrator", {0: T, 1: 1, 2: 850}),
    ("GET_INFO", 0x18, 9, "to concentrator", {}),
    ("INFO", 0x19, 9, "to server", {0: "J100UC", 1: "1.2.3", 2: 86400, 3: 240, 4: 9}),
    ("GET_PARAM", 0x1A, 9, "to concentrator", {0: [1, 2], 1: 1}),
    ("SET_PARAM", 0x1B, 9, "to concentrator", {0: 9, 1: PARAMS}),
    ("REBOOT", 0x1C, 9, "to concentrator", {0: 5, 1: 7}),
    ("PARAM", 0x1D, 9, "to server", {0: 10, 1: 0, 2: 1, 3: PARAMS}),
    ("ARCH_STATUS", 0x20, 0, "to server", {0: 1, 1: 99, 2: b"\x64\x60\xff"}),
    ("ARCH_READ", 0x21, 9, "to concentrator", {0: 490896, 1: 24, 2: ODD, 3: 4}),
    ("PROFILE", 0x23, 0, "to server", {0: 43, 1: BLOCK}),
    ("SAMPLES", 0x24, 0, "to server", {0: 44, 1: [
        {0: 7, 1: 1, 2: 21.5, 3: T, 4: "°C"}, {0: 0, 1: 2, 2: 229.7, 3: T, 4: "V"}, {0: 7, 1: 3, 2: 40.0009765625, 3: T}]}),
    ("ARCH_ACK", 0x25, 0, "to concentrator", {0: 44, 1: 8}),
    ("READ_NOW", 0x28, 9, "to concentrator", {0: ID16, 1: ODD, 2: T + 600}),
    ("READ_RESULT", 0x29, 9, "to server", {0: ID16, 1: 2, 2: [
        {0: 7, 1: 0, 3: 123456, 4: T, 5: False, 6: 4}, {0: 9, 1: 255, 2: 9}], 3: True}),
    ("EVENT", 0x30, 0, "to server", {0: [
        {0: 18, 1: 3, 2: True, 3: T, 4: False, 5: 7, 6: 1}, {0: 19, 1: 6, 2: False, 3: T + 1}]}),
    ("EVENT_ACK", 0x31, 0, "to concentrator", {0: 19}),
    ("MODULE_JOINED", 0x38, 9, "to server", {0: 4, 1: [MODULE]}),
    ("GET_MODULES", 0x39, 9, "to concentrator", {0: 4, 1: 1}),
    ("MODULE_LIST", 0x3A, 9, "to server", {0: 4, 1: 1, 2: 2, 3: [MODULE, {0: 8, 1: OTHER_EUI, 2: 1}]}),
    ("MODULE_ADD", 0x3B, 9, "to concentrator", {0: 4, 1: EUI, 2: 7}),
    ("MODULE_REMOVE", 0x3C, 9, "to concentrator", {0: 4, 1: EUI, 2: 7}),
    ("MODULE_REPLACE", 0x3D, 9, "to concentrator", {0: 4, 1: EUI, 2: 7, 3: OTHER_EUI}),
    ("DISCOVERY", 0x3E, 9, "to concentrator", {0: 3600}),
    ("COMMAND", 0x40, 9, "to concentrator", COMMAND | {10: cmac(MODULE_KEY, cbor(COMMAND))[:8]}),
    ("GROUP_SET", 0x41, 9, "to concentrator", {0: 3, 1: 12, 2: b"\x41" + bytes(29), 3: hashlib.sha256(
        struct.pack(">QQ", OTHER_EUI, EUI)).digest()}),
    ("GROUP_COMMAND", 0x42, 9, "to concentrator", GROUP_COMMAND | {10: cmac(GROUP_KEY, cbor(GROUP_COMMAND))[:8]}),
    ("COMMAND_CANCEL", 0x43, 9, "to concentrator", {0: ID16}),
    ("COMMAND_REPORT", 0x44, 9, "to server", {
        0: ID16, 1: ODD, 2: ODD, 3: EVEN, 4: [{0: 2, 1: 7}, {0: 4, 1: 5}], 5: [0, 1, 3, 9], 6: True, 7: EVEN}),
    ("COMMAND_STATUS", 0x45, 9, "to concentrator", {0: ID16}),
    ("COMMAND_RETRY", 0x46, 9, "to concentrator", {0: ID16, 1: EVEN}),
    ("TOPOLOGY", 0x50, 0, "to server", {0: 6, 1: 0, 2: 1, 3: T, 4: [{0: 7, 1: 3, 2: 2}, {0: 3, 1: 0, 2: 1}]}),
    ("LINK_STATS", 0x51, 0, "to server", {0: 0, 1: 1, 2: T, 3: [LINK_STAT]}),
    ("GET_TOPOLOGY", 0x52, 9, "to concentrator", {0: 1}),
    ("TOPOLOGY_DELTA", 0x53, 0, "to server", {0: 6, 1: 7, 2: T, 3: [{0: 7, 1: 4, 2: 2}], 4: EVEN}),
    ("OVERHEARD", 0x54, 0, "to server", {0: 0, 1: 1, 2: T, 3: [
        {0: OTHER_EUI, 1: T - 60, 2: -97, 3: 7, 4: 12, 5: 0x00010204}]}),
    ("FW_OFFER", 0x58, 9, "to concentrator", {0: MANIFEST, 1: MAKER.sign(b"DMLP1 firmware" + MANIFEST), 2: ODD, 3: True}),
    ("FW_BLOCK", 0x59, 9, "to concentrator", {0: IMAGE, 1: 390, 2: bytes(range(64))}),
    ("FW_MISSING", 0x5A, 0, "to server", {0: IMAGE, 1: 0, 2: 1, 3: T, 4: [{0: 0}, {0: 7, 1: 8, 2: b"\x81\x01"}]}),
    ("FW_VERIFY", 0x5B, 9, "to concentrator", {0: IMAGE, 1: ODD, 2: True}),
    ("FW_ACTIVATE", 0x5C, 9, "to concentrator", {0: IMAGE, 1: ODD, 2: True, 3: T + 3600}),
    ("FW_STATUS", 0x5D, 0, "to server", {0: 0, 1: 1, 2: T, 3: [
        {0: 7, 1: "2.0.4", 2: "D100FC", 3: 4, 4: IMAGE, 5: 6, 6: 12, 7: 3}, {0: 0, 1: "1.2.3"}]}),
    ("GET_FW_STATUS", 0x5E, 9, "to concentrator", {0: 1}),
    ("KEY_PUT", 0x60, 9, "to concentrator", {0: 1, 1: EUI, 2: 2, 3: aes_key_wrap(derive(LINK_KEY, b"DMLP1 kek"), NEW_KEY)}),
    ("KEY_CONFIRM", 0x61, 9, "to server", {0: 1, 1: EUI, 2: 2, 3: cmac(NEW_KEY, b"DMLP1 confirm")[:8]}),
    ("KEY_ACTIVATE", 0x62, 9, "to concentrator", {0: 1, 1: EUI, 2: 2, 3: 86400}),
    ("KEY_REVOKE", 0x63, 9, "to concentrator", {0: 1, 1: EUI, 2: 1}),
]

SHED = {0: ID16, 1: 3, 2: 12, 3: 1, 4: 1, 5: 900, 6: T + 600, 7: 0, 8: 3, 9: T << 16 | 3}

# what it shows, and as above: where one frame of a type leaves a question open
VARIANTS = [
    ("a CLOSE before READY is plain", "CLOSE", 0x05, 0, "plain to concentrator", {0: 2}),
    ("200 bytes of text are 100 of these letters", "CLOSE", 0x05, 0, "to concentrator", {0: 9, 1: "ș" * 100}),
    ("key 99 is not known: ignored", "PING", 0x06, 8, "to concentrator", {0: T, 99: [1, 2]}),
    ("what an ARCH_READ brought: record 0, its corr; 4-byte deltas of quarter-hours, one missing, with status; list 4",
     "PROFILE", 0x23, 9, "to server", {0: 0, 1: {
         0: 490896, 1: 2, 2: b"\x07\x00", 3: b"\x02", 4: b"\xff\xff\xff\xff", 5: struct.pack("<II", 70_000, 0xFFFFFFFF),
         7: b"\x10\x00", 8: 4, 9: 900, 10: 4}}),
    ("its acknowledgement: no request, though it has the corr of the ARCH_READ", "ARCH_ACK", 0x25, 9, "to concentrator",
     {0: 44, 1: 8}),
    ("a value that is whole may be an integer", "SAMPLES", 0x24, 0, "to server", {0: 0, 1: [{0: 7, 1: 1, 2: -5, 3: T}]}),
    ("the highest EUI", "MODULE_ADD", 0x3B, 9, "to concentrator", {0: 4, 1: 0xFFFFFFFFFFFFFFFF}),
    ("a shed: no level, so none is under the MAC", "GROUP_COMMAND", 0x42, 9, "to concentrator",
     SHED | {10: cmac(GROUP_KEY, cbor(SHED))[:8]}),
    ("a report on the way: no corr, no final, empty sets left out", "COMMAND_REPORT", 0x44, 0, "to server",
     {0: ID16, 1: b"\x41" + bytes(29), 2: b"\x01" + bytes(29), 4: [{0: 7, 1: 5}], 5: [0, 0, 1]}),
]


def shown(item):
    """A map as JSON: keys as text, bytes as h'hex'."""
    if isinstance(item, dict):
        return {str(key): shown(value) for key, value in item.items()}
    if isinstance(item, list):
        return [shown(one) for one in item]
    return f"h'{item.hex()}'" if isinstance(item, bytes) else item


def case(name, number, corr, way, content, counter):
    body = cbor([number, corr, content])
    if way.startswith("plain"):
        made = frame(body, sealed=False)
        return {"name": name, "type": number, "corr": corr, "way": way, "map": shown(content), "body": body.hex(),
                "frame": made.hex()}
    made = sealed_frame(body, TO_CONCENTRATOR if way == "to concentrator" else TO_SERVER, counter)
    return {"name": name, "type": number, "corr": corr, "way": way, "counter": counter, "map": shown(content),
            "body": body.hex(), "frame": made.hex()}


document = {
    "link_id": f"{LINK_ID:08x}", "link_key": LINK_KEY.hex(), "nonce_c": NONCE_C.hex(), "nonce_s": NONCE_S.hex(),
    "group_key": GROUP_KEY.hex(), "module_key": MODULE_KEY.hex(), "new_key": NEW_KEY.hex(),
    "maker_public_key": MAKER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
    "messages": [case(*one, counter=one[1]) for one in MESSAGES],
    "variants": [{"shows": shows} | case(*one, counter=0x100 + i) for i, (shows, *one) in enumerate(VARIANTS)],
}
print(json.dumps(document, indent=1, ensure_ascii=False))
