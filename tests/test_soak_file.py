"""The result file of the long tests says how a test ended, whichever way it did."""

import json
from pathlib import Path

import pytest

from tests.system.soak import Soak


def test_a_line_is_written_for_a_test_that_passed_and_for_one_that_did_not(tmp_path: Path) -> None:
    file = tmp_path / "soak.jsonl"
    with Soak("good", file) as soak:
        soak.found["kills"] = 3
    with pytest.raises(AssertionError, match="one reading"):
        _fail(Soak("bad", file))
    good, bad = (json.loads(line) for line in file.read_text().splitlines())

    assert (good["test"], good["passed"], good["error"], good["found"]) == ("good", True, "", {"kills": 3})
    assert (bad["test"], bad["passed"], bad["found"]) == ("bad", False, {"kills": 4})
    assert "one reading is missing" in bad["error"]
    assert good["seconds"] >= 0


def _fail(soak: Soak) -> None:
    with soak:
        soak.found["kills"] = 4
        raise AssertionError("one reading is missing")
