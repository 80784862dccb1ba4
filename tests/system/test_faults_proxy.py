"""The real server and a real InfluxDB with our own proxy between them that goes wrong in every way there is."""

from collections.abc import Callable, Iterator

import pytest

from tests.influx import Influx
from tests.proxy import Fault, Proxy

from .harness import Site, wait_for
from .small_disk import part
from .test_faults_influx import (
    PART,
    check_that_nothing_is_missing,
    field_stops_when_everything_is_acknowledged,
    make_influx,  # noqa: F401  # a fixture
)
from .test_nothing_lost import records_acknowledged

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
WRONG = {
    "refuses user or secret (401)": Fault(status=401),
    "has no database 'scada' (404)": Fault(status=404),
    "even a single line is too large for main (413): put its limit right": Fault(status=413),
    "answers 429: because the test says so": Fault(status=429, headers={"Retry-After": "1"}),
    "answers 500: because the test says so": Fault(status=500),
    "answers 503: because the test says so": Fault(status=503, headers={"Retry-After": "1"}),
    "does not answer: ": Fault(reset_after_body=True),
}
SLOW = [Fault(delay_s=1.0), Fault(bytes_per_s=4_000), Fault(most_bytes=3_000)]


@pytest.fixture
def make_proxy() -> Iterator[Callable[[Influx], Proxy]]:
    made: list[Proxy] = []

    def make(influx: Influx) -> Proxy:
        made.append(Proxy(influx.port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def test_whatever_goes_wrong_on_the_way_is_said_and_nothing_is_missing_in_the_end(
    make_influx: Callable[..., Influx], make_proxy: Callable[[Influx], Proxy], make_site: Callable[..., Site]  # noqa: F811
) -> None:
    """Each fault by its own sentence, with what waits and since when; the field goes on, a restart in between included."""
    influx = make_influx()
    influx.start()
    influx.query("CREATE DATABASE scada")
    proxy = make_proxy(influx)
    changes = {"historian": {"influx": [{"name": "main", "url": proxy.url}]}}
    site = make_site(speed=600.0, field=("--history", "24"), changes=changes).start()
    wait_for(lambda: site.figure(PART, "sent_lines") > 2_000, "lines to be sent")
    taken = records_acknowledged(site)
    for sentence, fault in WRONG.items():
        with proxy.going_wrong(fault):
            wait_for(lambda said=sentence: said in part(site, PART), f"the server to say {sentence!r}")
            for figure in ("failures", "waiting_lines", "oldest_s"):
                wait_for(lambda name=figure: site.figure(PART, name) > 0, f"{figure} while it {sentence}")
        wait_for(lambda: not part(site, PART), f"the replica to be well again after {sentence!r}")
    for fault in SLOW:
        with proxy.going_wrong(fault):
            passed = len(proxy.writes)
            wait_for(lambda known=passed: len(proxy.writes) >= known + 3, f"bodies to arrive in spite of {fault}")
            assert not part(site, PART)
    with proxy.going_wrong(Fault(status=503)):
        wait_for(lambda: site.figure(PART, "waiting_lines") > 100, "lines to wait")
        assert site.server is not None
        assert site.server.stop() == 0
        site.start_server()
        wait_for(lambda: site.figure(PART, "waiting_lines") > 100, "what waited to be there after the restart")
    wait_for(lambda: not part(site, PART), "the replica to be well again after the restart")
    assert records_acknowledged(site) > taken
    field_stops_when_everything_is_acknowledged(site)

    check_that_nothing_is_missing(site, influx)
    assert "Traceback" not in site.server.output
