"""A truth file that cannot be written ends the simulation with a sentence: a test must never trust half a truth."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("history", ["0", "3"], ids=["while it runs", "before it starts"])
def test_a_full_disk_under_the_truth_file_ends_the_process_with_one_sentence(tmp_path: Path, history: str) -> None:
    """/dev/full takes nothing: exit status 1, the reason on one line, no traceback."""
    ended = subprocess.run(
        [
            sys.executable, "-m", "scada", "simulate", "--server", "127.0.0.1:9", "--modbus-port", "0", "--speed", "600",
            "--start", "2026-03-01T05:59:50Z", "--keys", str(tmp_path / "keys.json"), "--truth", "/dev/full",
            "--history", history,
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )

    assert ended.returncode == 1
    assert "truth file" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
