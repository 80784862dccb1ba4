"""A server that dies at any moment: states are read back, the field is asked, nothing is ever sent again."""

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from scada.clock import NS
from scada.commands import CommandState, MemberState, ShedRequest
from scada.errors import CommandRejected, StartError
from tests.dr_dispatch.fakes import ANNA, EVERYBODY, LINKS, Bench, done

M = MemberState


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def die_while_writing(bench: Bench) -> Deferred[object]:
    """Execute, and lose power when the journal has the command but nobody knows yet."""
    selection = bench.select()
    bench.pool.crash_after = bench.pool.jobs + 1            # the next job is the journal's `save`
    return bench.desk.execute(ANNA, selection.id)


def test_death_between_disk_and_radio_is_asked_about_and_never_sent(bench: Bench) -> None:
    """The journal has it, no frame left: the concentrators say so, and the command has failed."""
    answers: list[object] = []
    die_while_writing(bench).addBoth(answers.append)
    assert answers == []
    assert bench.gateway.orders == []
    bench.gateway.knows = False
    bench.restart()

    status = bench.desk.commands()[0]
    assert sorted(bench.gateway.asked) == sorted((bytes.fromhex(status.id), link) for link in LINKS)
    assert bench.gateway.orders == []
    assert status.state is CommandState.FAILED
    assert {(one.state, one.reason) for one in status.members} == {(M.NOT_SENT, "never reached the concentrator")}


def test_a_concentrator_that_has_started_anew_proves_nothing_by_not_knowing(bench: Bench) -> None:
    """Its modules may have heard the command before it forgot: they count as off, and no second shed is allowed."""
    status = bench.shed()
    bench.gateway.lose()                                    # the frame arrived, its answer did not
    bench.gateway.knows = False
    for link in LINKS:
        bench.gateway.link(link, False)
        bench.gateway.boots[link] += 1
    for link in LINKS:
        bench.gateway.link(link, True)

    now = bench.now(status.id)
    assert {(one.state, one.reason) for one in now.members} == {
        (M.NO_ANSWER, "the concentrator has started anew and does not remember it")
    }
    with pytest.raises(CommandRejected, match="perhaps off"):
        bench.select()


def test_the_same_click_after_such_a_death_sends_nothing_either(bench: Bench) -> None:
    """The selection has become a command for ever, even if that command never left."""
    die_while_writing(bench)
    selection_id = next(iter(bench.desk._procedure.selections))
    bench.gateway.knows = False
    bench.restart()
    status = bench.execute(selection_id)

    assert status.state is CommandState.FAILED
    assert bench.gateway.orders == []


def test_while_nobody_can_be_asked_the_command_is_unknown_and_blocks_its_members(bench: Bench) -> None:
    """With the links down nobody knows; the members may be off, and no second shed is allowed."""
    die_while_writing(bench)
    for link in LINKS:
        bench.gateway.link(link, False)
    bench.restart()
    status = bench.desk.commands()[0]
    assert status.state is CommandState.UNKNOWN
    assert bench.gateway.asked == []
    with pytest.raises(CommandRejected, match="perhaps off"):
        bench.select()
    for link in LINKS:
        bench.gateway.link(link, True)
    assert len(bench.gateway.asked) == 2
    assert bench.now(status.id).state is CommandState.COLLECTING
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    assert bench.now(status.id).state is CommandState.ACTIVE
    assert bench.gateway.orders == []


def test_a_question_that_fails_is_asked_again(bench: Bench) -> None:
    """The link may be up and the answer lost: the question is repeated, the command is not."""
    bench.shed()
    bench.gateway.knows = None
    bench.restart()
    assert len(bench.gateway.asked) == 2
    bench.wait(30)
    assert len(bench.gateway.asked) > 4
    bench.gateway.knows = True
    bench.wait(10)
    asked = len(bench.gateway.asked)
    bench.wait(60)
    assert len(bench.gateway.asked) == asked
    assert len(bench.gateway.orders) == 2


