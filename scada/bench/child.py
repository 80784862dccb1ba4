"""Where a process of a measurement begins: it ends with the one that measures, however that ended."""

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    """Our standard input is a pipe that the parent holds and never writes to."""
    while os.read(0, 4096):                                 # not through `sys.stdin`, whose lock would break our own end
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(f"scada.bench.{sys.argv[0]}", run_name="__main__", alter_sys=True)
