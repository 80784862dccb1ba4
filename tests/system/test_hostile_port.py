"""A stranger on the port: refused, counted, shown; the real field does not notice."""

import json
import random
import socket
import time
from collections.abc import Callable

import psutil
import pytest

from .harness import Site, wait_for
from .test_nothing_lost import records_acknowledged

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
MB = 1024 * 1024


def memory(site: Site) -> float:
    assert site.server is not None
    return psutil.Process(site.server.popen.pid).memory_info().rss / MB


def refused(site: Site) -> float:
    health = site.health() or {"parts": []}
    part = next(part for part in health["parts"] if part["part"] == "dmesh")
    return float(sum(value for name, value in part["figures"].items() if name.startswith(("refused", "rejected"))))


def test_garbage_and_a_thousand_half_open_connections_disturb_nobody(make_site: Callable[..., Site]) -> None:
    """Memory grows by less than 50 MB, what is refused is counted, and data keep coming."""
    site = make_site(speed=600.0).start()
    wait_for(lambda: records_acknowledged(site) >= 4, "the first records")
    time.sleep(3)
    before, counted = memory(site), refused(site)
    noise = random.Random(7)
    held: list[socket.socket] = []
    try:
        for _ in range(1000):
            stranger = socket.socket()
            stranger.settimeout(5)
            stranger.connect(("127.0.0.1", site.dmlp_port))
            held.append(stranger)
        for stranger in held[::10]:
            try:
                stranger.sendall(noise.randbytes(20_000))
            except OSError:
                continue                        # refused already: as it should be
        acknowledged = records_acknowledged(site)
        worst = before
        ends = time.monotonic() + 15
        while time.monotonic() < ends:
            worst = max(worst, memory(site))
            time.sleep(0.5)

        assert worst - before < 50
        assert refused(site) > counted
        wait_for(lambda: records_acknowledged(site) > acknowledged, "records while strangers hold a thousand connections")
    finally:
        for stranger in held:
            stranger.close()
    assert site.health()["ok"] is not None
    assert site.server is not None
    assert site.server.alive()


def test_a_concentrator_with_a_wrong_key_is_refused_and_shown(make_site: Callable[..., Site]) -> None:
    """The health says so; nothing of it enters the registry or the store."""
    site = make_site(speed=600.0)
    site.prepare()
    keys = site.folder / "field-keys.json"
    keys.write_text(json.dumps({link: key[::-1] for link, key in json.loads(keys.read_text()).items()}))
    site.start_field()
    site.start_server()
    wait_for(lambda: refused(site) > 0, "the refusal to be counted")

    assert records_acknowledged(site) == 0
