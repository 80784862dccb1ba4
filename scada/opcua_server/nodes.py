"""Nodes and references put straight into asyncua's address space.

asyncua's documented way adds a node in 0.7 ms because it scans the parent's references twice; a site has tens of
thousands of tags. So nodes are put there directly, with attribute objects that many nodes share: they must never be
written through a node. `tests/opcua_server/test_model.py` holds what this needs of asyncua 2.1.
"""

from typing import Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from scada.opcua_server import attributes
from scada.opcua_server.attributes import NAMESPACE, Attribute, Attributes, value_of
from scada.opcua_server.values import missing
from scada.tags import Quality, TagDef

ORGANIZES: Final = ua.NodeId(ua.ObjectIds.Organizes)
HAS_COMPONENT: Final = ua.NodeId(ua.ObjectIds.HasComponent)
HAS_PROPERTY: Final = ua.NodeId(ua.ObjectIds.HasProperty)
HAS_TYPE: Final = ua.NodeId(ua.ObjectIds.HasTypeDefinition)
FOLDER_TYPE: Final = ua.NodeId(ua.ObjectIds.FolderType)
OBJECT_TYPE: Final = ua.NodeId(ua.ObjectIds.BaseObjectType)
PROPERTY_TYPE: Final = ua.NodeId(ua.ObjectIds.PropertyType)


class Nodes:
    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._types: dict[ua.NodeId, ua.ReferenceDescription] = {}

    def object(
        self, node: ua.NodeId, name: str, shown: str, text: str, kind: ua.NodeId, parent: ua.NodeId
    ) -> None:
        """A folder, a device or a plain object below its parent."""
        self._add(node, attributes.of_object(node, name, shown, text), self._type(kind, ua.NodeClass.ObjectType))
        self.link(parent, node)

    def tag(self, node: ua.NodeId, tag: TagDef, parent: ua.NodeId) -> None:
        """Make a tag's variable, or bring its description up to date (its value and subscribers stay)."""
        if node not in self._space:
            kind = self._type(attributes.type_of(tag), ua.NodeClass.VariableType)
            self._add(node, attributes.of_tag(node, tag), kind)
            self.link(parent, node, HAS_COMPONENT)
        else:
            self.rename(node, tag.title or tag.point, tag.title)
            if not any(reference.NodeId == node for reference in self._space[parent].references):
                self.link(parent, node, HAS_COMPONENT)             # it was retired and is back
        for name, (value, data_type) in attributes.properties(tag).items():
            self._property(node, name, value, data_type)

    def rename(self, node: ua.NodeId, shown: str, text: str) -> None:
        data = self._space[node]
        data.attributes |= attributes.words(shown, text)
        for back in data.references:
            if not back.IsForward:
                for reference in self._space[back.NodeId].references:
                    if reference.NodeId == node:
                        reference.DisplayName = ua.LocalizedText(shown)

    async def retire(self, parent: ua.NodeId, node: ua.NodeId) -> None:
        """A tag that left its device's definition: out of the tree, and bad for whoever still asks.

        The node stays: asyncua's delete scans the whole address space (30 ms a node at 10,000 tags).
        """
        self.unlink(parent, node)
        await self._space.write_attribute_value(node, Attribute.Value, missing(Quality.BAD_CONFIG))

    def link(self, parent: ua.NodeId, child: ua.NodeId, how: ua.NodeId = ORGANIZES) -> None:
        self._space[parent].references.append(self._reference(child, how, forward=True))
        self._space[child].references.append(self._reference(parent, how, forward=False))

    def unlink(self, parent: ua.NodeId, child: ua.NodeId) -> None:
        for here, there, forward in ((parent, child, True), (child, parent, False)):
            data = self._space[here]
            data.references = [
                one for one in data.references if not (one.NodeId == there and one.IsForward is forward)
            ]

    def members(self, node: ua.NodeId) -> list[ua.NodeId]:
        """What is organized below a node."""
        return [one.NodeId for one in self._space[node].references if one.ReferenceTypeId == ORGANIZES and one.IsForward]

    def _add(self, node: ua.NodeId, of_node: Attributes, kind: ua.ReferenceDescription) -> None:
        data = self._space[node] = NodeData(node)
        data.attributes = of_node
        data.references.append(kind)

    def _property(self, owner: ua.NodeId, name: str, value: AttributeValue, data_type: AttributeValue) -> None:
        """A property of a tag; its value holder is shared, so a new value is a new holder."""
        node = ua.NodeId(f"{owner.Identifier}#{name}", NAMESPACE)
        data = self._space.get(node)
        if data is not None:
            data.attributes[Attribute.Value] = value
            return
        kind = self._type(PROPERTY_TYPE, ua.NodeClass.VariableType)
        self._add(node, attributes.of_property(node, name, value, data_type), kind)
        self.link(owner, node, HAS_PROPERTY)

    def _reference(self, target: ua.NodeId, how: ua.NodeId, *, forward: bool) -> ua.ReferenceDescription:
        data = self._space[target]
        kind = next((one.NodeId for one in data.references if one.ReferenceTypeId == HAS_TYPE), ua.NodeId())
        return ua.ReferenceDescription(
            ReferenceTypeId=how, IsForward=forward, NodeId=target,
            BrowseName=value_of(data, Attribute.BrowseName), DisplayName=value_of(data, Attribute.DisplayName),
            NodeClass=ua.NodeClass(value_of(data, Attribute.NodeClass)), TypeDefinition=kind,
        )

    def _type(self, kind: ua.NodeId, node_class: ua.NodeClass) -> ua.ReferenceDescription:
        """The reference to a type; one object for all nodes of that type, as nothing ever changes it."""
        shared = self._types.get(kind)
        if shared is None:
            data = self._space[kind]
            shared = self._types[kind] = ua.ReferenceDescription(
                ReferenceTypeId=HAS_TYPE, IsForward=True, NodeId=kind, BrowseName=value_of(data, Attribute.BrowseName),
                DisplayName=value_of(data, Attribute.DisplayName), NodeClass=node_class,
            )
        return shared
