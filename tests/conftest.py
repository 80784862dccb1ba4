"""What the report says beside the dots: by which means a test was run where a machine leaves more than one."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each means that a test recorded with `record_property`."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    said: dict[tuple[str, str], int] = {}
    for report in reports:
        for means in {(name, str(value)) for name, value in report.user_properties} if report.when == "call" else ():
            said[means] = said.get(means, 0) + 1
    for (name, value), count in sorted(said.items()):
        terminalreporter.write_line(f"{name}: {value} ({count} tests)")
