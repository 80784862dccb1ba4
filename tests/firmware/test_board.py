"""The tags of firmware: a campaign that stopped by itself is an alarm, one that a person paused is not."""

import numpy as np
from twisted.internet.task import Clock

from scada.alarms.book import Book
from scada.alarms.watch import Watch
from scada.bus import TagBus
from scada.firmware import board
from scada.firmware.machine import Event
from scada.rollout import UpdateState
from scada.tags import Batch
from tests.fakes import site_clock
from tests.firmware.test_machine import Progress, campaign

NAMES = [tag.point for tag in board.BOARD.tags]


def shown(*campaigns: object) -> dict[str, float]:
    return dict(zip(NAMES, board.values(campaigns), strict=True))  # type: ignore[arg-type]


def test_only_a_campaign_that_paused_by_itself_is_beyond_its_limit() -> None:
    """One by trouble, one by a person; resumed it is over."""
    limits = {tag.point: tag.limits.high for tag in board.BOARD.tags if tag.limits}
    trouble, person = campaign(), campaign()
    for one in (trouble, person):
        one.apply(Event.START, 0)
    trouble.put(1, Progress(UpdateState.FAILED))
    event = trouble.due(0)
    assert event is not None
    trouble.apply(event, 0, "1 of 2 modules of the stage have failed")
    person.apply(Event.PAUSE, 0, "paused by ana")
    values = shown(trouble, person)
    trouble.apply(Event.RESUME_CANARY, 0)

    assert event is Event.TROUBLE
    assert (values["paused"], values["tripped"]) == (2, 1)
    assert limits.keys() == {"tripped"}
    assert values["tripped"] > (limits["tripped"] or 9) >= shown(person)["tripped"]
    assert shown(trouble, person)["tripped"] == 0


def test_it_is_raised_as_an_alarm_and_returns_when_somebody_goes_on() -> None:
    """By the alarms' own look at the tags."""
    reactor = Clock()
    clock = site_clock(reactor)
    bus, book = TagBus(clock, reactor), Book()
    watch = Watch(bus, clock, lambda device: "")
    one = campaign()

    def look() -> list[tuple[str, str, str]]:
        now, values = clock.now(), board.values([one])
        bus.publish(Batch(board.BOARD.name, values, np.zeros(len(values), dtype=np.uint8), now, now))
        reactor.advance(5.0)
        return [(change.source, change.kind, change.state.value) for change in watch.look(book)]

    bus.add_device(board.BOARD)
    one.apply(Event.START, 0)
    quiet = look()
    one.put(1, Progress(UpdateState.FAILED))
    one.apply(Event.TROUBLE, 0, "1 of 2 modules of the stage have failed")
    raised = look()
    one.apply(Event.RESUME_CANARY, 0)
    over = look()

    assert quiet == []
    assert raised == [("Firmware/tripped", "high", "unacknowledged")]
    assert over == [("Firmware/tripped", "high", "returned")]
