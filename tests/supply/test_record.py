"""What may never happen to a supply, whatever people, links and modules do: a field and a crowd made by hypothesis."""

from typing import Final

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scada.commands import Actor, Origin, Role
from scada.site import Medium, Point, Supply, SupplyKind
from scada.supplies import (
    Effect,
    Holding,
    HoldReason,
    Local,
    SupplyRequest,
    SupplyState,
    Switch,
    SwitchAction,
    SwitchState,
)
from scada.supply import record as steps
from scada.supply import rules
from scada.supply.record import Record

CONFIRM: Final = 50
LIFE: Final = 40
GRACE: Final = 10
PEOPLE: Final = (Actor("ana", Role.DISPATCHER), Actor("ion", Role.DISPATCHER), Actor("root", Role.ADMINISTRATOR))
CREWS: Final = (("T1", "Rusu"), ("T2", "Popa"))
DAY_NS: Final = 86_400_000_000_000


@attrs.define
class Frame:
    """A command on its way: what the module needs of it."""

    command_id: bytes
    action: SwitchAction
    holder: str
    not_after: int
    ctr: int


@attrs.define
class Module:
    """As docs/dmlp.md has it, and written from there: latched, a set of holders, a counter that grows, a clock."""

    manual: bool
    supplied: bool = True
    holders: set[str] = attrs.field(factory=set)
    ctr: int = -1
    answers: dict[bytes, str] = attrs.field(factory=dict)
    let_go: bytes = b""                 # the last command that let it go

    def hear(self, frame: Frame, now: int) -> str:
        if frame.command_id in self.answers:
            return self.answers[frame.command_id]
        if frame.ctr <= self.ctr:
            return "DENIED"
        self.ctr = frame.ctr
        if now > frame.not_after:
            answer = "EXPIRED"
        elif frame.action is SwitchAction.DISCONNECT:
            self.holders.add(frame.holder)
            self.supplied, answer = False, "OK"
        else:
            self.holders.discard(frame.holder)
            answer = "HELD" if self.holders else "OK"
            self.supplied = self.supplied or not (self.holders or self.manual)
            self.let_go = frame.command_id
        self.answers[frame.command_id] = answer
        return answer


