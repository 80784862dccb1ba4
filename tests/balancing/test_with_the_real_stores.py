"""Metering and balancing over the real registry and historian, in real threads, and `scada balance` beside them."""

import json

import attrs
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from twisted.python.threadpool import ThreadPool

from scada.balancing import estimated
from scada.balancing.compute import DAY_S
from scada.balancing.edges import newest_before
from scada.balancing.service import BalancingService
from scada.bus import TagBus
from scada.cli import main
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.historian.service import Historian
from scada.intervals import MISSING
from scada.metering.service import MeteringService
from scada.registry.service import RegistryService
from scada.settings import load
from scada.tags import Batch, Quality
from tests.balancing.world import METER
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block

MIDNIGHT = FIRST_HOUR + 22              # 2026-01-02 00:00 in Chisinau
EUI = "{:016x}"

SITE_FILE = {
    "transformers": [{"name": "T01", "rated_kva": 100.0, "meter": "T01-meter"}],
    "concentrators": [{"name": "C01", "link_id": "00000001"}],
    "modules": [
        {"eui": EUI.format(n), "name": f"C01-00{n}", "concentrator": "C01", "index": n, "state": "active"} for n in (1, 2)
    ],
    "points": [{"name": f"P{n}", "medium": "electricity"} for n in (1, 2)],
    "meters": [
        {"serial": f"S{n}", "point": f"P{n}", "eui": EUI.format(n), "channel": 0, "pulses_per_unit": 1000.0,
         "valid_from": "2025-01-01T00:00Z"} for n in (1, 2)
    ],
    "balance_groups": [
        {"name": "BG-1", "medium": "electricity", "transformer": "T01", "feed_tag": "T01-meter/energy_import",
         "members": ["P1", "P2"]}
    ],
}


class Server:
    """Registry, historian, metering and balancing as the composition root wires them."""

    def __init__(self, config, reactor, clock):
        settings = load(config)
        self.reactor, self.clock = reactor, clock
        self.bus = TagBus(clock, reactor)
        self.pool = ThreadPool(1, 2, "test")
        self.pool.start()
        self.registry = RegistryService(settings.registry, settings.data_dir, clock, reactor)
        self.historian = Historian(settings.historian, settings.data_dir, clock, reactor, self.bus)
        reactor.wait(self.registry.start())
        reactor.wait(self.historian.start())
        intervals = self.historian.intervals
        self.metering = MeteringService(
            self.registry, intervals, intervals, self.bus, clock, reactor, self.pool,
            self.historian.estimates,
        )
        self.balancing = BalancingService(
            self.registry, self.bus, self.bus, self.metering, intervals, intervals, self.historian.live,
            self.historian.results, clock, reactor, self.pool, settings.site.timezone, self.historian.directory,
            estimates=self.historian.estimates,
        )
        reactor.wait(self.metering.start())
        reactor.wait(self.balancing.start())
        self.bus.add_device(METER)

    def stop(self):
        for part in (self.balancing, self.metering, self.historian, self.registry):
            self.reactor.wait(part.stop())
        self.pool.stop()

    def until(self, hour, offset_s=0):
        """Site time jumps, as after a silence; what is due happens while the test waits for something."""
        self.clock.map = attrs.evolve(
            self.clock.map, real0=round(self.reactor.seconds() * NS), site0=(hour * HOUR_S + offset_s) * NS
        )

    def read(self, register):
        now = self.clock.now()
        values = [0.0] * (len(METER.tags) - 1) + [register]
        quality = [Quality.GOOD] * len(values)
        self.bus.publish(Batch("T01-meter", np.array(values), np.array(quality, dtype=np.uint8), now, now))

    def deliver(self, hour, first, second):
        self.reactor.wait(self.historian.intervals.commit(block([first, second], first=hour, eui=[1, 2])))

    def rows(self, span=HOUR_S):
        found = self.balancing.table("BG-1", span, 0, 2**40)
        return {
            start // HOUR_S: {name: column[row] for name, column in found.columns.items()}
            for row, start in enumerate(found.start.tolist())
        }


@pytest.fixture
def site(tmp_path):
    config = tmp_path / "scada.yaml"
    config.write_text(yaml.safe_dump({"site": {"name": "test"}, "data_dir": "data"}))
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(SITE_FILE, sort_keys=False))
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    reactor = PumpedReactor()
    return config, reactor, SiteClock(TimeMap(), real=lambda: round(reactor.seconds() * NS), monotonic=reactor.seconds)


