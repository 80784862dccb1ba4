"""A full disk: said clearly, nothing acknowledged meanwhile, nothing lost, and it goes on by itself when there is room."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from scada.simulate.truth import read_truth

from .harness import Site, wait_for
from .small_disk import FULL, Disk, make_disk, part  # noqa: F401  # a fixture
from .test_nothing_lost import HOUR_AT_600, everything_acknowledged, records_acknowledged, stored

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
JOURNALS = "history/journal/*.journal"


def refused_again_and_again(site: Site) -> Callable[[], bool]:
    """True when nothing was acknowledged while a site hour's new records came and at least four were refused."""
    seen, refused, since = -1, 0.0, 0.0

    def look() -> bool:
        nonlocal seen, refused, since
        acknowledged, failures = records_acknowledged(site), site.figure("dmesh", "storage_failures")
        if acknowledged != seen:
            seen, refused, since = acknowledged, failures, time.monotonic()
        return failures >= refused + 4 and time.monotonic() > since + 1.2 * HOUR_AT_600

    return look


def check_that_what_was_acknowledged_is_there(site: Site) -> None:
    """In the historian, exactly once; the field and the server have ended."""
    acknowledged = read_truth(site.truth_file).acknowledged()
    held = stored(site.folder / "data" / "history", list(acknowledged))

    assert len(acknowledged) > 3_000
    assert {key: held.get(key) for key in acknowledged} == acknowledged


def status_that_says_it(site: Site) -> "subprocess.CompletedProcess[str] | None":
    """`scada status --json`, if it names the full disk and ends with status 1."""
    status = site.scada("status", str(site.config), "--json", check=False)
    full = any(FULL in one["text"] for one in json.loads(status.stdout)["parts"] if not one["ok"])
    return status if full and status.returncode == 1 else None


def test_while_the_disk_is_full_nothing_is_acknowledged_and_then_it_goes_on_by_itself(
    make_disk: Callable[..., Disk], make_site: Callable[..., Site]  # noqa: F811
) -> None:
    """Health and `scada status` say it, the log holds no traceback, and the same process takes everything afterwards."""
    site = make_site(speed=600.0, field=("--history", "24"))
    disk = make_disk(site.folder / "data", JOURNALS)
    site.start()
    wait_for(lambda: records_acknowledged(site) >= 40, "the first records")
    disk.fill(site)
    wait_for(lambda: FULL in part(site, "historian"), "the historian to say that the disk is full")
    wait_for(refused_again_and_again(site), "records to be refused and none acknowledged meanwhile")
    acknowledged = records_acknowledged(site)
    # A little room may come back by itself (a log is checkpointed); a record is then stored and acknowledged, rightly.
    wait_for(lambda: "nothing is acknowledged" in part(site, "dmesh"), "the driver to say that nothing is acknowledged")
    status = wait_for(lambda: status_that_says_it(site), "`scada status` to say that the disk is full")

    disk.make_room(site)
    wait_for(lambda: not part(site, "historian") and not part(site, "dmesh"), "the server to be well again by itself")
    assert site.server is not None
    assert site.figure("historian", "live_dropped") == 0
    wait_for(lambda: everything_acknowledged(site), "the whole archive to be acknowledged")
    assert site.field is not None
    site.field.stop()
    assert site.server.stop() == 0
    assert records_acknowledged(site) > acknowledged
    check_that_what_was_acknowledged_is_there(site)
    assert "Traceback" not in site.server.output + status.stdout + status.stderr


def test_a_server_that_dies_on_a_full_disk_has_all_it_acknowledged(
    make_disk: Callable[..., Disk], make_site: Callable[..., Site]  # noqa: F811
) -> None:
    """kill -9 while full, and the field never comes back to say it again; a start without room is one clear sentence."""
    site = make_site(speed=600.0, field=("--history", "24"))
    disk = make_disk(site.folder / "data", JOURNALS)
    site.start()
    wait_for(lambda: records_acknowledged(site) >= 40, "the first records")
    disk.fill(site)
    wait_for(lambda: site.figure("dmesh", "storage_failures") >= 4, "records to be refused")
    assert site.server is not None
    assert site.field is not None
    site.server.kill()
    site.field.stop()
    before = len(site.server.output)
    second = site.start_server(ready=False)
    wait_for(lambda: not second.alive() or site.health(), "an answer or an end")
    said = second.output[before:]
    if not second.alive():
        assert second.popen.returncode == 1
        assert sum(line.startswith("error: ") for line in said.splitlines()) == 1, said
    assert "Traceback" not in said
    second.kill()
    disk.make_room(site)
    site.start_server()
    assert site.server.stop() == 0
    check_that_what_was_acknowledged_is_there(site)
