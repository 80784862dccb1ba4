"""Supplies over real TCP: signed commands, real simulated modules, a link that breaks, a crew's own lock-out, a valve."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scada.supply.record import HELD_IN_MODULE
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(120)
def test_supplies_are_switched_over_tcp_by_modules_that_check_everything(tmp_path: Path) -> None:
    """Each module gets a key of its own first; what is executed is executed once; a valve waits for a hand. Where people
    on site have the say, a load group is restored, and commanded in no other way.
    Without discovery a newcomer stays outside; a reboot ends it, and keeps the parameters."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply.field", str(free_port()), str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True, timeout=110, check=True,
    )
    found = json.loads(done.stdout)

    assert found["first"] == [True, "off", "executed", True]
    assert (found["never"], found["danger"]) == ("DENIED", "off")
    assert found["locked"] == ["off", HELD_IN_MODULE]
    assert found["valve"] == ["off", True, False]
    assert found["clock"] == "INTERLOCK"
    assert found["switched"] == [[1, False], [3, False], [2, False], [2, True]]
    assert found["keys"] == [True] * 4
    assert found["holders"] == [["LOCKOUT"], [], ["DANGER"], []]
    said = "area:centre is in local since ion said so: "
    assert [one.startswith(said) for one in found["local"][0]] == [True, True]      # no limit, no economy
    assert found["managed"] == [1, True, False, True, 0, False]
    assert found["local"][1] == 0                           # restored, and nothing of what was refused came to it
