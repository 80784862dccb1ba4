"""Processes that need not import anything: each is the fork of one that has imported the server and done nothing else.

A start of the server is seconds of imports, and the system tests start it some two hundred times. What is told to begin
is `scada` with its words, in a session of its own, exactly as after `python -m scada`, but for the imports. How a start
from nothing goes is tested where starts are (`test_start_and_stop.py`, `test_demo.py`).
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
IMPORTED: Final = ("scada.app", "scada.cli.run", "scada.simulate.app", "scada.simulate.cli")


class Nursery:
    """The tests' side: asks for processes and for how they ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, words: tuple[str, ...], output: Path, env: dict[str, str]) -> "Forked":
        output.touch()                                      # whoever looks for it may be faster
        return Forked(self, self.ask(words=words, output=str(output), env=env))

    def ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Forked:
    """As much of `subprocess.Popen` as the tests use, of a process whose parent is the nursery."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        ends = None if timeout is None else time.monotonic() + timeout
        if self.poll() is None:
            watched = os.pidfd_open(self.pid)               # nobody else has its number before the nursery is asked
            try:
                select.select([watched], [], [], None if ends is None else max(0.0, ends - time.monotonic()))
            finally:
                os.close(watched)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired("scada", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def nursery() -> Nursery:
    """One for all tests of this process; it ends with it."""
    return Nursery()


class Process:
    """A `scada` command whose output is kept in a file; `from_nothing`: Python's own start and all imports too."""

    def __init__(
        self, folder: Path, name: str, *words: str, env: dict[str, str] | None = None, from_nothing: bool = False
    ) -> None:
        self.output_file = folder / f"{name}.log"
        environment = {**os.environ, **(env or {})}
        self.popen: subprocess.Popen[bytes] | Forked
        if not from_nothing:
            self.popen = nursery().begin(words, self.output_file, environment)
            return
        with self.output_file.open("ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "scada", *words], stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env=environment,
            )

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def alive(self) -> bool:
        return self.popen.poll() is None

    def stop(self, number: int = signal.SIGTERM, limit: float = 30.0) -> int:
        """Ask it to end; its exit status. A process that does not end is killed and fails the test."""
        if self.alive():
            self.popen.send_signal(number)
        try:
            return self.popen.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            raise AssertionError(f"did not stop within {limit} s:\n{self.output[-3000:]}") from None

    def kill(self) -> None:
        """kill -9 of the process and of whatever it started."""
        if self.alive():
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait()


# ------------------------------------------------------------------ the nursery
def rear() -> list[str]:
    """Serve until the tests have gone; returns in each process that is begun, with its words."""
    children: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if "ended" in asked:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            children.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif answer := os.fork():
            children.add(answer)
        else:
            _stand_alone(asked)
            return list(asked["words"])
        print(json.dumps(answer), flush=True)
    for child in children:
        os.killpg(child, signal.SIGKILL)
    os._exit(0)


def _stand_alone(asked: dict[str, Any]) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(asked["env"])


if __name__ == "__main__":
    import gc
    from importlib import import_module

    gc.disable()
    for module in IMPORTED:
        import_module(module)
    assert "twisted.internet.reactor" not in sys.modules, "whoever starts chooses the reactor"
    gc.freeze()
    arguments = rear()
    gc.enable()
    sys.argv = ["scada", *arguments]
    from scada.cli import main

    main()