def test_results_survive_a_restart(bench: Bench) -> None:
    """What members said is on disk; the shed ends by expiry as if nothing had happened."""
    status = bench.shed(600)
    bench.gateway.accept()
    bench.report(status.id, M.EXECUTED, *EVERYBODY[:5])
    bench.report(status.id, M.REFUSED, EVERYBODY[5], reason="INTERLOCK")
    before = bench.now(status.id)
    bench.restart()
    assert bench.now(status.id) == before
    assert bench.gateway.asked == []
    bench.wait(601)
    assert bench.now(status.id).state is CommandState.CLOSED


def test_a_command_that_ended_while_the_server_was_down_is_closed_honestly(bench: Bench) -> None:
    """Nobody can say what they did: NO_ANSWER, not "executed"."""
    status = bench.shed(600)
    bench.gateway.accept()
    bench.kill()
    bench.time.advance(4000)
    bench.restart()
    over = bench.now(status.id)

    assert over.state is CommandState.CLOSED
    assert {one.state for one in over.members} == {M.NO_ANSWER}
    assert bench.gateway.asked == []


def test_limits_are_kept_across_a_restart(bench: Bench) -> None:
    """Minimum on-time counts from before the server died, and across groups."""
    status = bench.shed(600)
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.wait(700)
    bench.restart()
    with pytest.raises(CommandRejected, match="minimum on-time"):
        bench.select()
    with pytest.raises(CommandRejected, match="minimum on-time"):
        bench.select(group="LG-2")
    bench.wait(1800)
    assert bench.select().members


def test_open_selections_die_with_the_server(bench: Bench) -> None:
    """A review is not durable: after a restart one looks again."""
    selection = bench.select()
    bench.restart()
    with pytest.raises(CommandRejected, match="select again"):
        bench.execute(selection)


def test_reports_about_nobody_are_counted(bench: Bench) -> None:
    """A report about a command this server never made changes nothing."""
    bench.report("00" * 16, M.EXECUTED, EVERYBODY[0])

    assert next(iter(bench.desk.health())).figures["stray_reports"] == 1


def test_a_journal_that_is_no_journal_is_a_start_error(tmp_path: Path) -> None:
    """A clear sentence, and the file stays as it is."""
    (tmp_path / "commands.sqlite").write_bytes(b"this is not a database, but it is long enough to be looked at" * 20)
    with pytest.raises(StartError, match=r"commands.sqlite.*cannot be opened"):
        Bench(tmp_path)
    assert (tmp_path / "commands.sqlite").read_bytes().startswith(b"this is not")


def test_a_data_folder_that_cannot_be_made_is_a_start_error(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartError, match="dispatch"):
        Bench(tmp_path / "data" / "deeper")


def test_old_commands_leave_the_memory_and_stay_on_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; an old selection is still recognised."""
    monkeypatch.setattr("scada.dr_dispatch.book.NEWEST", 1)
    selection = bench.select(60)
    first = bench.execute(selection)
    bench.gateway.refuse("DENIED")
    bench.time.advance(200_000)
    bench.measure()
    bench.shed(60)
    bench.gateway.refuse("DENIED")
    bench.time.advance(200_000)
    assert bench.desk.command(first.id) is None
    assert bench.execute(selection.id).id == first.id


def test_a_second_desk_cannot_make_two_commands_of_one_selection(bench: Bench) -> None:
    """The database itself refuses it."""
    selection = bench.select()
    bench.execute(selection)
    bench.gateway.refuse("DENIED")
    bench.desk._procedure.selections[selection.id] = selection        # as if the desk had forgotten
    orders = len(bench.gateway.orders)
    with pytest.raises(CommandRejected, match="nothing was sent"):
        bench.execute(selection)

    assert len(bench.gateway.orders) == orders
    assert done(bench.desk.select(ANNA, ShedRequest("LG-Y", 600))).made >= selection.made
    assert selection.expires - selection.made == bench.settings.selection_seconds * NS
