"""A campaign under any order of events: it never widens by itself beyond what was approved, and can always be ended."""

from hypothesis import given
from hypothesis import strategies as st

from scada.clock import NS
from scada.firmware.campaign import Campaign, Member, Progress
from scada.firmware.judging import judge, stages_of
from scada.firmware.machine import RUNNING, TRANSITIONS, Event, after
from scada.rollout import OVER, CampaignRequest, CampaignState, DeviceReport, DeviceState, Image, UpdateState

IMAGE = Image(b"imagenr1", "Maker", "D100FC", "2.0", 2, 100, bytes(32), 50, b"")


def campaign(modules: int = 12, canary: int = 2, wave: int = 5) -> Campaign:
    members = stages_of((Member(n + 1, f"m{n:02}", f"C{n % 3}", n % 3, 0) for n in range(modules)), canary, wave)
    request = CampaignRequest("", canary=canary, wave=wave, soak_s=10)
    return Campaign(1, IMAGE, request, "ana", 0, {m.eui: m for m in members}, {m.eui: Progress() for m in members})


def report(eui: int, running: str = "1.0", state: DeviceState = DeviceState.RECEIVING, **more: object) -> DeviceReport:
    values = {"hardware": "D100FC", "rollback": 1, "image": IMAGE.id} | more
    return DeviceReport(eui % 3, eui, running, values["hardware"], values["rollback"], values["image"], state)  # type: ignore[arg-type]


def test_every_state_can_be_ended_and_an_ended_one_is_left_by_nothing() -> None:
    for state in CampaignState:
        leads = {event for event in Event if after(state, event) is not None}
        assert (leads == set()) if state in OVER else (Event.ABORT in leads)
    assert {after(state, Event.PAUSE) for state in RUNNING} == {CampaignState.PAUSED}
    assert set(TRANSITIONS.values()) == set(CampaignState) - {CampaignState.DRAFT}


def test_the_canary_is_spread_over_the_concentrators() -> None:
    first = [one for one in campaign(canary=3).members.values() if one.stage == 0]
    assert {one.concentrator for one in first} == {"C0", "C1", "C2"}


def test_only_the_running_version_is_success() -> None:
    tried = Progress(UpdateState.ACTIVATING)
    assert judge(IMAGE, tried, report(1, "1.0", DeviceState.RUNNING), 5).state is UpdateState.ACTIVATING
    assert judge(IMAGE, tried, report(1, "2.0", DeviceState.RUNNING), 5).state is UpdateState.DONE


def test_another_class_or_a_higher_number_fails_on_our_side() -> None:
    for unfit in (report(1, hardware="J100"), report(1, rollback=3)):
        assert judge(IMAGE, Progress(), unfit, 5).state is UpdateState.FAILED
    assert judge(IMAGE, Progress(), report(1), 5).state is UpdateState.WAITING


STEPS = st.lists(st.one_of(
    st.sampled_from([Event.START, Event.PAUSE, Event.RESUME_CANARY, Event.RESUME_WAVE, "approve", "time"]),
    st.tuples(st.integers(1, 12), st.sampled_from([UpdateState.TRANSFER, UpdateState.DONE, UpdateState.FAILED])),
), max_size=60)


@given(STEPS)
def test_nothing_goes_beyond_the_canary_without_approval_or_with_too_many_failures(steps: list[object]) -> None:
    one, now = campaign(), 0
    for step in steps:
        if step == "approve":
            one.approver = "ion"
        elif step == "time":
            now += 11 * NS
        elif isinstance(step, tuple):
            if one.members[step[0]].stage <= one.stage and one.state is not CampaignState.DRAFT:
                one.put(step[0], Progress(step[1], "", 0, now))
        elif isinstance(step, Event) and (step is not Event.RESUME_WAVE or one.stage) and (
            step is not Event.RESUME_CANARY or not one.stage
        ):
            one.apply(step, now)
        stage, failed = one.stage, one.failed()
        if (event := one.due(now)) is not None:
            assert one.apply(event, now)
            assert one.stage == stage or (one.approver and failed == 0)
            assert event is not Event.FINISH or one.settled()
        counted = [sum(p.state is state for p in one.progress.values()) for state in UpdateState]
        assert [one.count(state) for state in UpdateState] == counted