class SupplyMachine(RuleBasedStateMachine):
    """Everything a person or the field may do, in any order. `valve` is set by the two machines below."""

    valve = False

    def __init__(self) -> None:
        super().__init__()
        medium, kind = (Medium.WATER, SupplyKind.VALVE) if self.valve else (Medium.ELECTRICITY, SupplyKind.CONTACTOR)
        self.place = rules.Place(Supply("P", 1, kind), Point("P", medium), "C01-001", "C01", 7, 1, "north", False)
        self.record, self.module = Record("P"), Module(manual=self.valve)
        self.now, self.ctr, self.ids = 1000, 0, 0
        self.down: list[Frame] = []                         # on their way to the module
        self.known: set[bytes] = set()                      # to the concentrator
        self.up: list[tuple[bytes, str, bool]] = []         # reports on their way: command, answer, supplied
        self.locals: dict[str, Local] = {}
        self.sent: list[tuple[SwitchAction, int, int, bool]] = []       # action, not_after, when, held then
        self.opened_by_hand = False

    @initialize(start=st.sampled_from(["as it comes", "off", "off twice", "being let go", "let go"]))
    def begin(self, start: str) -> None:
        """Chance alone would seldom get that far: two persons, a link and a module that all agree."""
        if start == "as it comes":
            return
        for reason in (HoldReason.DANGER, HoldReason.LEAK if self.valve else HoldReason.DEBT)[: 1 + (start == "off twice")]:
            self.ask_off(PEOPLE[0], reason, CREWS[0])
            self._agree()
            assert self.record.state is SupplyState.OFF
        if start in ("being let go", "let go"):
            self.record = attrs.evolve(self.record, holders=())
            self.ask_on(PEOPLE[0])
            self._agree() if start == "let go" else self.confirm(PEOPLE[1])

    def _agree(self) -> None:
        self.confirm(PEOPLE[1])
        self.send("no")
        frame = self.down.pop()
        answer = self.module.hear(frame, self.now)
        self.up.append((frame.command_id, answer, self.module.supplied))
        self.reported()

    def new_id(self) -> str:
        self.ids += 1
        return f"{self.ids:032x}"

    # ------------------------------------------------------------------------------------------------ people
    @rule(who=st.sampled_from(PEOPLE), reason=st.sampled_from(HoldReason), crew=st.sampled_from(CREWS))
    def ask_off(self, who: Actor, reason: HoldReason, crew: tuple[str, str]) -> None:
        tag, name = crew if reason is HoldReason.CREW else ("", "")
        request = SupplyRequest("P", SwitchAction.DISCONNECT, reason, tag, name)
        if not rules.against_request(who, self.place, self.record, request, self.locals):
            holding = Holding(self.new_id()[-8:], reason, who.name, self.now, tag, name)
            self._ask(who, SwitchAction.DISCONNECT, holding)

    @rule(who=st.sampled_from(PEOPLE))
    def ask_on(self, who: Actor) -> None:
        request = SupplyRequest("P", SwitchAction.RECONNECT)
        if not rules.against_request(who, self.place, self.record, request, self.locals):
            self._ask(who, SwitchAction.RECONNECT, None)

    def _ask(self, who: Actor, action: SwitchAction, holding: Holding | None) -> None:
        switch = Switch(self.new_id(), action, who.name, Origin.HMI, self.now, self.now + CONFIRM, holding)
        self.record = steps.requested(self.record, switch)

    @rule(who=st.sampled_from(PEOPLE))
    def confirm(self, who: Actor) -> None:
        switch = self.record.switch
        if switch and not rules.against_confirmation(who, self.place, self.record, switch.id, self.now, self.locals):
            assert who.name != switch.requested_by
            ids = [bytes.fromhex(self.new_id()) for _ in range(3)]
            self.record = steps.confirmed(self.record, who.name, self.now, self.now + LIFE, ids)

    @rule(who=st.sampled_from(PEOPLE))
    def withdraw(self, who: Actor) -> None:
        switch = self.record.switch
        if switch and not rules.against_withdrawal(who, self.place, self.record, switch.id):
            self.record = steps.withdrawn(self.record, self.now, "")

    @rule(crew=st.sampled_from(CREWS))
    def hold(self, crew: tuple[str, str]) -> None:
        holding = Holding(self.new_id()[-8:], HoldReason.CREW, "ana", self.now, *crew)
        if not rules.against_holding(PEOPLE[0], self.place, self.record, holding):
            self.record = steps.held(self.record, holding)

    @rule(crew=st.sampled_from(CREWS))
    def hold_whatever_the_rules_say(self, crew: tuple[str, str]) -> None:
        """The record itself must keep a reconnection from going on, should a rule ever be missing."""
        switch = self.record.switch
        if switch and switch.action is SwitchAction.RECONNECT and switch.state is SwitchState.CONFIRMED:
            self.record = steps.held(self.record, Holding(self.new_id()[-8:], HoldReason.CREW, "ana", self.now, *crew))

    @precondition(lambda self: self.record.holders)
    @rule(who=st.sampled_from(PEOPLE), crew=st.sampled_from(CREWS), note=st.sampled_from(["", "looked"]), data=st.data())
    def release(self, who: Actor, crew: tuple[str, str], note: str, data: st.DataObject) -> None:
        holding = data.draw(st.sampled_from(self.record.holders))
        if rules.against_release(who, self.place, self.record, holding.id, *crew, note):
            return
        if holding.reason is HoldReason.CREW:
            assert crew == (holding.tag, holding.name) or (who.role is Role.ADMINISTRATOR and note)
        self.record = steps.released(self.record, holding.id)

    @rule(here=st.booleans())
    def say(self, here: bool) -> None:
        self.locals = {"area:north": Local("area:north", "ion", self.now)} if here else {}

    # ------------------------------------------------------------------------------------- server and link
    @rule(breaks=st.sampled_from(["no", "before", "after"]))
    def send(self, breaks: str) -> None:
        """As `sender` does: on disk as sent, looked at once more, handed over; the link may break at either side of it."""
        if steps.obstacle(self.record, self.now) or rules.remote(self.place, self.locals):
            return
        if self.record.switch is None or self.record.switch.state is not SwitchState.CONFIRMED:
            return
        self.record = steps.sending(self.record, self.now)
        switch, step = self.record.switch, self.record.switch.step if self.record.switch else None
        assert switch is not None
        assert step is not None
        if breaks != "before":
            self.ctr += 1
            self.sent.append((switch.action, switch.not_after, self.now, bool(self.record.holders)))
            self.down.append(Frame(step.command_id, switch.action, step.holder, switch.not_after, self.ctr))
            self.known.add(step.command_id)
        if breaks == "no":
            self.record = steps.accepted(self.record, self.now)
        else:
            self.record = steps.unsure(self.record, self.now, "broke")

    @rule()
    def restart(self) -> None:
        self.record = steps.restarted(self.record, self.now)

    @rule()
    def concentrator_forgets(self) -> None:
        self.known.clear()

    @rule()
    def ask_what_became(self) -> None:
        step = self.record.switch.step if self.record.switch else None
        if self.record.switch and self.record.switch.state is SwitchState.ASKING and step:
            known = step.command_id in self.known
            self.record = (steps.accepted if known else steps.never_came)(self.record, self.now)

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def tick(self) -> None:
        self.record = steps.passed(self.record, self.now, GRACE)

    # ------------------------------------------------------------------------------------------------- field
    @precondition(lambda self: self.down)
    @rule(lost=st.booleans(), data=st.data())
    def arrives(self, lost: bool, data: st.DataObject) -> None:
        frame = self.down.pop(data.draw(st.integers(0, len(self.down) - 1)))
        before = self.module.supplied
        answer = self.module.hear(frame, self.now)
        if self.module.supplied and not before:
            assert not self.valve
        if not lost:
            self.up.append((frame.command_id, answer, self.module.supplied and frame.action is SwitchAction.RECONNECT))

    @precondition(lambda self: self.up)
    @rule()
    def reported(self) -> None:
        command_id, answer, supplied = self.up.pop(0)
        step = self.record.switch.step if self.record.switch else None
        if answer in ("OK", "HELD"):
            self.record = steps.executed(
                self.record, command_id, self.now, still_held=answer == "HELD", supplied=supplied and answer == "OK"
            )
        elif step and step.command_id == command_id:
            self.record = steps.refused(self.record, self.now, answer)

    @precondition(lambda self: self.valve and not self.module.supplied and not self.module.holders)
    @rule()
    def hand_opens(self) -> None:
        self.module.supplied = self.opened_by_hand = True
        self.up.append((self.module.let_go, "OK", True))

    # --------------------------------------------------------------------------------------------- promises
    @invariant()
    def nothing_is_sent_too_late_and_nothing_returns_what_is_held(self) -> None:
        for action, not_after, when, held in self.sent:
            assert when < not_after
            assert not (action is SwitchAction.RECONNECT and held)

    @invariant()
    def a_valve_is_open_again_only_by_a_hand(self) -> None:
        if self.valve and self.record.state is SupplyState.ON:
            assert self.opened_by_hand

    @invariant()
    def what_is_said_to_be_off_is_off(self) -> None:
        """The one thing that a crew reads before it reaches for the wires. A hand may be at the valve that was let go."""
        if self.record.state is SupplyState.OFF and not self.record.by_hand:
            assert not self.module.supplied

    @invariant()
    def it_takes_two(self) -> None:
        switch = self.record.switch
        if switch and switch.steps:
            assert switch.confirmed_by
            assert switch.confirmed_by != switch.requested_by


