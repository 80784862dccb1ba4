"""The figures of a subnet as tags with limits, so that history, OPC UA and alarms have them. Pure."""

from typing import Final

import numpy as np

from scada.clock import HOUR_S, NS
from scada.network import NetworkFigures, Trouble
from scada.site import Concentrator
from scada.tags import Batch, Device, Limits, Quality, TagDef

STALE_AFTER: Final = 26 * HOUR_S * NS


def tags(share_percent: float, delivery_percent: float) -> tuple[TagDef, ...]:
    """What a concentrator's network device shows; limits raise alarms."""
    some = Limits(high=0.5)                                 # counts: one is one too many

    return (
        TagDef("hot_share", "%", "Largest share of the subnet behind one module", 0, 100, STALE_AFTER,
               Limits(high=share_percent, hysteresis=5.0)),
        TagDef("no_way_round", "", "Modules without which others have no way", 0, 240, STALE_AFTER, digits=0),
        TagDef("weakest_link", "%", "Packets delivered over the weakest link", 0, 100, STALE_AFTER,
               Limits(low=delivery_percent, hysteresis=5.0)),
        TagDef("over_budget", "", "Modules that relay more than their battery allows", 0, 240, STALE_AFTER, some, 0),
        TagDef("battery_short", "", "Modules whose battery will not last", 0, 240, STALE_AFTER, some, 0),
        TagDef("cut_off", "", "Modules without a way to the concentrator", 0, 240, STALE_AFTER, some, 0),
        TagDef("flapping", "", "Modules that keep changing their parent", 0, 240, STALE_AFTER, some, 0),
        TagDef("overlap", "", "Modules that another concentrator hears", 0, 240, STALE_AFTER, digits=0),
    )


def device(concentrator: Concentrator, definitions: tuple[TagDef, ...]) -> Device:
    return Device(f"{concentrator.name}-network", definitions, (concentrator.name,), concentrator.title, concentrator.area)


def batch(figures: NetworkFigures, received: int) -> Batch:
    """Values of `tags`; with the link down they are the last known."""
    def having(trouble: Trouble) -> float:
        return float(((figures.trouble & np.uint16(trouble)) > 0).sum())

    heard = not np.isnan(figures.delivery).all() if len(figures.delivery) else False
    short = float(((figures.trouble & np.uint16(Trouble.BATTERY_SHORT | Trouble.BATTERY_LOW)) > 0).sum())
    values = np.array([
        float(figures.share.max()) * 100 if len(figures.share) else np.nan,
        having(Trouble.NO_WAY_ROUND),
        float(np.nanmin(figures.delivery)) * 100 if heard else np.nan,
        having(Trouble.OVER_BUDGET), short, having(Trouble.CUT_OFF), having(Trouble.FLAPPING), having(Trouble.OVERLAP),
    ])
    if not heard:                                           # a module list alone is no report of a network
        values[:] = np.nan
    good = Quality.GOOD if figures.link_up else Quality.UNCERTAIN_LAST_KNOWN
    quality = np.where(np.isnan(values), Quality.BAD_WAITING, good).astype(np.uint8)
    return Batch(f"{figures.concentrator}-network", values, quality, figures.as_of or received, received)
