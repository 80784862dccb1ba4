"""The measured loop: a turn that is too long is seen, its length is right, and waiting is not counted."""

import asyncio
import faulthandler
import selectors
import socket
import tempfile
import threading
import time

import pytest

from scada.loop import AT_ONCE, LoopWatch, MeasuredSelector, stack_of


def run(
    steps: list[float], watch: bool = False, wait: float = 0.03
) -> tuple[MeasuredSelector, tuple[float, float], LoopWatch]:
    """Run callbacks that hold the loop for `steps` seconds each, with real waits between them."""
    selector = MeasuredSelector()
    loop = asyncio.SelectorEventLoop(selector)
    watcher = LoopWatch(selector)

    async def live() -> None:
        await asyncio.sleep(0.05)
        selector.take()
        selector.long_turns = 0
        for step in steps:
            hold(step)
            await asyncio.sleep(wait)

    if watch:
        watcher.start()
    loop.run_until_complete(live())
    longest = selector.take()
    watcher.stop()
    loop.close()
    return selector, longest, watcher


def hold(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def test_a_long_turn_is_measured_and_counted() -> None:
    """One callback of 60 ms is one long turn of at least that length; the waits around it are not."""
    selector, (wall, processor), _ = run([0.0, 0.06, 0.0])

    assert wall >= 60
    assert 0 < processor <= wall + 1
    assert selector.long_turns >= 1


def test_a_loop_that_only_waits_has_no_long_turn() -> None:
    """Sleeping is what a loop is for."""
    _, (wall, _), _ = run([0.0], wait=1.0)

    assert wall < 900                       # a busy machine may keep us from running, but not for all of that second


def test_the_watch_names_who_held_the_loop() -> None:
    """File, line and function of what ran when the limit was passed."""
    _, _, watch = run([0.2], watch=True)

    assert any("hold" in place for place in watch.blockers)


def test_news_of_many_files_is_many_turns_and_nobody_is_overtaken() -> None:
    """Five hundred sockets become readable at once: each turn takes some, all are served before any comes twice."""
    selector = MeasuredSelector()
    pairs = [socket.socketpair() for _ in range(500)]
    try:
        for number, (ours, theirs) in enumerate(pairs):
            selector.register(ours, selectors.EVENT_READ, number)
            theirs.send(b"x")
        looks: list[list[int]] = []
        while sum(map(len, looks)) < 1000:
            looks.append([key.data for key, _ in selector.select(0)])
    finally:
        selector.close()
        for pair in pairs:
            pair[0].close()
            pair[1].close()
    served = [number for look in looks for number in look]

    assert max(map(len, looks)) <= AT_ONCE
    assert sorted(served[:500]) == list(range(500))
    assert sorted(served[500:1000]) == list(range(500))     # nobody read: all of them again


def test_whoever_left_in_between_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was closed in an earlier turn has no news in a later one."""
    monkeypatch.setattr("scada.loop.LONG_S", 3600.0)        # a busy machine makes a turn long, and the next one smaller
    selector = MeasuredSelector()
    pairs = [socket.socketpair() for _ in range(2 * AT_ONCE)]
    for number, (ours, theirs) in enumerate(pairs):
        selector.register(ours, selectors.EVENT_READ | selectors.EVENT_WRITE, number)
        theirs.send(b"x")
    first = {key.data for key, _ in selector.select(0)}
    rest = [number for number in range(2 * AT_ONCE) if number not in first]
    for number in rest[::2]:
        selector.unregister(pairs[number][0])
    for number in rest[1::2]:
        selector.modify(pairs[number][0], selectors.EVENT_WRITE, number)
    second = {key.data: happened for key, happened in selector.select(0)}
    selector.close()
    for pair in pairs:
        pair[0].close()
        pair[1].close()

    assert second == dict.fromkeys(rest[1::2], selectors.EVENT_WRITE)


def test_a_stack_is_found_in_what_the_interpreter_writes() -> None:
    """Innermost first, and of the thread that is asked for."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        stack = stack_of(f"0x{threading.get_ident():016x}", file.read())

    assert stack[0][0] == __file__
    assert stack[0][2] == "test_a_stack_is_found_in_what_the_interpreter_writes"
    assert len(stack) > 3


def test_news_of_a_file_that_is_gone_is_not_handed_to_whoever_has_its_number_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that is under way would be taken for a connection, because an earlier file of that number was writable."""
    monkeypatch.setattr("scada.loop.LONG_S", 3600.0)        # a busy machine makes a turn long, and the next one smaller
    selector = MeasuredSelector()
    pairs = [socket.socketpair() for _ in range(2 * AT_ONCE)]
    for number, (ours, _) in enumerate(pairs):
        selector.register(ours, selectors.EVENT_WRITE, number)
    first = {key.data for key, _ in selector.select(0)}
    gone = next(number for number in range(2 * AT_ONCE) if number not in first)
    selector.unregister(pairs[gone][0])
    selector.register(pairs[gone][0], selectors.EVENT_WRITE, "another")
    second = {key.data for key, _ in selector.select(0)}
    selector.close()
    for pair in pairs:
        pair[0].close()
        pair[1].close()

    assert "another" not in second
    assert len(second) == AT_ONCE - 1