class ContactorMachine(SupplyMachine):
    pass


class ValveMachine(SupplyMachine):
    valve = True


ONCE = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestContactor = ContactorMachine.TestCase
TestContactor.settings = ONCE
TestValve = ValveMachine.TestCase
TestValve.settings = ONCE


# --------------------------------------------------------------------------------------------- one by one
def off(record: Record, reason: HoldReason, at: int = 1000) -> Record:
    """A supply that two persons have switched off."""
    switch = Switch("a" * 32, SwitchAction.DISCONNECT, "ana", Origin.HMI, at, at + CONFIRM,
                    Holding("aa", reason, "ana", at, "T1", "Rusu"))
    record = steps.confirmed(steps.requested(record, switch), "ion", at, at + LIFE, [bytes([at % 251]) * 16])
    record = steps.accepted(steps.sending(record, at), at)
    assert record.switch is not None
    return steps.executed(record, record.switch.steps[0].command_id, at, still_held=False, supplied=False)


def test_a_reconnection_lets_every_holder_in_the_module_go_one_by_one() -> None:
    record = off(off(Record("P"), HoldReason.DEBT), HoldReason.DANGER, 1001)
    for holding in record.holders:
        record = steps.released(record, holding.id)
    record = off_for_all(record)

    assert record.in_module == {"DEBT", "DANGER"}

    switch = Switch("b" * 32, SwitchAction.RECONNECT, "ana", Origin.HMI, 1002, 1050)
    record = steps.confirmed(steps.requested(record, switch), "ion", 1002, 1040, [bytes([one]) * 16 for one in (7, 8, 9)])
    holders = []
    while record.switch and (step := record.switch.step):
        holders.append(step.holder)
        record = steps.accepted(steps.sending(record, 1003), 1003)
        last = len(holders) == 2
        record = steps.executed(record, step.command_id, 1004, still_held=not last, supplied=last)

    assert holders == ["DANGER", "DEBT"]
    assert (record.state, record.in_module) == (SupplyState.ON, frozenset())


