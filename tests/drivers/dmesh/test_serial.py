"""The same end-to-end work over real pseudo-terminals in five kinds of trouble: nothing is lost, nothing done twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
KINDS = ("normal", "a byte at a time", "lossy", "delayed", "noisy")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All lines run at once, in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.drivers.dmesh.serial_pair", str(tmp_path_factory.mktemp("serial"))],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_two_concentrators_on_one_line_deliver_obey_once_and_change_a_key(outcomes: dict[str, Any], kind: str) -> None:
    """Every record once; a shed executed once by each member; the link key changed; all of it acknowledged."""
    found = outcomes[kind]

    assert (found["records"], found["twice"]) == (found["expected"], 0)
    assert found["expected"] >= 60
    assert found["outcome"] == "accepted"
    assert found["off"] == [1, 1, 1, 1]
    assert found["rotated"]
    assert found["acknowledged"]
    assert found["trouble"] >= 1 or kind == "normal"


def test_the_troubles_were_real_and_were_counted(outcomes: dict[str, Any]) -> None:
    """Loss leaves turns unanswered or frames broken, noise is dropped."""
    figures = {kind: outcomes[kind]["figures"] for kind in KINDS}

    lossy = figures["lossy"]
    assert lossy["serial_unanswered"] + lossy["dropped_noise"] + lossy["dropped_frame_crc"] > 0
    assert figures["noisy"]["dropped_noise"] > 0
