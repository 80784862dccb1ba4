"""What the field says of its firmware, told to the campaigns that are about it; and who is to be asked."""

from collections.abc import Sequence
from typing import Final

import attrs

from scada.clock import SiteClock
from scada.errors import LinkError
from scada.firmware.judging import judge
from scada.firmware.keeper import Keeper
from scada.firmware.runner import Runner
from scada.ports import FirmwareGateway
from scada.rollout import DeviceReport, Lack, UpdateState

ASKS: Final = 2                         # concentrators asked a turn what their modules run, after their link came up


class Hearing:
    def __init__(self, keeper: Keeper, runner: Runner, gateway: FirmwareGateway, clock: SiteClock) -> None:
        self._keeper, self._runner, self._gateway, self._clock = keeper, runner, gateway, clock
        self._to_ask: dict[int, None] = {}                  # links, ordered

    def link_changed(self, link_id: int, up: bool) -> None:
        self._runner.link_changed(link_id)
        if up and self._gateway.obstacle(link_id) is not None:
            self._to_ask[link_id] = None

    def ask(self) -> None:
        """What the modules of a link run, as soon as it is free; that is a question, and monitor-only lets it pass."""
        for link_id in tuple(self._to_ask)[:ASKS]:
            del self._to_ask[link_id]
            obstacle = self._gateway.obstacle(link_id)
            if obstacle == "":
                self._gateway.ask(link_id).addErrback(lambda failure: failure.trap(LinkError))
            elif obstacle is not None and obstacle != "the link is down":
                self._to_ask[link_id] = None                # at the end of the queue

    def heard(self, news: Sequence[DeviceReport] | Lack) -> None:
        if isinstance(news, Lack):
            self._lacks(news)
            return
        now = self._clock.now()
        for report in news:
            self._keeper.note(report)
        for campaign in self._keeper.live():
            for report in news:
                member = campaign.members.get(report.eui)
                if member is None or member.link_id != report.link_id or member.stage > campaign.stage:
                    continue
                before = campaign.progress[report.eui]
                if campaign.put(report.eui, judge(campaign.image, before, report, now)):
                    self._keeper.later(campaign, (report.eui,))

    def _lacks(self, lack: Lack) -> None:
        """Counts for the page; they are not worth a write, for the field tells them again."""
        for campaign in self._keeper.live():
            if campaign.image.id != lack.image:
                continue
            self._runner.lacks(campaign, lack)
            for eui, missing in lack.modules:
                one = campaign.progress.get(eui)
                if one is not None and one.state is UpdateState.TRANSFER and campaign.members[eui].link_id == lack.link_id:
                    campaign.put(eui, attrs.evolve(one, missing=missing))
