"""The tags of firmware: a campaign that stopped by itself is an alarm, one that a person paused is not."""

from scada.firmware import board
from scada.firmware.machine import Event
from scada.rollout import UpdateState
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
