"""Where a process of a measurement begins: it ends with the one that measures, however that ended."""

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    """Our standard input is a pipe that the parent holds and never writes to."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(f"scada.bench.dmesh.{sys.argv[0]}", run_name="__main__", alter_sys=True)
