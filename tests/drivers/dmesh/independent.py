"""The concentrator of `peer/`, a Node process that shares no code with ours, and the lines by which a test drives it."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.node import node

PEER = Path(__file__).parent / "peer"


@attrs.frozen
class Concentrator:
    """The process."""

    process: "subprocess.Popen[str]"

    def do(self, what: str, **words: Any) -> Any:
        """One act of the tester; what it says."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **words}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "the process ended"}')
        assert "error" not in answer, answer
        return answer["ok"]

    def until(self, condition: Callable[[Any], Any], what: str, limit: float = 30.0) -> Any:
        """Its own account, once `condition` holds of it."""
        ends = time.monotonic() + limit
        while time.monotonic() < ends:
            if condition(state := self.do("state")):
                return state
            time.sleep(0.05)
        raise AssertionError(f"waited {limit:.0f} s in vain for {what}: {state}")


@contextmanager
def concentrator(folder: Path, name: str = "peer", **settings: Any) -> Iterator[Concentrator]:
    """One that runs, and is not dialling yet. What it keeps is in `folder`, so that a second one goes on from there."""
    config = folder / f"{name}.json"
    state = str(folder / f"{name}.state")
    config.write_text(json.dumps({"host": "127.0.0.1", "state": state, "reconnect_ms": [50, 200], **settings}))
    words = [node(), str(PEER / "main.mjs"), str(config)]
    with (folder / f"{name}.log").open("a") as log:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield Concentrator(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
