"""One campaign in memory: its modules, what each has said, and which event of the machine is due. No I/O, no clock.

A failure counts against the stage that is under way; those a person has seen and resumed after count no more.
"""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.clock import NS
from scada.firmware.machine import RUNNING, Event, after
from scada.rollout import (
    OVER,
    CampaignRequest,
    CampaignState,
    CampaignStatus,
    DeviceReport,
    DeviceState,
    Image,
    UpdateState,
    UpdateStatus,
)

SETTLED: Final = frozenset({UpdateState.DONE, UpdateState.FAILED})
FURTHER: Final = {
    DeviceState.RECEIVING: UpdateState.TRANSFER,
    DeviceState.COMPLETE: UpdateState.COMPLETE,
    DeviceState.VERIFIED: UpdateState.VERIFIED,
    DeviceState.ACTIVATING: UpdateState.ACTIVATING,
}


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
    of_link: dict[int, tuple[int, ...]] = attrs.field(init=False, factory=dict)
    _sizes: list[int] = attrs.field(init=False, factory=list)
    _tally: dict[tuple[int, UpdateState], int] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        links: dict[int, list[int]] = {}
        self._sizes = [0] * (1 + max((one.stage for one in self.members.values()), default=0))
        for one in self.members.values():
            links.setdefault(one.link_id, []).append(one.eui)
            self._sizes[one.stage] += 1
            self._count(one.stage, self.progress[one.eui].state, 1)
        self.of_link = {link: tuple(euis) for link, euis in links.items()}

    # ------------------------------------------------------------------ questions
    @property
    def stages(self) -> int:
        return len(self._sizes)

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
        return sum(self._tally.get((stage, state), 0) for stage in range(self.stages))

    def failed(self) -> int:
        """Failures in the stages begun that count."""
        return sum(self._tally.get((stage, UpdateState.FAILED), 0) for stage in range(self.stage + 1)) - self.forgiven

    def settled(self) -> bool:
        """Whether every module of the stages begun has succeeded or failed."""
        begun = self.stage + 1
        ended = sum(self._tally.get((stage, one), 0) for stage in range(begun) for one in SETTLED)
        return ended == sum(self._sizes[:begun])

    def due(self, now: int) -> Event | None:
        """What time and reports have made due. `now`: site time [ns]"""
        if not self.running:
            return None
        if self.failed() > self.request.most_failed_percent / 100 * self._sizes[self.stage]:
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
        return [eui for link in self.of_link for eui in self.wanted(link)]

    # -------------------------------------------------------------------- changes
    def apply(self, event: Event, now: int, why: str = "") -> bool:
        """Go where the machine leads; False where the event is not for this state."""
        state = after(self.state, event)
        if state is None:
            return False
        self.state, self.why = state, why if state in (CampaignState.PAUSED, CampaignState.ABORTED) else ""
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
        self._count(stage, before.state, -1)
        self._count(stage, progress.state, 1)
        if before.state is UpdateState.FAILED is not progress.state and stage <= self.stage and self.forgiven:
            self.forgiven -= 1                              # it tries again: a new failure is a new one
        self.progress[eui] = progress
        return True

    def retry(self, now: int) -> list[int]:
        """Those that failed may try again."""
        failed = [eui for eui, one in self.progress.items() if one.state is UpdateState.FAILED]
        for eui in failed:
            self.put(eui, Progress(changed=now))
        return failed

    def status(self) -> CampaignStatus:
        return CampaignStatus(
            self.number, self.image, self.request, self.state, self.stage, self.stages, self.drafter, self.approver,
            self.made, self.soak_ends, self.why,
            tuple(
                UpdateStatus(one.eui, one.device, one.concentrator, one.stage, *attrs.astuple(self.progress[one.eui]))
                for one in self.members.values()
            ),
            self.left_out,
        )

    def _count(self, stage: int, state: UpdateState, by: int) -> None:
        self._tally[stage, state] = self._tally.get((stage, state), 0) + by


def judge(image: Image, before: Progress, report: DeviceReport, now: int) -> Progress:
    """What a report means for a module of a campaign with `image`; only the running version is success."""
    ours = report.image == image.id
    tried = before.state is not UpdateState.WAITING
    if report.running == image.version and not (ours and report.state == DeviceState.FAILED):
        return _moved(before, UpdateState.DONE, "", 0, now)
    if ours and report.state == DeviceState.FAILED:
        # Of an earlier try there may be a failure still, which says nothing of this one.
        why = f"the module says {report.reason}; it runs {report.running}"
        return _moved(before, UpdateState.FAILED, why, report.missing, now) if tried else before
    if before.state is UpdateState.DONE:
        return _moved(before, UpdateState.FAILED, f"it went back to {report.running}", report.missing, now)
    if before.state is UpdateState.FAILED:
        return before
    if unfit := misfit(image, report):
        return _moved(before, UpdateState.FAILED, unfit, report.missing, now)
    state = FURTHER.get(DeviceState(report.state)) if report.state in DeviceState._value2member_map_ else None
    if not ours or not tried or state is None:
        return before
    return _moved(before, state, "", report.missing, now)


def misfit(image: Image, report: DeviceReport) -> str:
    """Why a device must never be offered an image; "" if it may."""
    if report.hardware != image.hardware:
        return f"it is of hardware class {report.hardware or '?'}; the image is for {image.hardware}"
    if report.rollback > image.rollback:
        return f"it ran number {report.rollback} already; the image has {image.rollback}"
    return ""


def stages_of(members: Iterable[Member], canary: int, wave: int) -> tuple[Member, ...]:
    """
    Who takes it when: the canary is spread over the concentrators, the waves follow them one after the other.

    A fault of one concentrator must not hide in a canary that is all its own; a broadcast of blocks serves a whole
    subnet at the price of one module.
    """
    by_link: dict[str, list[Member]] = {}
    for one in sorted(members, key=lambda one: one.device):
        by_link.setdefault(one.concentrator, []).append(one)
    first: list[Member] = []
    columns = [iter(found) for _, found in sorted(by_link.items())]
    while columns and len(first) < canary:
        for column in tuple(columns):
            found_next = next(column, None)
            if found_next is None:
                columns.remove(column)
            elif len(first) < canary:
                first.append(found_next)
    chosen = {one.eui for one in first}
    rest = [one for _, found in sorted(by_link.items()) for one in found if one.eui not in chosen]
    return (
        *(attrs.evolve(one, stage=0) for one in first),
        *(attrs.evolve(one, stage=1 + place // wave) for place, one in enumerate(rest)),
    )


def _moved(before: Progress, state: UpdateState, reason: str, missing: int, now: int) -> Progress:
    same = (before.state, before.reason, before.missing) == (state, reason, missing)
    return before if same else Progress(state, reason, missing, now)
