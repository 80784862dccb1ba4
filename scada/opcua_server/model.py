"""The information model: devices and tags as OPC UA nodes, kept up to date.

Node ids (never change, survive restarts): a tag is "<device>/<point>", a device its name, a folder its path with a
leading slash ("/Balance"), a property its variable's id, "#" and its name. Device names hold no "/", so none collide.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from scada.opcua_server.attributes import NAMESPACE, Attribute
from scada.opcua_server.nodes import FOLDER_TYPE, OBJECT_TYPE, Nodes
from scada.opcua_server.values import data_value, timestamp
from scada.tags import Batch, Device, tag_id


class Model:
    """The site's part of the address space."""

    def __init__(self, space: AddressSpace, site_name: str) -> None:
        self._space = space
        self.devices: dict[str, Device] = {}
        self._nodes = Nodes(space)
        self._variables: dict[str, tuple[ua.NodeId, ...]] = {}
        self._tops: dict[tuple[str, ...], ua.NodeId] = {}          # path -> the node that members hang under
        self.root = ua.NodeId("/", NAMESPACE)
        self._nodes.object(self.root, site_name, site_name, "", FOLDER_TYPE, ua.NodeId(ua.ObjectIds.ObjectsFolder))
        self._tops[()] = self.root
        self.misfits = 0                                           # batches that do not fit their device

    @property
    def tags(self) -> int:
        return sum(len(nodes) for nodes in self._variables.values())

    # ------------------------------------------------------------------ definitions
    async def add_devices(self, devices: Iterable[Device]) -> None:
        for device in devices:
            await self._add_device(device)

    def add_object(self, name: str, text: str) -> ua.NodeId:
        """A plain object beside the folders of the site, for methods."""
        node = ua.NodeId(f"/{name}", NAMESPACE)
        self._nodes.object(node, name, name, text, OBJECT_TYPE, self.root)
        self._tops[(name,)] = node
        return node

    async def _add_device(self, device: Device) -> None:
        known = self.devices.get(device.name)
        if known == device:
            return
        node, place = ua.NodeId(device.name, NAMESPACE), (*device.path, device.name)
        parent = self._folder(device.path)
        if known is None:
            self._nodes.object(node, device.name, device.title or device.name, device.area, OBJECT_TYPE, parent)
        else:
            if known.path != device.path:
                self._nodes.unlink(self._tops[known.path], node)
                del self._tops[(*known.path, device.name)]
                self._nodes.link(parent, node)
            self._nodes.rename(node, device.title or device.name, device.area)
        self._adopt_members(place, node)
        kept = set(device.points)
        for tag in known.tags if known else ():
            if tag.point not in kept:
                await self._nodes.retire(node, ua.NodeId(tag_id(device.name, tag.point), NAMESPACE))
        before = {tag.point: tag for tag in known.tags} if known else {}
        for tag in device.tags:
            if before.get(tag.point) != tag:
                self._nodes.tag(ua.NodeId(tag_id(device.name, tag.point), NAMESPACE), tag, node)
        self.devices[device.name] = device
        self._variables[device.name] = tuple(ua.NodeId(tag_id(device.name, point), NAMESPACE) for point in device.points)

    def _folder(self, path: tuple[str, ...]) -> ua.NodeId:
        """The node for a path: the device of that name where there is one, else a folder."""
        node = self._tops.get(path)
        if node is None:
            node = ua.NodeId("/" + "/".join(path), NAMESPACE)
            self._nodes.object(node, path[-1], path[-1], "", FOLDER_TYPE, self._folder(path[:-1]))
            self._tops[path] = node
        return node

    def _adopt_members(self, place: tuple[str, ...], node: ua.NodeId) -> None:
        """A device that comes after what hangs below it takes the folder's place: the tree never depends on order."""
        folder = self._tops.get(place)
        self._tops[place] = node
        if folder is None or folder == node:
            return
        for member in self._nodes.members(folder):
            self._nodes.unlink(folder, member)
            self._nodes.link(node, member)
        self._nodes.unlink(self._tops[place[:-1]], folder)

    # ----------------------------------------------------------------------- values
    async def write(self, batch: Batch) -> int:
        """Write one device's values through asyncua's fast supported path; returns how many were written."""
        nodes = self._variables.get(batch.device)
        if nodes is None or len(nodes) != len(batch.values):
            self.misfits += 1
            return 0
        source, server = timestamp(batch.at), datetime.now(UTC)
        write = self._space.write_attribute_value
        for node, value, quality in zip(nodes, batch.values.tolist(), batch.quality.tolist(), strict=True):
            await write(node, Attribute.Value, data_value(value, quality, source, server))
        return len(nodes)
