"""The processes of a measurement: they talk by lines on their standard output, and the kernel says what they cost."""

import json
import subprocess
import sys
from typing import Any

from scada.errors import ScadaError


def process(module: str, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "scada.bench.child", module, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )


def expect(process: "subprocess.Popen[str]", word: str) -> None:
    said = _line(process)
    if said != word:
        raise ScadaError(f"a process of the measurement said {said[:200]!r}; expected {word!r}")


def json_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_line(process))
    return found


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
