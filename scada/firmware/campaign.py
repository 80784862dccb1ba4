"""One campaign in memory: its modules, what each has said, and which event of the machine is due. No I/O, no clock.

A failure counts against the stage that is under way; those a person has seen and resumed after count no more.
"""

from typing import Final

import attrs

from scada.clock import NS
from scada.firmware.machine import RUNNING, Event, after
from scada.rollout import (
    OVER,
    CampaignRequest,
    CampaignState,
    CampaignStatus,
    Image,
    StageStatus,
    UpdateFilter,
    UpdateState,
    UpdateStatus,
)

SETTLED: Final = frozenset({UpdateState.DONE, UpdateState.FAILED})


@attrs.frozen
class Member:
    """One module of the frozen selection."""

    eui: int
    device: str
    concentrator: str
    link_id: int
    stage: int


@attrs.frozen
class Progress:
    state: UpdateState = UpdateState.WAITING
    reason: str = ""
    missing: int = 0
    changed: int = 0                    # ns, site time


@attrs.define(eq=False)
class Campaign:
    """What is stored, and the counts that go with it. `progress` changes only through `put`."""

    number: int
    image: Image
    request: CampaignRequest
    drafter: str
    made: int                           # ns, site time
    members: dict[int, Member]          # by EUI
    progress: dict[int, Progress]
    left_out: tuple[str, ...] = ()
    state: CampaignState = CampaignState.DRAFT
    stage: int = 0
    approver: str = ""
    began: int = 0                      # ns, site time: start of the stage, or of going on with it
    soak_ends: int = 0
    forgiven: int = 0                   # failures a person has seen
    why: str = ""
    tripped: bool = False               # it has paused by itself
    of_link: dict[int, tuple[int, ...]] = attrs.field(init=False, factory=dict)
    concentrators: frozenset[str] = attrs.field(init=False, factory=frozenset)
    _of_stage: list[list[int]] = attrs.field(init=False, factory=list)
    _tally: dict[tuple[int, UpdateState], int] = attrs.field(init=False, factory=dict)
    _totals: dict[UpdateState, int] = attrs.field(init=False, factory=dict)
    _missing: list[int] = attrs.field(init=False, factory=list)     # blocks that modules in transfer lack, by stage

    def __attrs_post_init__(self) -> None:
        links: dict[int, list[int]] = {}
        self._of_stage = [[] for _ in range(1 + max((one.stage for one in self.members.values()), default=0))]
        self._missing = [0] * self.stages
        for one in self.members.values():
            links.setdefault(one.link_id, []).append(one.eui)
            self._of_stage[one.stage].append(one.eui)
            self._count(one.stage, self.progress[one.eui], 1)
        self.concentrators = frozenset(one.concentrator for one in self.members.values())
        self.of_link = {link: tuple(euis) for link, euis in links.items()}

    # ------------------------------------------------------------------ questions
    @property
    def stages(self) -> int:
        return len(self._of_stage)

    @property
    def size(self) -> int:
        """Modules of the present stage."""
        return len(self._of_stage[self.stage])

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def over(self) -> bool:
        return self.state in OVER

    def wanted(self, link_id: int) -> dict[int, UpdateState]:
        """Modules of one concentrator that the stages begun are about and that are not settled."""
        return {
            eui: state for eui in self.of_link.get(link_id, ())
            if self.members[eui].stage <= self.stage and (state := self.progress[eui].state) not in SETTLED
        }

    def count(self, state: UpdateState) -> int:
        """Modules in a state, of all stages."""
        return self._totals.get(state, 0)

    def failed(self) -> int:
        """Failures in the stages begun that count."""
        return sum(self._tally.get((stage, UpdateState.FAILED), 0) for stage in range(self.stage + 1)) - self.forgiven

    def settled(self) -> bool:
        """Whether every module of the stages begun has succeeded or failed."""
        return all(self._ended(stage) for stage in range(self.stage + 1))

    def due(self, now: int) -> Event | None:
        """What time and reports have made due. `now`: site time [ns]"""
        if not self.running:
            return None
        if self.failed() > self.request.most_failed_percent / 100 * self.size:
            return Event.TROUBLE
        last = self.stage + 1 >= self.stages
        if self.state is CampaignState.SOAK:
            if now < self.soak_ends:
                return None
            return Event.FINISH if last else Event.WIDEN if self.approver else None
        if not self.settled():
            return None
        if self.state is CampaignState.CANARY:
            return Event.SETTLED
        return Event.FINISH if last else Event.WIDEN

    def late(self, now: int) -> list[int]:
        """Modules that have not come to an end although the stage has had its time."""
        if self.state not in (CampaignState.CANARY, CampaignState.WAVE) or now < self.began + self.request.patience_s * NS:
            return []
        open_stages = (self._of_stage[stage] for stage in range(self.stage + 1) if not self._ended(stage))
        return [eui for euis in open_stages for eui in euis if self.progress[eui].state not in SETTLED]

    # -------------------------------------------------------------------- changes
    def apply(self, event: Event, now: int, why: str = "") -> bool:
        """Go where the machine leads; False where the event is not for this state."""
        state = after(self.state, event)
        if state is None:
            return False
        self.state, self.why = state, why if state in (CampaignState.PAUSED, CampaignState.ABORTED) else ""
        self.tripped = event is Event.TROUBLE
        if event is Event.WIDEN:
            self.stage += 1
            self.forgiven += self.failed()                  # each stage is judged by its own
        if event in (Event.RESUME_CANARY, Event.RESUME_WAVE):
            self.forgiven += self.failed()
        self.began = now
        self.soak_ends = now + self.request.soak_s * NS if state is CampaignState.SOAK else 0
        return True

    def put(self, eui: int, progress: Progress) -> bool:
        """Replace what is known of one module; False if nothing is new."""
        before, stage = self.progress[eui], self.members[eui].stage
        if (before.state, before.reason, before.missing) == (progress.state, progress.reason, progress.missing):
            return False
        self._count(stage, before, -1)
        self._count(stage, progress, 1)
        if before.state is UpdateState.FAILED is not progress.state and stage <= self.stage and self.forgiven:
            self.forgiven -= 1                              # it tries again: a new failure is a new one
        self.progress[eui] = progress
        return True

    def retry(self, now: int) -> list[int]:
        """Those that failed may try again."""
        failed = [
            eui for stage, euis in enumerate(self._of_stage) if self._tally.get((stage, UpdateState.FAILED))
            for eui in euis if self.progress[eui].state is UpdateState.FAILED
        ]
        for eui in failed:
            self.put(eui, Progress(changed=now))
        return failed

    def status(self) -> CampaignStatus:
        return CampaignStatus(
            self.number, self.image, self.request, self.state, self.stage,
            tuple(
                StageStatus(
                    number, len(euis), {one: n for one in UpdateState if (n := self._tally.get((number, one), 0))},
                    self._missing[number],
                )
                for number, euis in enumerate(self._of_stage)
            ),
            self.drafter, self.approver, self.made, self.soak_ends, self.why, self.tripped,
            100 * self.failed() / self.size if self.size else 0.0, self.left_out,
        )

    def updates(self, wanted: UpdateFilter) -> tuple[tuple[UpdateStatus, ...], int]:
        """A part of the modules that fit, and how many fit. Any thread: members are never replaced."""
        stages = self._of_stage if wanted.stage is None else self._of_stage[wanted.stage:wanted.stage + 1]
        fitting = [
            eui for euis in stages for eui in euis
            if not wanted.states or self.progress[eui].state in wanted.states
        ]
        shown = (self.members[eui] for eui in fitting[wanted.first:wanted.first + wanted.most])
        return tuple(
            UpdateStatus(one.eui, one.device, one.concentrator, one.stage, *attrs.astuple(self.progress[one.eui]))
            for one in shown
        ), len(fitting)

    def _ended(self, stage: int) -> bool:
        return sum(self._tally.get((stage, one), 0) for one in SETTLED) == len(self._of_stage[stage])

    def _count(self, stage: int, progress: Progress, by: int) -> None:
        self._tally[stage, progress.state] = self._tally.get((stage, progress.state), 0) + by
        self._totals[progress.state] = self._totals.get(progress.state, 0) + by
        if progress.state is UpdateState.TRANSFER:
            self._missing[stage] += by * progress.missing