def test_a_day_from_the_field_to_the_command_line_with_a_restart_in_it(site):
    """24 hours of 10 kWh in and 9 kWh out; the server is restarted after 12 and has to join what it knew before."""
    config, reactor, clock = site
    clock.map = TimeMap(round(reactor.seconds() * NS), (MIDNIGHT - 1) * HOUR_S * NS)
    server = Server(config, reactor, clock)
    server.until(MIDNIGHT, -1)
    server.read(1000.0)
    for hour in range(24):
        if hour == 12:
            server.stop()
            server = Server(config, reactor, clock)
        server.until(MIDNIGHT + hour, 1)
        server.read(1000.0 + 10 * hour)
        server.until(MIDNIGHT + hour + 1, -1)
        server.read(1010.0 + 10 * hour)
        reactor.advance(0)
        server.deliver(MIDNIGHT + hour, [5000], [4000])
    server.until(MIDNIGHT + 24, 1)
    server.read(1240.0)
    reactor.pump(lambda: server.rows(DAY_S).get(MIDNIGHT, {}).get("imbalance", 0.0) > 23.9)

    hours, day = server.rows(), server.rows(DAY_S)[MIDNIGHT]
    assert sorted(hours) == [MIDNIGHT + hour for hour in range(24)]
    assert all(row["imbalance"] == pytest.approx(1.0) and row["completeness"] == 1.0 for row in hours.values())
    assert (day["feed"], day["members"], day["completeness"]) == (pytest.approx(240.0), pytest.approx(216.0), 1.0)
    reactor.pump(lambda: server.bus.snapshot().get("C01-001.ch0/energy_hour")[0] == 5.0)
    reactor.pump(lambda: server.bus.snapshot().get("BG-1/imbalance")[0] == pytest.approx(1.0))    # after it is stored

    asked = ["balance", str(config), "BG-1", "--from", "2026-01-02", "--to", "2026-01-03"]
    found = CliRunner().invoke(main, [*asked, "--json"])
    daily = CliRunner().invoke(main, [*asked, "--daily", "--csv"])
    table = CliRunner(env={"COLUMNS": "130"}).invoke(main, asked)
    server.stop()

    assert found.exit_code == daily.exit_code == table.exit_code == 0
    answer = json.loads(found.output)
    assert (answer["unit"], len(answer["rows"])) == ("kWh", 24)
    assert answer["rows"][0]["start"] == "2026-01-01T22:00:00Z"
    assert answer["rows"][0]["imbalance"] == pytest.approx(1.0)
    head, row = daily.output.splitlines()
    assert head.startswith("start,feed [kWh],members [kWh],imbalance [kWh],imbalance_percent")
    assert row.startswith("2026-01-01T22:00:00Z,240.0,216.0,24.0,10.0,")
    assert "2026-01-02 00:00:00+02:00" in table.output


def test_the_register_at_an_hour_is_found_in_history_that_is_already_rolled(site):
    """The register was read every 5 s before anybody balanced it: edges are found in the chunks of rolled history."""
    config, reactor, clock = site
    clock.map = TimeMap(round(reactor.seconds() * NS), (MIDNIGHT - 1) * HOUR_S * NS)
    server = Server(config, reactor, clock)
    live, files = server.historian.live, server.historian._files
    server.reactor.wait(server.balancing.stop())
    for second in range(-28, 2 * HOUR_S + 37, 5):         # never at the full hour itself
        server.until(MIDNIGHT, second)
        server.read(1000.0 + second / 360.0)
    reactor.pump(lambda: len(live.read("T01-meter/energy_import", 0, 2**62).at) == (2 * HOUR_S + 65) // 5)
    files.roll()
    found = [newest_before(live, "T01-meter/energy_import", (MIDNIGHT + hour) * HOUR_S * NS + 1) for hour in range(3)]
    server.stop()

    assert [at // NS - (MIDNIGHT + hour) * HOUR_S for hour, (at, _) in enumerate(found)] == [-3, -3, -3]
    assert [reading for _, reading in found] == pytest.approx([1000.0 - 3 / 360, 1010.0 - 3 / 360, 1020.0 - 3 / 360])


def test_the_running_server_hears_of_what_the_command_line_enters(site, monkeypatch):
    """Another process writes the estimate; nobody tells the server, which shows the hour as estimated."""
    config, reactor, clock = site
    monkeypatch.setattr(estimated, "EVERY_S", 0.05)
    clock.map = TimeMap(round(reactor.seconds() * NS), (MIDNIGHT - 1) * HOUR_S * NS)
    server = Server(config, reactor, clock)
    for hour in range(2):
        for second in (-1, 1):
            server.until(MIDNIGHT + hour, second)
            server.read(1000.0 + 10 * hour)
        reactor.advance(0)
    server.deliver(MIDNIGHT, [5000], [MISSING])
    reactor.pump(lambda: server.rows().get(MIDNIGHT, {}).get("completeness") == 0.5)
    entered = CliRunner().invoke(main, [
        "historian", "estimate", str(config), "P2", "--from", "2026-01-02T00:00", "--to", "2026-01-02T01:00",
        "--method", "value", "--value", "4",
    ])
    assert entered.exit_code == 0, entered.output
    reactor.pump(lambda: server.rows()[MIDNIGHT]["estimated"] == 0.5)
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(main, ["balance", str(config), "BG-1", "--from", "2026-01-02"])
    server.stop()

    assert "1.00 estimated" in shown.output


def test_a_group_that_does_not_exist_is_answered_with_a_sentence(site):
    """The names that exist are named."""
    config, *_ = site
    answer = CliRunner().invoke(main, ["balance", str(config), "BG-2"])

    assert answer.exit_code == 2
    assert "no balance group 'BG-2'; there are BG-1" in answer.output
