"""Shows the field on the bus: concentrators, adopted modules and their sensors, as devices with tags."""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import NS, SiteClock
from scada.drivers.dmesh import mesh, time_tags
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import LinkStat, Samples
from scada.drivers.dmesh.numbers import UNIT_OF_SENSOR, Sensor
from scada.ports import ClockView, Registry, TagSink
from scada.settings import TimeSettings
from scada.site import IN_SERVICE, Concentrator, Directory, Site, differing
from scada.tags import Batch, Device, Quality, TagDef

SENSORS: Final = tuple(Sensor)
SENSOR_TAGS: Final = tuple(
    TagDef(sensor.name.lower(), UNIT_OF_SENSOR[sensor], stale_after=mesh.STALE_AFTER) for sensor in SENSORS
)


class Display:
    """`meshes` are what each concentrator last said, by link id."""

    def __init__(
        self, sink: TagSink, registry: Registry, clock: SiteClock, meshes: Mapping[int, Mesh],
        link_up: Callable[[int], bool], time: TimeSettings,
    ) -> None:
        self._time_tags, self._tolerance = time_tags.tags(time), time_tags.tolerance(time)
        self._sink, self._registry, self._clock, self._meshes, self._link_up = sink, registry, clock, meshes, link_up
        self._devices: dict[str, Device] = {}
        self._site = Site()                                 # as it was last shown
        self._sensed: dict[str, tuple[NDArray[np.float64], NDArray[np.uint8]]] = {}  # last values and qualities

    def registry_changed(self, directory: Directory) -> None:
        """What is new comes onto the bus, with what its concentrator has already said about it."""
        site, before = directory.site, self._site
        self._site = site                                   # with 100,000 modules only what changed is looked at
        devices = [mesh.concentrator_device(one) for _, one in differing(before.concentrators, site.concentrators) if one]
        devices += [
            mesh.module_device(one) for _, one in differing(before.modules, site.modules) if one and one.state in IN_SERVICE
        ]
        new = {device.name for device in devices if self._add(device)}
        for view in self._meshes.values() if new else ():
            self.stats(view, view.stats.values(), new)

    def concentrator(self, link_id: int) -> None:
        """Its figures."""
        known = self._registry.directory.concentrator_of_link.get(link_id)
        if known is not None and known.name in self._devices:
            view = self._meshes.get(link_id) or Mesh()
            self._sink.publish(view.batch(known.name, link_up=self._link_up(link_id), now=self._clock.now()))

    def time(self, link_id: int) -> None:
        """The clocks of a concentrator and its modules."""
        known = self._registry.directory.concentrator_of_link.get(link_id)
        if known is not None and known.name in self._devices:
            self._add(time_tags.device(known, self._time_tags))
            view = self._meshes.get(link_id) or Mesh()
            self._sink.publish(time_tags.batch(known.name, view, self._tolerance, self._clock.now()))

    def clocks(self, concentrator: Concentrator) -> ClockView:
        link_id = concentrator.link_id
        view = self._meshes.get(link_id) or Mesh()
        return time_tags.view(concentrator.name, view, self._tolerance, link_up=self._link_up(link_id))

    def stats(self, view: Mesh, stats: Iterable[LinkStat], only: Container[str] | None = None) -> None:
        """Link statistics as tags of adopted modules; of some devices `only`, when those are new on the bus."""
        now = self._clock.now()
        for stat in stats:
            device = self._module_device(view, stat.index)
            if device is not None and (only is None or device in only):
                self._sink.publish(mesh.module_batch(device, stat, now))

    def samples(self, view: Mesh, concentrator: str, samples: Samples) -> None:
        """Other sensors are devices of their own, made when they first speak."""
        for sample in samples.samples:
            owner = self._module_device(view, sample.index) if sample.index else concentrator
            if owner not in self._devices or sample.sensor not in SENSORS:
                continue
            name = f"{owner}-sensors"
            if name not in self._sensed:
                self._sink.add_device(Device(name, SENSOR_TAGS, (*self._devices[owner].path, owner)))
                self._sensed[name] = (np.full(len(SENSORS), np.nan), np.full(len(SENSORS), Quality.BAD_WAITING, np.uint8))
            values, quality = self._sensed[name]
            place = SENSORS.index(Sensor(sample.sensor))
            values[place], quality[place] = sample.value, Quality.GOOD
            self._sink.publish(Batch(name, values.copy(), quality.copy(), sample.time * NS, self._clock.now()))

    def _add(self, device: Device) -> bool:
        """Make it known; whether the name was new."""
        known = self._devices.get(device.name)
        if known != device:
            self._devices[device.name] = device
            self._sink.add_device(device)
        return known is None

    def _module_device(self, view: Mesh, index: int) -> str | None:
        """The device on the bus of an adopted module; None for others."""
        if (modules := view.modules) is None:
            return None
        module = self._registry.directory.module_of_eui.get(int(modules.euis[index]))
        return module.name if module is not None and module.name in self._devices else None
