"""The long one, by `make soak`: hours of a site at 600 x while server and field are killed again and again.

SCADA_SOAK_MINUTES sets how long, 20 by default: eight and a half site days.
"""

import os
import random
import time
from collections.abc import Callable

import psutil
import pytest

from scada.simulate.truth import read_truth

from .harness import Site, wait_for
from .soak import Soak
from .test_nothing_lost import records_acknowledged, stored

MINUTES = float(os.environ.get("SCADA_SOAK_MINUTES", "20"))
MB = 1024 * 1024
MEMORY_MB = 400                         # a demo takes about 150
pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 600)]


def test_nothing_is_lost_or_doubled_however_often_server_and_field_are_killed(make_site: Callable[..., Site]) -> None:
    """At the end every count that was acknowledged is stored, once, and is what the module counted; memory stayed small."""
    with Soak("kill -9, again and again") as soak:
        _kill_again_and_again(make_site, soak)


def _kill_again_and_again(make_site: Callable[..., Site], soak: Soak) -> None:
    seed = random.SystemRandom().randrange(10_000)
    moments = random.Random(seed)
    soak.found["seed"] = seed
    site = make_site(speed=600.0, field=("--history", "24")).start()
    ends, kills, worst = time.monotonic() + 60 * MINUTES, 0, 0.0
    while time.monotonic() < ends:
        pause = min(moments.choice((0.5, 3.0, 10.0, 60.0, 180.0)) * moments.uniform(0.5, 1.5), 10 * MINUTES)
        until = min(ends, time.monotonic() + pause)
        while time.monotonic() < until:
            assert site.server is not None
            assert site.server.alive(), site.server.output[-3000:]
            worst = max(worst, psutil.Process(site.server.popen.pid).memory_info().rss / MB)
            time.sleep(0.5)
        before = records_acknowledged(site)
        kills += 1
        if moments.random() < 0.25:
            assert site.field is not None
            site.field.kill()
            site.start_field()
        else:
            site.server.kill()
            site.start_server()
        wait_for(lambda known=before: records_acknowledged(site) > known, f"records after kill {kills} (seed {seed})")
    wait_for(lambda: up_to_date(site), f"the whole archive to be acknowledged (seed {seed})", limit=120)
    assert site.field is not None
    assert site.server is not None
    site.field.stop()
    site.server.stop()
    truth = read_truth(site.truth_file)
    acknowledged = truth.acknowledged()
    held = stored(site.folder / "data" / "history", list(acknowledged))

    soak.found |= {"kills": kills, "counts": len(acknowledged), "worst_memory_mb": round(worst)}
    assert kills >= 2
    assert {key: held.get(key) for key in acknowledged} == acknowledged, f"seed {seed}"
    assert {key: truth.counted[key] for key in acknowledged} == acknowledged, f"seed {seed}"
    assert worst < MEMORY_MB, f"{worst:.0f} MB (seed {seed})"


def up_to_date(site: Site) -> bool:
    """Whether the newest archive of each link, that of the field which runs now, is acknowledged to its end."""
    truth = read_truth(site.truth_file)
    newest = {link: (link, archive, record) for link, archive, record in truth.records}     # in the order of the file
    return all(truth.cursors.get((link, archive), 0) >= record for link, archive, record in newest.values())
