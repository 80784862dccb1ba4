"""The measured loop: a turn that is too long is seen, its length is right, and waiting is not counted."""

import asyncio
import time

from scada.loop import LoopWatch, MeasuredSelector


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
