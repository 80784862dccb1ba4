"""A dispatcher who clicks anything, a field that loses what it likes, a server that dies at will: the limits hold.

The field here is the truth: modules execute late, reports get lost, frames get lost, but a module obeys `off_for`,
`not_after` and the order of commands (dmlp: a counter that only grows). What it does not do is keep limits: those are
what the desk is tested for.
"""

import itertools
import tempfile
from pathlib import Path

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred

from scada.clock import NS
from scada.commands import Action, CommandState, GroupOrder, LoadClass, MemberReport, MemberState, RetryOrder, ShedRequest
from scada.errors import CommandRejected, LinkError
from tests.dr_dispatch.fakes import ANNA, EVERYBODY, LINKS, Bench, FakeGateway, done, link_of, site

CLASS_LIMIT_S = 900
MIN_ON_S = 1800
WINDOW_S = CLASS_LIMIT_S + MIN_ON_S
recent = st.integers(0, 3)              # ids are random, so nothing may be drawn from them: only how far back


class Field(FakeGateway):
    """What really happens to orders, and to the loads."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.lose_frames = False
        self.delivered: dict[tuple[bytes, int], GroupOrder] = {}
        self.forgotten: set[tuple[bytes, int]] = set()
        self.sequence: dict[tuple[bytes, int], int] = {}        # the counter in the command
        self.last: dict[int, int] = {}                          # per module: newest counter executed
        self.executed: dict[tuple[bytes, int], int] = {}        # (command, module) -> when
        self.refused: set[tuple[bytes, int]] = set()
        self.off: dict[int, list[list[int]]] = {eui: [] for eui in EVERYBODY}      # [begin, end) in ns
        self.retried: list[tuple[int, RetryOrder, bool, bool, set[int]]] = []
        self.told_executed: set[tuple[bytes, int]] = set()
        self.sent: list[tuple[int, GroupOrder, tuple[str, ...]]] = []

    def send(self, order: GroupOrder):  # type: ignore[no-untyped-def]
        forbidden = tuple(
            load.title
            for load in self.bench.registry.directory.site.loads
            if load.eui in {eui for _, eui in order.members}
            and (load.load_class is LoadClass.RED or load.never
                 or self.bench.registry.directory.consumer[load.consumer].protected)
        )
        self.sent.append((self.bench.clock.now(), order, forbidden))
        key = (order.command_id, order.link_id)
        if not self.lose_frames:
            self.delivered[key] = order
            self.sequence[key] = len(self.sent)
        return super().send(order)

    def accept(self) -> None:
        """Of those that arrived; whoever never heard of its order cannot say yes to it."""
        pending, self.pending = self.pending, []
        for order, answer in pending:
            if (order.command_id, order.link_id) in self.delivered:
                answer.callback(None)
            else:
                answer.errback(LinkError(f"{order.link_id:08x}", "no answer"))

    def retry(self, order: RetryOrder):  # type: ignore[no-untyped-def]
        whole = self.bench.registry.directory.site
        protected = {load.eui for load in whole.loads if self.bench.registry.directory.consumer[load.consumer].protected}
        never = {load.eui for load in whole.loads if load.never or load.load_class is LoadClass.RED}
        told = {eui for _, eui in order.members}
        back = any(one.restores == order.command_id for one in self.bench.desk._book.all())
        first = self.delivered.get((order.command_id, order.link_id))
        self.retried.append((
            self.bench.clock.now(), order, bool(told & (protected | never)) and first is not None and
            first.action is Action.SHED, back, {eui for eui in told if (order.command_id, eui) in self.told_executed},
        ))
        return super().retry(order)

    def recent(self, back: int) -> GroupOrder:
        return list(self.delivered.values())[-1 - back % len(self.delivered)]

    def inquire(self, command_id: bytes, link_id: int):  # type: ignore[no-untyped-def]
        self.knows = (command_id, link_id) in self.delivered and (command_id, link_id) not in self.forgotten
        answer = super().inquire(command_id, link_id)
        self.again(command_id, link_id)
        return answer

    def again(self, command_id: bytes, link_id: int) -> None:
        """The concentrator repeats what it knows."""
        order = self.delivered.get((command_id, link_id)) if self.knows else None
        for _, eui in order.members if order else ():
            if (command_id, eui) in self.executed:
                self.tell(command_id, eui, MemberState.EXECUTED, self.executed[command_id, eui])

    def execute(self, order: GroupOrder, eui: int) -> bool:
        """A module hears an order now."""
        key, now = (order.command_id, eui), self.bench.clock.now()
        newer = self.sequence[order.command_id, order.link_id]
        if now >= order.not_after * NS or key in self.executed or key in self.refused or newer < self.last.get(eui, 0):
            return False
        self.last[eui], self.executed[key] = newer, now
        spans = self.off[eui]
        if order.action is Action.SHED:
            spans.append([now, now + order.off_for_s * NS])
        elif spans and spans[-1][1] > now:
            spans[-1][1] = now
        return True

    def tell(self, command_id: bytes, eui: int, state: MemberState, at: int, reason: str = "") -> None:
        if state is MemberState.EXECUTED:
            self.told_executed.add((command_id, eui))
        for listener in tuple(self.reports):
            listener([MemberReport(command_id, link_of(eui), eui, state, reason, at)])


class Dispatching(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name), start=False, selection_seconds=900)
        self.field = Field(self.bench)
        self.bench.gateway = self.field
        self.bench.desk = self.bench._desk()
        done(self.bench.desk.start())
        self.selections: list[str] = []
        self.of_selection: dict[str, set[str]] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    # ------------------------------------------------------------------ people
    @rule(group=st.sampled_from(["LG-Y", "LG-2"]), off_for=st.sampled_from([0, 60, 300, 899, 900, 901, 99999]))
    def select(self, group: str, off_for: int) -> None:
        self.bench.measure()
        try:
            self.selections.append(done(self.bench.desk.select(ANNA, ShedRequest(group, off_for))).id)
        except CommandRejected:
            return
        assert 0 < off_for <= CLASS_LIMIT_S

    @precondition(lambda self: self.selections)
    @rule(back=recent)
    def execute(self, back: int) -> None:
        self.bench.measure()
        selection = self.selections[-1 - back % len(self.selections)]
        try:
            status = done(self.bench.desk.execute(ANNA, selection))
        except CommandRejected:
            return
        self.of_selection.setdefault(selection, set()).add(status.id)

    @rule(group=st.sampled_from(["LG-Y", "LG-2"]), off_for=st.sampled_from([300, 900, 901]))
    def shed(self, group: str, off_for: int) -> None:
        self.select(group, off_for)
        if self.selections:
            self.execute_newest(0)

    @precondition(lambda self: self.selections)
    @rule(meanwhile=st.sampled_from([0, 301]), what=st.sampled_from(["red", "never", "protected", "as it was"]))
    def execute_on_a_slow_disk(self, meanwhile: int, what: str) -> None:
        self.execute_newest(meanwhile, what)

    def execute_newest(self, meanwhile: int, what: str = "") -> None:
        """Execute; the audit takes a while, and the world goes on."""
        append, slow = self.bench.audit.append, Deferred()
        if meanwhile or what:
            self.bench.audit.append = lambda *_args, **_detail: slow  # type: ignore[method-assign]
        selection = self.selections[-1]
        running = self.bench.desk.execute(ANNA, selection)
        running.addCallbacks(lambda status: self.of_selection.setdefault(selection, set()).add(status.id), lambda _: None)
        self.bench.audit.append = append  # type: ignore[method-assign]
        self.bench.time.advance(meanwhile)
        self.bench.measure()
        if what:
            self.engineer(0, what)
        slow.callback(None)

    @precondition(lambda self: self.bench.desk.commands())
    @rule(back=recent)
    def restore(self, back: int) -> None:
        commands = self.bench.desk.commands()
        status = commands[back % len(commands)]
        try:
            done(self.bench.desk.restore(ANNA, status.id))
        except CommandRejected:
            return

    @rule(number=st.integers(0, 5), what=st.sampled_from(["as it was", "as it was", "red", "never", "protected"]))
    def engineer(self, number: int, what: str) -> None:
        whole = site()
        loads, consumers = list(whole.loads), list(whole.consumers)
        if what == "protected":
            consumers[number] = attrs.evolve(consumers[number], protected=True)
        elif what == "red":
            loads[number] = attrs.evolve(loads[number], load_class=LoadClass.RED)
        elif what == "never":
            loads[number] = attrs.evolve(loads[number], never=True)
        self.bench.registry.become(attrs.evolve(whole, loads=tuple(loads), consumers=tuple(consumers)))

    # --------------------------------------------------------------- the field
    @precondition(lambda self: self.field.delivered)
    @rule(back=recent, told=st.booleans(), everybody=st.booleans())
    def module_executes(self, back: int, told: bool, everybody: bool) -> None:
        order = self.field.recent(back)
        members = [eui for _, eui in order.members]
        for eui in members if everybody else members[:1]:
            if self.field.execute(order, eui) and told:
                self.field.tell(order.command_id, eui, MemberState.EXECUTED, self.bench.clock.now())

    @precondition(lambda self: self.field.delivered)
    @rule(back=recent, number=st.integers(0, 2))
    def module_refuses(self, back: int, number: int) -> None:
        order = self.field.recent(back)
        eui = order.members[number % len(order.members)][1]
        if (order.command_id, eui) not in self.field.executed:
            self.field.refused.add((order.command_id, eui))
            self.field.tell(order.command_id, eui, MemberState.REFUSED, self.bench.clock.now(), "INTERLOCK")

    @rule(what=st.sampled_from(["accept", "lose"]))
    def concentrators_answer(self, what: str) -> None:
        getattr(self.field, what)()

    @rule(link=st.sampled_from(LINKS), up=st.sampled_from([True, True, False]))
    def link(self, link: int, up: bool) -> None:
        self.field.link(link, up)

    @rule(link=st.sampled_from(LINKS))
    def concentrator_starts_anew(self, link: int) -> None:
        """And has forgotten every command; its modules have not."""
        self.field.link(link, False)
        self.field.boots[link] += 1
        self.field.forgotten |= {key for key in self.field.delivered if key[1] == link}
        self.field.link(link, True)

    @rule(lose=st.sampled_from([False, False, True]))
    def frames(self, lose: bool) -> None:
        self.field.lose_frames = lose

    # -------------------------------------------------------- time and the server
    @rule(seconds=st.sampled_from([1, 30, 125, 299, 300, 301, 700, 1800, 2100]))
    def wait(self, seconds: int) -> None:
        for _ in range(0, seconds, 60):
            self.bench.time.advance(min(60, seconds))

    @rule()
    def restart(self) -> None:
        self.bench.restart()

    @precondition(lambda self: self.selections)
    @rule()
    def die_while_writing(self) -> None:
        self.bench.measure()
        self.bench.pool.crash_after = self.bench.pool.jobs + 1
        self.bench.desk.execute(ANNA, self.selections[-1]).addErrback(lambda _: None)
        self.bench.restart()

    @rule(trusted=st.sampled_from([True, True, True, False]))
    def clock(self, trusted: bool) -> None:
        self.bench.trusted = trusted

    # --------------------------------------------------------------- promises
    @invariant()
    def no_load_is_off_longer_than_its_class_allows(self) -> None:
        for spans in self.field.off.values():
            for begin, end in spans:
                assert end - begin <= CLASS_LIMIT_S * NS

    @invariant()
    def every_load_rests_between_two_sheds(self) -> None:
        for spans in self.field.off.values():
            for (_, end), (begin, _) in itertools.pairwise(spans):
                assert begin - end >= MIN_ON_S * NS

    @invariant()
    def nothing_red_never_or_protected_is_sent(self) -> None:
        assert all(order.action is Action.RESTORE or not forbidden for _, order, forbidden in self.field.sent)

    @invariant()
    def nothing_is_sent_late_or_twice_or_by_an_untrusted_clock(self) -> None:
        assert all(at < order.not_after * NS for at, order, _ in self.field.sent)
        keys = [(order.command_id, order.link_id) for _, order, _ in self.field.sent]
        assert len(keys) == len(set(keys))

    @invariant()
    def a_retry_is_in_time_and_only_for_the_silent_and_never_for_the_protected_or_after_a_restore(self) -> None:
        for at, order, forbidden, restored, executed in self.field.retried:
            assert at < order.not_after * NS
            assert not forbidden
            assert not restored
            assert not executed
            assert (order.command_id, order.link_id) in self.field.delivered

    @invariant()
    def one_selection_is_one_command(self) -> None:
        assert all(len(commands) == 1 for commands in self.of_selection.values())

    @invariant()
    def no_command_is_over_while_its_loads_are_off(self) -> None:
        now = self.bench.clock.now()
        for status in self.bench.desk.commands():
            if status.action is Action.SHED and status.state in (CommandState.CLOSED, CommandState.FAILED):
                for result in status.members:
                    began = self.field.executed.get((bytes.fromhex(status.id), result.member.eui))
                    span = next((one for one in self.field.off[result.member.eui] if one[0] == began), None)
                    assert span is None or span[1] <= now

    @invariant()
    def what_the_desk_says_was_executed_was_executed(self) -> None:
        for status in self.bench.desk.commands():
            for result in status.members:
                if result.state is MemberState.EXECUTED:
                    assert (bytes.fromhex(status.id), result.member.eui) in self.field.executed


TestDispatching = Dispatching.TestCase
TestDispatching.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_the_field_of_this_test_can_break_the_limits() -> None:
    """The machine would notice: modules here keep no limit by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), start=False)
        field = Field(bench)
        members = ((1, EVERYBODY[0]),)
        order = GroupOrder(b"1" * 16, LINKS[0], 1, 1, Action.SHED, LoadClass.YELLOW, 5000, 2**40, 0, 1, members)
        field.send(order)
        assert field.execute(order, EVERYBODY[0])
        assert field.off[EVERYBODY[0]][0][1] - field.off[EVERYBODY[0]][0][0] > CLASS_LIMIT_S * NS
