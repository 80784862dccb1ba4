"""The attributes of our nodes as asyncua holds them; what many nodes have in common is one object for all of them.

A shared object must never be written through a node.
"""

from functools import cache, lru_cache
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from scada.opcua_server import units
from scada.opcua_server.values import missing
from scada.tags import Quality, TagDef

NAMESPACE: Final = 2                    # index 0 is OPC UA's, 1 the application URI (OPC 10000-5, 6.3.1)
Attribute = ua.AttributeIds
Attributes = dict[ua.AttributeIds, AttributeValue]


def _constant(value: Any, kind: ua.VariantType) -> AttributeValue:
    return AttributeValue(ua.DataValue(ua.Variant(value, kind)))


_OBJECT: Final = _constant(ua.NodeClass.Object, ua.VariantType.Int32)
_VARIABLE: Final = _constant(ua.NodeClass.Variable, ua.VariantType.Int32)
_NO_WRITE: Final = _constant(0, ua.VariantType.UInt32)
_NO_EVENTS: Final = _constant(0, ua.VariantType.Byte)
_READ_ONLY: Final = _constant(1, ua.VariantType.Byte)             # AccessLevel CurrentRead
_SCALAR: Final = _constant(-1, ua.VariantType.Int32)
_FALSE: Final = _constant(False, ua.VariantType.Boolean)
_FASTEST: Final = _constant(0.0, ua.VariantType.Double)           # MinimumSamplingInterval: reported by exception
_DOUBLE: Final = _constant(ua.NodeId(ua.ObjectIds.Double), ua.VariantType.NodeId)
_EU_INFORMATION: Final = _constant(ua.NodeId(ua.ObjectIds.EUInformation), ua.VariantType.NodeId)
_RANGE: Final = _constant(ua.NodeId(ua.ObjectIds.Range), ua.VariantType.NodeId)


def of_object(node: ua.NodeId, name: str, shown: str, text: str) -> Attributes:
    return _of_node(node, name, shown, text) | {Attribute.NodeClass: _OBJECT, Attribute.EventNotifier: _NO_EVENTS}


def of_tag(node: ua.NodeId, tag: TagDef) -> Attributes:
    """Of a tag's variable that waits for its first value."""
    return _of_node(node, tag.point, tag.title or tag.point, tag.title) | {
        Attribute.NodeClass: _VARIABLE, Attribute.DataType: _DOUBLE, Attribute.ValueRank: _SCALAR,
        Attribute.AccessLevel: _READ_ONLY, Attribute.UserAccessLevel: _READ_ONLY, Attribute.Historizing: _FALSE,
        Attribute.MinimumSamplingInterval: _FASTEST, Attribute.Value: AttributeValue(missing(Quality.BAD_WAITING)),
    }


def of_property(node: ua.NodeId, name: str, value: AttributeValue, data_type: AttributeValue) -> Attributes:
    return {
        **_names(name), Attribute.NodeId: _constant(node, ua.VariantType.NodeId), Attribute.DataType: data_type,
        Attribute.Value: value,
    }


def words(shown: str, text: str) -> Attributes:
    """What people read of a node."""
    return {
        Attribute.DisplayName: _constant(ua.LocalizedText(shown), ua.VariantType.LocalizedText),
        Attribute.Description: _constant(ua.LocalizedText(text), ua.VariantType.LocalizedText),
    }


def properties(tag: TagDef) -> dict[str, tuple[AttributeValue, AttributeValue]]:
    """By name: value and data type of the properties of a tag (OPC 10000-8, 5.3.2)."""
    found = {}
    if tag.unit:
        found["EngineeringUnits"] = (_unit(tag.unit), _EU_INFORMATION)
    if tag.low is not None and tag.high is not None:
        found["EURange"] = (_range(tag.low, tag.high), _RANGE)
    return found


def type_of(tag: TagDef) -> ua.NodeId:
    """OPC 10000-8, 5.3.2: the analog type whose mandatory properties this tag has."""
    if tag.low is not None and tag.high is not None:
        return ua.NodeId(ua.ObjectIds.AnalogItemType)
    return ua.NodeId(ua.ObjectIds.AnalogUnitType if tag.unit else ua.ObjectIds.BaseAnalogType)


def value_of(data: NodeData, attribute: ua.AttributeIds) -> Any:
    held = data.attributes[attribute].value
    return None if held is None or held.Value is None else held.Value.Value


def _of_node(node: ua.NodeId, name: str, shown: str, text: str) -> Attributes:
    return {
        Attribute.NodeId: _constant(node, ua.VariantType.NodeId),
        Attribute.BrowseName: _constant(ua.QualifiedName(name, NAMESPACE), ua.VariantType.QualifiedName),
        Attribute.WriteMask: _NO_WRITE, Attribute.UserWriteMask: _NO_WRITE,
        **words(shown, text),
    }


@cache
def _names(name: str) -> dict[ua.AttributeIds, AttributeValue]:
    """What all properties of one name have in common."""
    return {
        Attribute.NodeClass: _VARIABLE,
        Attribute.BrowseName: _constant(ua.QualifiedName(name, 0), ua.VariantType.QualifiedName),
        Attribute.DisplayName: _constant(ua.LocalizedText(name), ua.VariantType.LocalizedText),
        Attribute.Description: _constant(ua.LocalizedText(""), ua.VariantType.LocalizedText),
        Attribute.WriteMask: _NO_WRITE, Attribute.UserWriteMask: _NO_WRITE, Attribute.ValueRank: _SCALAR,
        Attribute.AccessLevel: _READ_ONLY, Attribute.UserAccessLevel: _READ_ONLY, Attribute.Historizing: _FALSE,
    }


@lru_cache(1024)
def _unit(symbol: str) -> AttributeValue:
    information = ua.EUInformation(
        units.NAMESPACE, units.unit_id(symbol), ua.LocalizedText(symbol), ua.LocalizedText(units.description(symbol))
    )
    return _constant(information, ua.VariantType.ExtensionObject)


@lru_cache(1024)
def _range(low: float, high: float) -> AttributeValue:
    return _constant(ua.Range(low, high), ua.VariantType.ExtensionObject)
