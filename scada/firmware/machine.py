"""The states of a campaign, as a table: the picture in the administrator's guide is this table.

    DRAFT ──▶ CANARY ──▶ SOAK ──▶ WAVE 1 … WAVE n ──▶ DONE
                 └────────┴─────────┴──▶ PAUSED (and back), and from everywhere ABORTED
"""

from enum import StrEnum
from typing import Final

from scada.rollout import CampaignState as S


class Event(StrEnum):
    START = "start"                     # a person starts the canary
    SETTLED = "settled"                 # every module of the canary has succeeded or failed
    WIDEN = "widen"                     # soaked and approved, or a wave is settled: the next wave
    FINISH = "finish"                   # nobody is left
    TROUBLE = "trouble"                 # more have failed than allowed, or its maker is not trusted any more
    PAUSE = "pause"                     # a person's
    RESUME_CANARY = "resume canary"
    RESUME_WAVE = "resume wave"
    ABORT = "abort"


TRANSITIONS: Final[dict[tuple[S, Event], S]] = {
    (S.DRAFT, Event.START): S.CANARY,
    (S.DRAFT, Event.ABORT): S.ABORTED,
    (S.CANARY, Event.SETTLED): S.SOAK,
    (S.CANARY, Event.TROUBLE): S.PAUSED,
    (S.CANARY, Event.PAUSE): S.PAUSED,
    (S.CANARY, Event.ABORT): S.ABORTED,
    (S.SOAK, Event.WIDEN): S.WAVE,
    (S.SOAK, Event.FINISH): S.DONE,
    (S.SOAK, Event.TROUBLE): S.PAUSED,
    (S.SOAK, Event.PAUSE): S.PAUSED,
    (S.SOAK, Event.ABORT): S.ABORTED,
    (S.WAVE, Event.WIDEN): S.WAVE,
    (S.WAVE, Event.FINISH): S.DONE,
    (S.WAVE, Event.TROUBLE): S.PAUSED,
    (S.WAVE, Event.PAUSE): S.PAUSED,
    (S.WAVE, Event.ABORT): S.ABORTED,
    (S.PAUSED, Event.RESUME_CANARY): S.CANARY,
    (S.PAUSED, Event.RESUME_WAVE): S.WAVE,
    (S.PAUSED, Event.ABORT): S.ABORTED,
}
RUNNING: Final = frozenset({S.CANARY, S.SOAK, S.WAVE})


def after(state: S, event: Event) -> S | None:
    """The state an event leads to; None where it is not for this state."""
    return TRANSITIONS.get((state, event))
