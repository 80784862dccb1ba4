"""The information model, and what it needs of asyncua's inside: this test is what the pinned version stands on."""

import asyncio
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from asyncua import Server, ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from scada.opcua_server import units
from scada.opcua_server.model import Model
from scada.opcua_server.values import data_value, timestamp
from scada.tags import OPCUA_STATUS, Batch, Device, Quality, TagDef


@pytest.fixture(scope="module")
def space() -> AddressSpace:
    """The standard address space, made once: it takes a second."""

    async def make() -> AddressSpace:
        server = Server()
        await server.init()
        return server.iserver.aspace

    return asyncio.run(make())


@pytest.fixture
def model(space: AddressSpace) -> Model:
    """A fresh site in it; leftovers of other tests hang below other roots."""
    for node in [one for one in list(space.keys()) if one.NamespaceIndex == 2]:
        del space[node]
    objects = space[ua.NodeId(ua.ObjectIds.ObjectsFolder)]
    objects.references = [one for one in objects.references if one.NodeId.NamespaceIndex != 2]
    return Model(space, "Demo")


def add(model: Model, *devices: Device) -> None:
    asyncio.run(model.add_devices(devices))


def below(model: Model, node: str) -> list[str]:
    """Node ids that a browse of `node` shows."""
    found = model._space[ua.NodeId(node, 2)].references
    return [str(one.NodeId.Identifier) for one in found if one.IsForward and one.NodeId.NamespaceIndex == 2]


def read(model: Model, tag: str, attribute: ua.AttributeIds = ua.AttributeIds.Value) -> Any:
    return model._space.read_attribute_value(ua.NodeId(tag, 2), attribute)


def device(name: str, *points: str, path: tuple[str, ...] = (), title: str = "") -> Device:
    return Device(name, tuple(TagDef(point, "W") for point in points), path, title)


def batch(name: str, values: list[float], quality: list[int]) -> Batch:
    return Batch(name, np.array(values), np.array(quality, dtype=np.uint8), 1_767_261_600_000_000_000, 0)


# ----------------------------------------------------------------------------------------- asyncua
def test_what_the_model_uses_of_asyncua_is_as_it_was() -> None:
    """Node data are plain dicts and lists, values are replaced inside a shared holder: read in 2.1, not promised."""
    assert version("asyncua").startswith("2.1.")
    data = NodeData(ua.NodeId("x", 2))
    assert (data.attributes, data.references, data.call) == ({}, [], None)
    holder = AttributeValue(ua.DataValue(ua.Variant(1.0, ua.VariantType.Double)))
    assert (holder.value_callback, holder.value_setter, holder.datachange_callbacks) == (None, None, {})


@pytest.mark.parametrize("quality", list(Quality))
def test_each_status_code_has_the_name_the_standard_gives_it(quality: Quality) -> None:
    """The numbers in the vocabulary are those of asyncua's generated table."""
    names = {
        Quality.GOOD: "Good", Quality.GOOD_BACKFILL: "GoodEntryInserted", Quality.SUBSTITUTED: "GoodLocalOverride",
        Quality.UNCERTAIN_LAST_KNOWN: "UncertainLastUsableValue",
        Quality.UNCERTAIN_ESTIMATED: "UncertainSubstituteValue", Quality.BAD_WAITING: "BadWaitingForInitialData",
        Quality.BAD_STALE: "BadNoCommunication", Quality.BAD_NOT_CONNECTED: "BadNotConnected",
        Quality.BAD_OUT_OF_RANGE: "BadOutOfRange", Quality.BAD_SENSOR: "BadSensorFailure",
        Quality.BAD_CONFIG: "BadConfigurationError",
    }

    assert OPCUA_STATUS[quality] == getattr(ua.StatusCodes, names[quality])
    assert ua.StatusCode(OPCUA_STATUS[quality]).name == names[quality]


