"""Enough file descriptors for what the listeners allow, or a clear word."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hmi.service import MAX_CONNECTIONS
from scada.descriptors import HMI, needed, shortage

ROOT = Path(__file__).parents[1]


def test_the_bound_of_the_hmi_is_the_one_that_is_counted() -> None:
    """The vocabulary does not import pages; this holds the two numbers together."""
    assert HMI == MAX_CONNECTIONS


@pytest.mark.parametrize(("limit", "wanted", "short"), [(3800, 3800, False), (1024, 3800, True), (3799, 3800, True)])
def test_a_limit_below_the_sum_of_the_bounds_is_told_with_what_is_needed(limit: int, wanted: int, short: bool) -> None:
    said = shortage(limit, wanted)

    assert bool(said) is short
    assert not short or (f"only {limit} file descriptors" in said and f"for {wanted} that" in said)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    """In a process of its own: the limit is the process's."""
    code = (
        "import resource; from scada.descriptors import raise_limit;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)); print(raise_limit(), resource.getrlimit(7)[0])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert resource.RLIMIT_NOFILE == 7
    assert said.split() == ["512", "512"]


def test_the_unit_of_systemd_gives_enough() -> None:
    from scada.settings import load

    found = re.search(r"^LimitNOFILE=(\d+)$", (ROOT / "config/scada.service").read_text(), re.MULTILINE)
    assert found
    assert int(found.group(1)) >= needed(load(ROOT / "config/scada.example.yaml"))
