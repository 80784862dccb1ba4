"""One message of every type with every field filled in: what the golden frames hold, and what both ends must survive.

MACs, wrapped keys, hashes and signatures are true ones, under the test keys of tests/golden/dmlp.
"""

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh import messages as m
from scada.drivers.dmesh.numbers import ClockMode, Holder, KeyTarget

T = 1_767_225_600                       # 2026-01-01T00:00:00Z
EUI = 0xD100_0000_0000_0001
OTHER_EUI = 0xD100_0000_0000_0002
ODD, EVEN = bytes([0x55]) * 30, bytes([0xAA]) * 30      # sets of modules
ID16 = bytes(range(0xC0, 0xD0))
NONCE_C, NONCE_S = bytes(range(0xA0, 0xB0)), bytes(range(0xB0, 0xC0))
HASH = bytes(range(0x20, 0x40))
LINK_KEY, GROUP_KEY, MODULE_KEY, NEW_KEY = (bytes(range(start, start + 16)) for start in (0x00, 0x10, 0x20, 0x30))
MAKER = Ed25519PrivateKey.from_private_bytes(bytes(range(0x40, 0x60)))
MODULE = m.ModuleEntry(7, EUI, 3, "AD220/50", 2, 3, -71)
PARAMS = (m.Param(1, "scada.example"), m.Param(2, 4059))
MANIFEST = m.Manifest("J100", "D100FC", "2.1.0", 5, 100_000, HASH, 256)
OFFERED = m.manifest_body(MANIFEST)
IMAGE = m.image_id(OFFERED)

HELLO = m.Hello(0x10, 0x10, 0x00010203, 11, 22, 4096, NONCE_C, "J100UC", "1.2.3", 0xFFF, 45, 60, 1, 99, 17)
_OPEN = m.Challenge(0x10, 45, 60, 4096, NONCE_S)


def _proof(role: bytes, *bodies: m.Message) -> bytes:
    return crypto.handshake_mac(crypto.auth_key(LINK_KEY), role, [m.encode(one) for one in bodies])


CHALLENGE = attrs.evolve(_OPEN, mac=_proof(b"S", HELLO, _OPEN))

SAMPLES: tuple[m.Message, ...] = (
    HELLO,
    CHALLENGE,
    m.Auth(_proof(b"C", HELLO, CHALLENGE, m.Auth())),
    m.Ready(T, 42, 17, 8, True),
    m.Close(4, "another connection", 30),
    m.Ping(T),
    m.Pong(T, T + 1, True, 250),
    m.Error(3, "PING: time: missing", 6),
    m.Wake(0x00010203),
    m.Result(2, 120, "reading"),
    m.TimeSet(T, ClockMode.SLEW, 850, 125, -1500),
    m.GetInfo(),
    m.Info("J100UC", "1.2.3", 86400, 240, 9),
    m.GetParam((1, 2), 1),
    m.SetParam(9, PARAMS),
    m.Reboot(5, 7),
    m.ParamMessage(10, 0, 1, PARAMS),
    m.ArchStatus(1, 99, bytes([100, 96, 255])),
    m.ArchRead(490_896, 24, ODD, 4),
    m.ProfileMessage(43, {0: 490_896, 1: 1, 2: b"\x01\x00", 3: b"\x00", 4: b"\x9c\x07\x00\x00", 5: b"\x03\x00"}),
    m.Samples(44, (m.Sample(7, 1, 21.5, T, "°C"), m.Sample(0, 2, 229.7, T, "V"), m.Sample(7, 3, 40.0009765625, T))),
    m.ArchAck(44, 8),
    m.ReadNow(ID16, ODD, T + 600),
    m.ReadResult(ID16, 2, (m.Reading(7, 0, 0, 123_456, T, False, 4), m.Reading(9, 255, 9)), True),
    m.Events((m.Event(18, 3, True, T, False, 7, 1), m.Event(19, 6, False, T + 1))),
    m.EventAck(19),
    m.ModuleJoined(4, (MODULE,)),
    m.GetModules(4, 1),
    m.ModuleList(4, 1, 2, (MODULE, m.ModuleEntry(8, OTHER_EUI, 1))),
    m.ModuleAdd(4, EUI, 7),
    m.ModuleRemove(4, EUI, 7),
    m.ModuleReplace(4, EUI, 7, OTHER_EUI),
    m.Discovery(3600),
    m.signed(m.Command(ID16, 7, EUI, Action.SUPPLY_OFF, T + 600, T << 16 | 1, Holder.LOCKOUT), MODULE_KEY),
    m.GroupSet(3, 12, sets.bitmap([1, 7]), sets.members_digest([(7, EUI), (1, OTHER_EUI)])),
    m.signed(m.GroupCommand(
        ID16, 3, 12, Action.LIMIT, LoadClass.YELLOW, 900, T + 600, 60, 3, T << 16 | 2, level=1500
    ), GROUP_KEY),
    m.CommandCancel(ID16),
    m.CommandReport(ID16, ODD, ODD, EVEN, (m.Refusal(2, 7), m.Refusal(4, 5)), (0, 1, 3, 9), True, EVEN),
    m.CommandStatus(ID16),
    m.CommandRetry(ID16, EVEN),
    m.Topology(6, 0, 1, T, (m.TopologyNode(7, 3, 2), m.TopologyNode(3, 0, 1))),
    m.LinkStats(0, 1, T, (
        m.LinkStat(7, 2, 3, -71, -75, 987, 14_200, 512, 3600, 3450, T - 30, -250,
                   (m.Alternative(4, -80, 900), m.Alternative(0, -92, 410)), 2, 600, -105, 3),
    )),
    m.GetTopology(1),
    m.TopologyDelta(6, 7, T, (m.TopologyNode(7, 4, 2),), EVEN),
    m.Overheard(0, 1, T, (m.Neighbour(OTHER_EUI, T - 60, -97, 7, 12, 0x00010204),)),
    m.FwOffer(OFFERED, MAKER.sign(m.signed_part(OFFERED)), ODD, True, 4),
    m.FwBlock(IMAGE, 390, bytes(range(64))),
    m.FwMissing(IMAGE, 0, 1, T, (m.Missing(0), m.Missing(7, 8, b"\x81\x01")), 4),
    m.FwVerify(IMAGE, ODD, True, 4),
    m.FwActivate(IMAGE, ODD, True, T + 3600, 4),
    m.FwStatus(0, 1, T, (m.FwDevice(7, "2.0.4", "D100FC", 4, IMAGE, 6, 12, 3), m.FwDevice(0, "1.2.3")), 4),
    m.GetFwStatus(1),
    m.KeyPut(KeyTarget.MODULE, EUI, 2, crypto.wrap(LINK_KEY, NEW_KEY)),
    m.KeyConfirm(KeyTarget.MODULE, EUI, 2, crypto.key_check(NEW_KEY)),
    m.KeyActivate(KeyTarget.MODULE, EUI, 2, 86400),
    m.KeyRevoke(KeyTarget.MODULE, EUI, 1),
    m.KeyMembers(3, 12, (m.MemberKey(1, OTHER_EUI), m.MemberKey(7, EUI, crypto.wrap(MODULE_KEY, GROUP_KEY)))),
    m.KeyHeld(3, 12, sets.bitmap([1]), (m.Refusal(7, 12),), True),
)