# ------------------------------------------------------------------------------------------ values
@pytest.mark.parametrize(("value", "quality", "expected", "status"), [
    (1.5, Quality.GOOD, 1.5, "Good"),
    (1.5, Quality.UNCERTAIN_LAST_KNOWN, 1.5, "UncertainLastUsableValue"),
    (1.5, Quality.BAD_STALE, None, "BadNoCommunication"),
    (float("nan"), Quality.BAD_SENSOR, None, "BadSensorFailure"),
    (float("nan"), Quality.GOOD, None, "BadConfigurationError"),
    (float("nan"), Quality.UNCERTAIN_ESTIMATED, None, "BadConfigurationError"),
])
def test_a_missing_or_bad_value_is_never_a_number(
    value: float, quality: Quality, expected: float | None, status: str
) -> None:
    """A bad value is null with its status; NaN that claims to be good is a configuration error."""
    made = data_value(value, quality, None, datetime.now(UTC))

    assert (made.Value.Value if made.Value else None, made.StatusCode.name) == (expected, status)


def test_a_source_time_of_zero_is_no_time() -> None:
    """A tag that never had a value has no source timestamp, not 1970."""
    assert timestamp(0) is None
    assert timestamp(1_767_261_600_000_001_000) == datetime(2026, 1, 1, 10, 0, 0, 1, tzinfo=UTC)


def test_values_arrive_at_their_tags(model: Model) -> None:
    """In the order of the definition, through asyncua's own write, which tells subscribers."""
    add(model, device("T01", "a", "b"))
    written = asyncio.run(model.write(batch("T01", [1.0, 2.0], [0, 33])))

    assert written == 2
    assert read(model, "T01/a").Value.Value == 1.0
    assert read(model, "T01/b").StatusCode.name == "BadNoCommunication"


def test_values_that_do_not_fit_are_counted_not_written(model: Model) -> None:
    """Unknown device, or another number of tags: better nothing than a value at the wrong tag."""
    add(model, device("T01", "a"))
    asyncio.run(model.write(batch("T01", [1.0, 2.0], [0, 0])))
    asyncio.run(model.write(batch("T99", [1.0], [0])))

    assert model.misfits == 2
    assert read(model, "T01/a").StatusCode.name == "BadWaitingForInitialData"


def test_a_shared_attribute_is_never_written_through_a_node(model: Model) -> None:
    """One tag's value, title and description are its own; what is shared is what never changes."""
    add(model, device("T01", "a", "b"))
    first, second = (model._space[ua.NodeId(one, 2)].attributes for one in ("T01/a", "T01/b"))
    shared = {attribute for attribute in first if first[attribute] is second[attribute]}
    own = {
        ua.AttributeIds.Value, ua.AttributeIds.NodeId, ua.AttributeIds.BrowseName, ua.AttributeIds.DisplayName,
        ua.AttributeIds.Description,
    }

    assert own.isdisjoint(shared)
    assert ua.AttributeIds.DataType in shared


# -------------------------------------------------------------------------------------- definitions
ORDERS = [
    [device("C01", "link"), device("C01-017", "register", path=("C01",)), device("C01-018", "register", path=("C01",))],
    [device("C01-017", "register", path=("C01",)), device("C01", "link"), device("C01-018", "register", path=("C01",))],
    [device("C01-018", "register", path=("C01",)), device("C01-017", "register", path=("C01",)), device("C01", "link")],
]


@pytest.mark.parametrize("order", ORDERS)
def test_the_tree_does_not_depend_on_the_order_of_arrival(order: list[Device], model: Model) -> None:
    """A concentrator that comes after its modules takes the folder's place."""
    for one in order:
        add(model, one)

    assert below(model, "/") == ["C01"]
    assert sorted(below(model, "C01")) == ["C01-017", "C01-018", "C01/link"]
    assert below(model, "C01-017") == ["C01-017/register"]


def test_folders_of_one_name_under_different_parents_are_different(model: Model) -> None:
    """Building A of one concentrator is not Building A of the other."""
    add(model, device("M1", "a", path=("C01", "Building A")), device("M2", "a", path=("C02", "Building A")))

    assert below(model, "/C01") == ["/C01/Building A"]
    assert below(model, "/C02/Building A") == ["M2"]


