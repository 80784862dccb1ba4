"""A command to very many: columns by concentrator in memory and on disk, bounded turns, each member in one final state."""

import itertools
import sqlite3
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import NS
from scada.columns import Pairs, Reports, reports_of
from scada.commands import CommandState, MemberReport, MemberState
from scada.dr_dispatch import blobs, lifecycle
from scada.dr_dispatch.members import Members, Progress, members_of
from scada.site import Concentrator, Load, Module, ModuleState, Site
from tests.dr_dispatch.fakes import ANNA, Bench, done, site
from tests.dr_dispatch.test_lifecycle import command, member

M = MemberState
LINKS, EACH = tuple(range(1, 41)), 30


def eui(link: int, index: int) -> int:
    return link << 16 | index


def city() -> Site:
    whole = site()
    everybody = tuple(eui(link, index) for link in LINKS for index in range(1, EACH + 1))
    return attrs.evolve(
        whole, concentrators=tuple(Concentrator(f"K{link}", link, area="north", transformer="T01") for link in LINKS),
        modules=tuple(Module(one, f"M{one}", f"K{one >> 16}", one & 0xFFFF, ModuleState.ACTIVE) for one in everybody),
        loads=tuple(Load(one, whole.loads[0].load_class, rated_w=1500.0) for one in everybody),
        meters=(), points=(), consumers=(), load_groups=(attrs.evolve(whole.load_groups[0], members=everybody),),
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, start=False)
    made.registry.become(city())
    made.gateway.up = set(LINKS)
    made.gateway.boots = dict.fromkeys(LINKS, 7)
    done(made.desk.start())
    return made


def columns(command_id: str, link: int, states: dict[int, MemberState], at: int, reason: str = "") -> Reports:
    return Reports(
        bytes.fromhex(command_id), link, at, np.array([eui(link, index) for index in states], dtype=np.uint64),
        np.array(list(states.values()), dtype=np.uint8), np.zeros(len(states), np.uint8), (reason,),
    )


def shed(bench: Bench) -> str:
    answers: list[str] = []
    bench.desk.execute(ANNA, bench.select().id).addCallback(lambda status: answers.append(status.id))
    bench.time.advance(0.1)
    bench.gateway.accept()
    bench.time.advance(1)
    return answers[0]


def test_every_member_ends_in_exactly_one_state_and_the_journal_says_the_same(bench: Bench) -> None:
    """From the desk to the last result; on disk a row for each concentrator and none for each member."""
    identity = shed(bench)
    states = {index: M.EXECUTED if index > 2 else M.REFUSED for index in range(1, EACH)}
    for link in LINKS:
        bench.gateway.reports[0](columns(identity, link, states, bench.clock.now()))
    bench.time.advance(1)
    collecting = bench.now(identity).counts
    bench.wait(420)
    answered = bench.now(identity).counts
    with sqlite3.connect(bench.path / "commands.sqlite") as database:
        rows = database.execute("SELECT count(*), count(DISTINCT command) FROM share").fetchone()
        parts = database.execute("SELECT count(*) FROM roll").fetchone()
    bench.restart()

    silent, executed, refused = len(LINKS), len(LINKS) * (EACH - 3), len(LINKS) * 2
    assert collecting == {M.ACCEPTED: silent, M.EXECUTED: executed, M.REFUSED: refused}
    assert answered == {M.NO_ANSWER: silent, M.EXECUTED: executed, M.REFUSED: refused}
    assert (*rows, *parts) == (len(LINKS), 1, len(LINKS))
    assert bench.now(identity).counts == answered
    assert sum(answered.values()) == len(bench.now(identity).members) == len(LINKS) * EACH


