"""What Linux tells about a process: its children, its command line, its memory."""

import os
import re
from pathlib import Path


def children(process: int) -> list[int]:
    """Process ids of the children, as Linux tells them."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text(encoding="ascii").split()]


def words_of(process: int) -> list[str]:
    """The command line."""
    return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")


def memory_of(process: int) -> float:
    """Resident memory. [MB]"""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="utf-8"))
    return int(found.group(1)) / 1024 if found else float("nan")


def processor_of(process: int) -> float:
    """Processor time used so far. [s]"""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