def off_for_all(record: Record) -> Record:
    """Nobody holds it any more."""
    return attrs.evolve(record, holders=())


def test_a_second_holder_does_not_begin_the_silence_of_the_meter_anew() -> None:
    first = steps.counted(off(Record("P"), HoldReason.DEBT), Effect.CONFIRMED, 0)
    both = off(first, HoldReason.CREW, 1000 + DAY_NS)

    assert (both.since, both.effect) == (1000, Effect.CONFIRMED)
    assert len(both.holders) == 2


def test_what_the_module_still_holds_is_said_and_is_not_on() -> None:
    """A crew on site may have its own lock-out in the module, of which this server knows nothing."""
    record = off_for_all(off(Record("P"), HoldReason.DEBT))
    switch = Switch("b" * 32, SwitchAction.RECONNECT, "ana", Origin.HMI, 1002, 1050)
    record = steps.confirmed(steps.requested(record, switch), "ion", 1002, 1040, [b"x" * 16])
    record = steps.executed(steps.sending(record, 1003), b"x" * 16, 1004, still_held=True, supplied=False)

    assert record.state is SupplyState.OFF
    assert record.switch is not None
    assert record.switch.reason == steps.HELD_IN_MODULE


def test_a_valve_is_on_when_the_field_says_that_a_hand_opened_it_and_not_before() -> None:
    record = off_for_all(off(Record("P"), HoldReason.LEAK))
    switch = Switch("b" * 32, SwitchAction.RECONNECT, "ana", Origin.HMI, 1002, 1050)
    record = steps.confirmed(steps.requested(record, switch), "ion", 1002, 1040, [b"x" * 16])
    let_go = steps.executed(steps.sending(record, 1003), b"x" * 16, 1004, still_held=False, supplied=False)
    opened = steps.executed(let_go, b"x" * 16, 2000, still_held=False, supplied=True)
    strange = steps.executed(let_go, b"y" * 16, 2000, still_held=False, supplied=True)

    assert (let_go.state, let_go.by_hand) == (SupplyState.OFF, True)
    assert (opened.state, opened.by_hand, opened.since) == (SupplyState.ON, False, 2000)
    assert strange == let_go


def test_a_disconnected_supply_that_comes_back_by_itself_is_not_said_to_be_off() -> None:
    """Somebody on site switched it on: whoever holds it must hear of it."""
    record = off(Record("P"), HoldReason.DEBT)
    assert record.switch is not None
    back = steps.executed(record, record.switch.steps[0].command_id, 2000, still_held=False, supplied=True)

    assert back.state is SupplyState.ON
    assert back.holders == record.holders
    assert back.switch is not None
    assert back.switch.reason == steps.ON_AGAIN
