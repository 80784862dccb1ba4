"""Every message goes out and comes back the same, and nothing that comes in can raise."""

from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.drivers.dmesh import messages, wire
from scada.drivers.dmesh.messages import BY_TYPE, Packet, decode, encode
from scada.drivers.dmesh.numbers import Holder, Type
from scada.drivers.dmesh.rejected import Reject, Rejected
from tests.drivers.dmesh.samples import MANIFEST, SAMPLES


def texts(most: int) -> st.SearchStrategy[str]:
    """Of at most so many bytes."""
    return st.text(max_size=most).map(lambda text: text.encode()[:most].decode("utf-8", "ignore"))


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Everything one kind of field allows."""
    match kind:
        case wire.Int(low, high):
            return st.integers(low, high)
        case wire.Choice(of, only):
            return st.sampled_from(list(only or of))
        case wire.Scalar(most):
            return st.integers(-(2**31), 2**31 - 1) | texts(most)
        case wire.Flag():
            return st.booleans()
        case wire.Real():
            return st.floats(allow_nan=False, allow_infinity=False)
        case wire.Text(most):
            return texts(most)
        case wire.Octets(least, most):
            return st.binary(min_size=least, max_size=most)
        case wire.Many(of, most):
            return st.lists(records(of) if isinstance(of, type) else values(of), max_size=min(most, 3)).map(tuple)
        case wire.Anything():
            return st.dictionaries(st.integers(0, 10), st.integers().filter(lambda n: abs(n) < 2**63), max_size=3)
    raise AssertionError(kind)


def records(cls: type) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{place.name: values(place.kind) for place in wire.places(cls)})


MESSAGES = st.sampled_from(sorted(BY_TYPE)).flatmap(lambda number: records(BY_TYPE[number]))
CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 12), inner, max_size=6),
    max_leaves=12,
)


@given(MESSAGES, st.integers(0, 2**32 - 1))
def test_every_message_comes_back_as_it_was_sent(message: messages.Message, corr: int) -> None:
    """All types, all fields, all values their kinds allow."""
    assert decode(encode(message, corr)) == Packet(message, corr)


@given(MESSAGES)
def test_the_encoding_is_deterministic(message: messages.Message) -> None:
    """Encoding what was decoded gives the same bytes: MACs are over bytes."""
    body = encode(message)
    packet = decode(body)
    assert isinstance(packet, Packet)

    assert encode(packet.message) == body


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_without_raising(body: bytes) -> None:
    """Fuzz of the whole decoder."""
    assert isinstance(decode(body), Packet | Rejected)


@given(st.sampled_from(sorted(BY_TYPE)), st.integers(0, 9), CBOR)
def test_any_content_of_a_known_type_is_decoded_without_raising(number: int, corr: int, content: Any) -> None:
    """Well-formed CBOR with anything in it."""
    assert isinstance(decode(cbor2.dumps([number, corr, content])), Packet | Rejected)


@given(MESSAGES, st.data())
def test_a_message_with_one_field_replaced_is_decoded_without_raising(message: Any, data: st.DataObject) -> None:
    """The nastiest neighbours of good messages: one field of another type or out of range."""
    content = wire.dump_fields(message)
    if content:
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(CBOR)

    assert isinstance(decode(cbor2.dumps([int(message.TYPE), 1, content])), Packet | Rejected)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (bytes.fromhex("830600a10000ff"), "bytes behind the item"),
        (bytes.fromhex("9f0600a10000ff"), "indefinite length"),
        (bytes.fromhex("830600a200000001"), "a key twice"),
        (bytes.fromhex("830600a100c100"), "a tag"),
        (bytes.fromhex("830600a100c5821b7fffffffffffffff01"), "a big float that would fill the memory"),
        (bytes.fromhex("81" * 9 + "00"), "too deep"),
        (bytes.fromhex("9b7fffffffffffffff"), "a list longer than the body"),
        (bytes.fromhex("5b7fffffffffffffff"), "bytes longer than the body"),
        (b"", "nothing"),
    ],
)
def test_what_is_no_plain_cbor_is_refused(item: bytes, why: str) -> None:
    """Each refusal the scanner is there for."""
    refused = decode(item)

    assert isinstance(refused, Rejected), why
    assert refused.reason is Reject.CBOR


def test_there_is_a_sample_of_every_type_with_every_field_filled_in() -> None:
    """What other tests go through must be complete; a field may keep its default only where that is what is meant."""
    assert sorted(one.TYPE for one in SAMPLES) == sorted(BY_TYPE)

    shy = {(type(one).__name__, place.name) for one in SAMPLES for place in wire.places(type(one))
           if place.default is not attrs.NOTHING and getattr(one, place.name) == place.default}
    assert shy == {("Command", "off_for_s"), ("Command", "level")}      # a supply is switched: neither belongs


@pytest.mark.parametrize("message", SAMPLES, ids=lambda one: one.TYPE.name)
def test_a_sample_of_each_type_comes_back_as_it_was_sent(message: messages.Message) -> None:
    """Also where the random ones of the property tests do not get."""
    assert decode(encode(message, 9)) == Packet(message, 9)


def test_a_whole_supply_cannot_be_switched_by_group() -> None:
    """Neither on the way out nor on the way in."""
    (group,) = [one for one in SAMPLES if isinstance(one, messages.GroupCommand)]
    content = wire.dump_fields(group) | {3: int(messages.Action.SUPPLY_OFF)}
    refused = decode(cbor2.dumps([int(Type.GROUP_COMMAND), 1, content]))

    assert isinstance(refused, Rejected)
    assert "action: expected one of 1, 2, 3, 4" in refused.detail
    with pytest.raises(wire.Malformed):
        encode(attrs.evolve(group, action=messages.Action.SUPPLY_ON))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"action": messages.Action.SUPPLY_ON}, ""),
        ({"holder": Holder.NONE}, "expected DEBT, DANGER or LOCKOUT"),
        ({"off_for_s": 60}, "only a shed is timed"),
        ({"level": 5}, "belongs to LIMIT"),
        ({"action": messages.Action.RESTORE}, "no holder"),
        ({"action": messages.Action.RESTORE, "holder": Holder.NONE}, ""),
        ({"action": messages.Action.SHED, "holder": Holder.NONE}, "always timed"),
        ({"action": messages.Action.SHED, "holder": Holder.NONE, "off_for_s": 60}, ""),
        ({"action": messages.Action.LIMIT, "holder": Holder.NONE}, "belongs to LIMIT"),
        ({"action": messages.Action.LIMIT, "holder": Holder.NONE, "level": 5}, ""),
    ],
)
def test_a_command_that_contradicts_itself_is_found_out(changes: dict[str, Any], fault: str) -> None:
    """A shed is timed and has no holder; a supply is latched and has one."""
    (command,) = [one for one in SAMPLES if isinstance(one, messages.Command)]
    found = messages.command_fault(attrs.evolve(command, **changes))

    assert (fault in found) if fault else found == ""


def test_the_mac_of_a_command_for_one_module_binds_every_field() -> None:
    """Change anything and it does not hold."""
    (command,) = [one for one in SAMPLES if isinstance(one, messages.Command)]
    key = bytes(range(16))
    once = messages.signed(command, key)
    others = {"index": 8, "eui": 1, "action": messages.Action.SUPPLY_ON, "not_after": 1, "ctr": 1,
              "holder": Holder.DEBT, "off_for_s": 1, "level": 1, "command_id": bytes(16)}

    assert set(others) == {place.name for place in wire.places(messages.Command)} - {"mac"}
    for name, value in others.items():
        assert messages.signed(attrs.evolve(command, **{name: value}), key).mac != once.mac, name


def test_a_manifest_keeps_its_bytes_and_names_its_image() -> None:
    """A key of a later version is ignored, but stays under signature and image id."""
    body = messages.manifest_body(MANIFEST)
    later = wire.pack(wire.unpack(body) | {99: "more"})

    assert messages.read_manifest(body) == messages.read_manifest(later) == MANIFEST
    assert MANIFEST.blocks == 391
    assert messages.signed_part(body) == b"DMLP1 firmware" + body
    assert messages.image_id(later) != messages.image_id(body)
    assert isinstance(messages.read_manifest(body[:-1]), Rejected)
    assert isinstance(messages.read_manifest(wire.pack({0: 1})), Rejected)
    assert isinstance(messages.read_manifest(wire.pack([])), Rejected)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1.5, True, None, b"x", "x" * 129, [1]])
def test_a_parameter_is_a_small_integer_or_a_short_text(value: Any) -> None:
    """Anything else is refused before it reaches a configuration."""
    refused = decode(cbor2.dumps([int(Type.SET_PARAM), 1, {0: 1, 1: [{0: 1, 1: value}]}]))

    assert isinstance(refused, Rejected)
    assert refused.reason is Reject.FIELD


def test_an_unknown_type_keeps_its_number_and_corr_for_the_answer() -> None:
    """ERROR UNKNOWN must carry the corr of what was not understood."""
    refused = decode(cbor2.dumps([0x7FF, 5, {}]))

    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.type, refused.corr) == (Reject.UNKNOWN_TYPE, 0x7FF, 5)


def test_a_field_that_is_missing_or_wrong_is_named() -> None:
    """The sentence goes into ERROR and helps whoever writes a concentrator."""
    refused = decode(cbor2.dumps([int(Type.PING), 5, {0: "now"}]))

    assert isinstance(refused, Rejected)
    assert "PING: time: expected an integer" in refused.detail


def test_unknown_keys_are_ignored() -> None:
    """A later version may say more."""
    assert decode(cbor2.dumps([int(Type.PING), 0, {0: 1, 99: [1, 2]}])) == Packet(messages.Ping(1))


def test_the_length_of_a_text_is_counted_in_bytes_both_ways() -> None:
    """As CDDL counts it: a sentence in Romanian or Russian is cut before it leaves, never through a letter."""
    said = messages.encode(messages.Close(0, "ș" * 200))
    (_, _, content), long = cbor2.loads(said), cbor2.dumps([int(Type.CLOSE), 0, {0: 0, 1: "ș" * 101}])
    refused = decode(long)

    assert content[1] == "ș" * 100
    assert messages.decode(messages.encode(messages.Close(0, "a" + "ș" * 100))) == Packet(messages.Close(0, "a" + "ș" * 99))
    assert isinstance(refused, Rejected)
    assert "text: expected at most 200 bytes" in refused.detail


def test_true_is_no_integer() -> None:
    """Python thinks so; the wire does not."""
    assert isinstance(decode(cbor2.dumps([int(Type.PING), 0, {0: True}])), Rejected)
    assert isinstance(decode(cbor2.dumps([int(Type.PING), True, {0: 1}])), Rejected)


def test_the_mac_of_a_command_is_over_its_map_without_the_mac() -> None:
    """Signing twice gives the same; another group, time or counter gives another."""
    command = messages.GroupCommand(
        bytes(16), 3, 1, messages.Action.SHED, messages.LoadClass.YELLOW, 600, 1_767_261_600, 60, 3, 1_767_261_500 << 16
    )
    key = bytes(range(16))
    once = messages.signed(command, key)

    assert messages.signed(once, key) == once
    assert len(once.mac) == 8
    for changes in ({"group": 4}, {"not_after": 1}, {"ctr": 1}, {"off_for_s": 601}):
        assert messages.signed(attrs.evolve(command, **changes), key).mac != once.mac


def test_no_wrapped_key_stands_in_a_repr() -> None:
    """Messages are logged by their repr."""
    assert "aaaa" not in repr(messages.KeyPut(messages.KeyTarget.GROUP, 1, 1, b"a" * 24))


@pytest.mark.parametrize("message", [
    {0x23: {0: 2**63, 1: {}}}, {0x20: {0: 2**63, 1: 0}}, {0x30: {0: [{0: 2**63, 1: 1, 2: True, 3: 0}]}},
    {0x30: {0: [{0: 1, 1: 1, 2: True, 3: 2**33}]}},
])
def test_numbers_and_times_that_no_database_can_hold_end_at_the_wire(message: dict[int, Any]) -> None:
    """A record number of 64 bits once stopped the merging of every concentrator's records."""
    ((number, fields),) = message.items()
    refused = decode(cbor2.dumps([number, 0, fields]))

    assert isinstance(refused, Rejected)
    assert refused.reason is Reject.FIELD
