"""In which order files are run, and what the report says beside the dots."""

import gc
import os
from typing import Any, Final

import pytest

LONG: Final = (                             # files of minutes, not of seconds; the longest first
    "tests/simulate/test_faults", "tests/hmi/test_browser", "tests/system/test_browser", "tests/system/test_faults_influx",
    "tests/system/test_slice", "tests/system/test_start", "tests/system/test_break", "tests/system/",
    "tests/historian/test_away", "tests/simulate/",
)

MANY_FILES: Final = 300                     # open in one process: what tests left in circles holds most of them


def pytest_runtest_logfinish() -> None:
    """Let go of files that only garbage holds: a library that waits with select() ends the process at the 1024th."""
    if len(os.listdir("/proc/self/fd")) > MANY_FILES:
        gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first: what is short fills the gaps at the end, where a worker would wait for the others."""
    items.sort(key=lambda item: next((n for n, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """By which means a test was run where a machine leaves more than one: a line for each `record_property`."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    said: dict[tuple[str, str], int] = {}
    for report in reports:
        for means in {(name, str(value)) for name, value in report.user_properties} if report.when == "call" else ():
            said[means] = said.get(means, 0) + 1
    for (name, value), count in sorted(said.items()):
        terminalreporter.write_line(f"{name}: {value} ({count} tests)")
