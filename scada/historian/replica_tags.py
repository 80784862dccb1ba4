"""The figures of a destination as tags: what each is, and from where on it is an alarm. Pure."""

from collections.abc import Mapping
from typing import Final

from scada.settings import InfluxSettings
from scada.tags import Limits, TagDef

HALF_FULL: Final = 50.0
NEARLY_FULL: Final = 80.0
ANY: Final = Limits(high=0.0)                       # one is one too many


def tags_of(settings: InfluxSettings) -> Mapping[str, TagDef]:
    """By figure; those that count and alarm are whole numbers."""
    old = Limits(high=settings.old_minutes * 60.0)
    tags = (
        TagDef("waiting_lines", "", "Lines that wait in the spool", digits=0),
        TagDef("waiting_blocks", "", "Blocks of intervals that are not sent yet", digits=0),
        TagDef("oldest_s", "s", "Age of the oldest line in the spool", limits=old, digits=0),
        TagDef("full_percent", "%", "Filling of the spool", limits=Limits(
            high=HALF_FULL, high_high=NEARLY_FULL, hysteresis=5.0,
        )),
        TagDef("lines_per_s", "1/s", "Lines sent in a second"),
        TagDef("dropped_in_hour", "", "Lines dropped in the last hour", limits=ANY, digits=0),
        TagDef("dead_lines", "", "Lines in dead letters", limits=ANY, digits=0),
        TagDef("refused", "", "1 while the destination refuses what it is sent", limits=ANY, digits=0),
        TagDef("intervals_percent", "%", "Share of the blocks of intervals that the destination has"),
        TagDef("past_percent", "%", "Share of the earlier live values that the destination has"),
        TagDef("server_major", "", "Major version of the destination, 0 while it is not known", digits=0),
    )
    return {tag.point: tag for tag in tags}