def test_a_large_command_ends_by_itself_some_concentrators_a_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All loads come back in the same second; the loop is not held for it."""
    monkeypatch.setattr(lifecycle, "ENDED_AT_ONCE", 7)
    steps: list[int] = []
    advance = lifecycle.advance
    monkeypatch.setattr(lifecycle, "advance", lambda one, now: (after := advance(one, now), steps.append(
        int(after.members.counts[M.RESTORED] - one.members.counts[M.RESTORED])))[0])
    identity = shed(bench)
    for link in LINKS:
        bench.gateway.reports[0](columns(identity, link, dict.fromkeys(range(1, EACH + 1), M.EXECUTED), bench.clock.now()))
    bench.time.advance(1)
    bench.wait(700)

    assert bench.now(identity).state is CommandState.CLOSED
    assert bench.now(identity).counts == {M.RESTORED: len(LINKS) * EACH}
    assert max(steps) <= 7 * EACH


def test_a_kill_in_the_middle_resumes_by_asking_and_repeats_nothing(bench: Bench) -> None:
    """Half have reported; after the restart each concentrator is asked once, and nothing is sent."""
    identity = shed(bench)
    for link in LINKS[:20]:
        bench.gateway.reports[0](columns(identity, link, dict.fromkeys(range(1, EACH + 1), M.EXECUTED), bench.clock.now()))
    bench.time.advance(1)
    sent = len(bench.gateway.orders)
    bench.restart()
    bench.time.advance(1)

    assert bench.now(identity).counts == {M.EXECUTED: 20 * EACH, M.ACCEPTED: 20 * EACH}
    assert len(bench.gateway.orders) == sent == len(LINKS)
    assert sorted(link for _, link in bench.gateway.asked) == list(LINKS[20:])


def test_while_a_person_reviews_concentrators_learn_the_group(bench: Bench) -> None:
    """Its members and its key are there before the command, and nothing is switched by that."""
    bench.select()
    bench.time.advance(1)

    assert [one[0] for one in bench.gateway.prepared] == list(LINKS)
    assert bench.gateway.prepared[0][1:3] == (1, 1)
    assert bench.gateway.prepared[0][3] == tuple((index, eui(1, index)) for index in range(1, EACH + 1))
    assert bench.gateway.orders == []


def test_monitor_only_does_not_even_prepare(tmp_path: Path) -> None:
    """Nothing is sent to the field then."""
    bench = Bench(tmp_path, monitor_only=True)
    bench.select()
    bench.time.advance(1)

    assert bench.gateway.prepared == []


def test_what_stands_alike_is_one_value() -> None:
    """Ten thousand concentrators that were sent a command cost what one costs."""
    one = command()
    rows = [Progress(attrs.evolve(member(1), link_id=link, eui=link)) for link in range(1, 200)]
    many = attrs.evolve(one, members=Members.fresh(members_of(rows).roll))
    sent = lifecycle.mark_links(many, dict.fromkeys(range(1, 200), (M.SENT, "")), 5)

    assert len({id(share) for share in sent.members.shares}) == 1
    assert sent.members.counts[M.SENT] == 199


progress = st.builds(
    lambda number, link, state, reason, times, manual: Progress(
        attrs.evolve(member(number), link_id=link, concentrator=f"C{link}", eui=link << 8 | number), state, reason, *times,
        manual=manual, tries=number % 7, tried=times[1], boot=link,
    ),
    st.integers(1, 240), st.integers(1, 3), st.sampled_from(M), st.text(max_size=9),
    st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), st.booleans(),
)


@given(st.lists(progress, min_size=1, max_size=40, unique_by=lambda one: one.member.eui))
def test_what_is_written_is_read_back_member_by_member(rows: list[Progress]) -> None:
    """Blobs of columns hold everything that rows did."""
    members, pressed = members_of(rows), blobs.press()
    roll = blobs.roll_from([blobs.part_of(members.roll, place, pressed).blob for place in range(len(members.shares))])
    shares = tuple(blobs.share_from(blobs.packed(share, pressed)) for share in members.shares)
    again = Members(roll, shares, members.boots)

    assert list(again) == list(members)
    assert {one.member.eui: one for one in again} == {one.member.eui: one for one in rows}
    assert again.counts.tolist() == members.counts.tolist()


reports = st.builds(
    MemberReport, st.sampled_from([b"a" * 16, b"b" * 16]), st.integers(1, 2), st.integers(1, 4), st.sampled_from(M),
    st.sampled_from(["", "DENIED"]), st.integers(0, 1),
)


@given(st.lists(reports, max_size=20))
def test_reports_keep_their_order_and_content_as_columns(rows: list[MemberReport]) -> None:
    """What several say one after the other stays one after the other."""
    found = reports_of(rows)

    assert list(itertools.chain.from_iterable(found)) == rows
    assert all(len(set(part.euis.tolist())) == len(part) for part in found)


def test_pairs_are_what_they_were_made_of() -> None:
    """They compare, hash and read like the tuples they stand for."""
    rows = ((1, 2**63 + 1), (240, 5))

    assert Pairs.of(rows) == rows
    assert Pairs.of(rows) == Pairs.of(list(rows))
    assert hash(Pairs.of(rows)) == hash(Pairs.of(rows))
    assert Pairs.of(rows) != Pairs.of(rows[:1])
    assert tuple(Pairs.of(rows)[1:]) == rows[1:]


def test_a_journal_with_a_row_for_each_member_is_taken_over(tmp_path: Path) -> None:
    """What an earlier version wrote goes on where it stood."""
    bench = Bench(tmp_path)
    status = bench.shed()
    bench.gateway.accept()
    before = bench.now(status.id)
    bench.kill()
    path = bench.path / "commands.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE member (command BLOB NOT NULL, eui TEXT NOT NULL, place INTEGER NOT NULL, device TEXT,"
            " concentrator TEXT, link_id INTEGER, 'index' INTEGER, title TEXT, load_class INTEGER, rated_w REAL,"
            " obstacle TEXT, state INTEGER, reason TEXT, changed INTEGER, executed INTEGER, manual INTEGER, boot INTEGER,"
            " tries INTEGER DEFAULT 0, tried INTEGER DEFAULT 0);"
            "DELETE FROM share; DELETE FROM roll; ALTER TABLE command DROP COLUMN level_w; PRAGMA user_version=2;"
        )
        for place, one in enumerate(before.members):
            database.execute(
                "INSERT INTO member VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (bytes.fromhex(status.id), f"{one.member.eui:016x}", place, one.member.device, one.member.concentrator,
                 one.member.link_id, one.member.index, one.member.title, one.member.load_class, one.member.rated_w, "",
                 one.state, one.reason, one.changed, 0, 0, 7, 1, 5 * NS),
            )
    bench.restart()

    assert bench.now(status.id).members == before.members
    assert [one.tries for one in bench.desk._book.all()[0].members] == [1] * len(before.members)