def test_a_redefinition_changes_what_it_says_and_keeps_values_and_subscribers(model: Model) -> None:
    """New title, unit and range; the value and who listens to it stay; a new tag appears."""
    add(model, device("T01", "a"))
    asyncio.run(model.write(batch("T01", [5.0], [0])))
    holder = model._space[ua.NodeId("T01/a", 2)].attributes[ua.AttributeIds.Value]
    add(model, Device("T01", (TagDef("a", "kW", "Power", 0.0, 9.0), TagDef("b")), title="Transformer"))

    assert model._space[ua.NodeId("T01/a", 2)].attributes[ua.AttributeIds.Value] is holder
    assert read(model, "T01/a").Value.Value == 5.0
    assert read(model, "T01/a", ua.AttributeIds.DisplayName).Value.Value.Text == "Power"
    assert read(model, "T01", ua.AttributeIds.DisplayName).Value.Value.Text == "Transformer"
    assert read(model, "T01/a#EngineeringUnits").Value.Value.DisplayName.Text == "kW"
    assert read(model, "T01/a#EURange").Value.Value.High == 9.0
    assert below(model, "T01") == ["T01/a", "T01/b"]
    shown = next(one for one in model._space[model.root].references if one.NodeId.Identifier == "T01")
    assert shown.DisplayName.Text == "Transformer"


def test_the_same_definition_again_changes_nothing(model: Model) -> None:
    """Drivers repeat their definitions after a reconnect."""
    add(model, device("T01", "a"))
    before = len(list(model._space.keys()))
    add(model, device("T01", "a"))

    assert len(list(model._space.keys())) == before
    assert below(model, "T01") == ["T01/a"]


def test_a_tag_that_left_is_out_of_the_tree_and_bad_and_may_come_back(model: Model) -> None:
    """Whoever still subscribes to it is told; the node id is never given to anything else."""
    add(model, device("T01", "a", "b"))
    asyncio.run(model.write(batch("T01", [1.0, 2.0], [0, 0])))
    add(model, device("T01", "b"))

    assert below(model, "T01") == ["T01/b"]
    assert read(model, "T01/a").StatusCode.name == "BadConfigurationError"
    assert read(model, "T01/b").Value.Value == 2.0

    add(model, device("T01", "b", "a"))
    asyncio.run(model.write(batch("T01", [3.0, 4.0], [0, 0])))
    assert below(model, "T01") == ["T01/b", "T01/a"]
    assert read(model, "T01/a").Value.Value == 4.0


def test_a_device_that_moves_keeps_its_ids(model: Model) -> None:
    """A module is given to another concentrator: it hangs elsewhere, its ids are the same."""
    add(model, device("M1", "a", path=("C01",)))
    add(model, device("M1", "a", path=("C02",)))

    assert below(model, "/C01") == []
    assert below(model, "/C02") == ["M1"]
    assert below(model, "M1") == ["M1/a"]


def test_every_variable_leads_back_to_the_root(model: Model) -> None:
    """Clients browse upwards too: each reference has its inverse."""
    add(model, *ORDERS[1])
    node = ua.NodeId("C01-017/register", 2)
    way = []
    while node != ua.NodeId(ua.ObjectIds.ObjectsFolder):
        way.append(str(node.Identifier))
        (node,) = [one.NodeId for one in model._space[node].references if not one.IsForward]

    assert way == ["C01-017/register", "C01-017", "C01", "/"]


# -------------------------------------------------------------------------------------------- units
def test_unit_numbers_are_made_from_the_common_code() -> None:
    """OPC 10000-8: KWH is 0x4B5748; a unit without a code is -1, never a wrong one."""
    assert units.unit_id("kWh") == 0x4B5748
    assert units.unit_id("%") == 0x5031
    assert units.unit_id("furlong") == units.NO_CODE
    assert units.description("furlong") == "furlong"
