"""How far firmware is, as tags: the campaigns that are not over, summed."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.firmware.campaign import Campaign
from scada.rollout import CampaignState, UpdateState
from scada.tags import Device, Limits, TagDef

BOARD: Final = Device(
    "Firmware",
    (
        TagDef("campaigns", "", "Firmware campaigns under way", digits=0),
        TagDef("paused", "", "Firmware campaigns that are paused", digits=0),
        TagDef("tripped", "", "Firmware campaigns that paused by themselves", digits=0, limits=Limits(high=0.5)),
        TagDef("modules", "", "Modules to be updated", digits=0),
        TagDef("updated", "", "Modules that run the new firmware", digits=0),
        TagDef("failed", "", "Modules whose update failed", digits=0),
        TagDef("under_way", "", "Modules whose update is under way", digits=0),
    ),
    ("Firmware",),
    "Firmware",
)


def values(campaigns: Iterable[Campaign]) -> NDArray[np.float64]:
    """Values of `BOARD`."""
    live = [one for one in campaigns if not one.over and one.state is not CampaignState.DRAFT]
    count = {state: sum(one.count(state) for one in live) for state in UpdateState}
    settled = count[UpdateState.DONE] + count[UpdateState.FAILED]
    total = sum(count.values())
    return np.array([
        len(live), sum(one.state is CampaignState.PAUSED for one in live), sum(one.tripped for one in live), total,
        count[UpdateState.DONE], count[UpdateState.FAILED], total - settled - count[UpdateState.WAITING],
    ], dtype=np.float64)
