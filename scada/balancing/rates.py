"""What the register that feeds a balance group can bring in an hour, from what is known of its transformer and its tag."""

from collections.abc import Mapping
from typing import Final

from scada.balancing.register import Rates
from scada.site import Directory, Medium
from scada.tags import Device

OVERLOAD: Final = 2.0                   # a transformer can carry more than its nameplate for an hour, never this much
WITHOUT_A_TRANSFORMER: Final = 10_000.0  # kWh or m³ an hour


def rates_of(directory: Directory, devices: Mapping[str, Device], tag: str) -> Rates:
    """
    Return the bounds of one feed's register.

    A 160 kVA transformer passes at most 320 kWh in an hour, so a step of 3,000 is an exchanged meter. A tag that is
    declared a counter never falls by itself; one that is not (a net register) may fall as fast as it may rise.
    """
    groups = directory.groups_of_feed.get(tag, ())
    transformers = [directory.transformer.get(group.transformer) for group in groups]
    forth = WITHOUT_A_TRANSFORMER
    if groups and all(group.medium is Medium.ELECTRICITY for group in groups) and all(transformers):
        forth = OVERLOAD * max(one.rated_kva for one in transformers if one is not None)
    name, _, point = tag.partition("/")
    meter = devices.get(name)
    counter = meter is not None and any(one.point == point and one.counter for one in meter.tags)
    return Rates(forth, 0.0 if counter else forth)
