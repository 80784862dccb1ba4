"""The InfluxDB replica of a running server: away, refusing, or without room for its spool, at last nothing is missing."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scada.historian.embedded import EmbeddedHistory
from scada.historian.service import open_reader
from scada.simulate.truth import read_truth
from tests.influx import Influx

from .harness import Site, wait_for
from .small_disk import Disk, make_disk, part  # noqa: F401  # a fixture
from .test_nothing_lost import everything_acknowledged, records_acknowledged

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
PART = "influx:main"
LIVE_TAGS = (
    "T01-meter/power_active_total", "T01-meter/voltage_l1_n", "T01-meter/energy_import", "T01/imbalance_i2_i1",
    "C01/link_up", "server.historian/records",
)
RIGHT, WRONG = "the right secret", "a wrong secret"


@pytest.fixture
def make_influx(tmp_path: Path) -> Iterator[Callable[..., Influx]]:
    """Real InfluxDB servers, ended with the test."""
    made: list[Influx] = []

    def make(**options: bool) -> Influx:
        made.append(Influx(tmp_path / f"influx{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        server.kill()


def with_replica(influx: Influx, **more: Any) -> dict[str, Any]:
    """Changes to the server's configuration."""
    return {"historian": {"influx": [{"name": "main", "url": influx.url, **more}]}}


def field_stops_when_everything_is_acknowledged(site: Site) -> None:
    wait_for(lambda: site.figure("modbus", "polls") >= 4, "the meter to be heard")
    wait_for(lambda: everything_acknowledged(site), "the whole archive to be acknowledged")
    assert site.field is not None
    site.field.stop()


def acknowledged(site: Site) -> dict[tuple[str, int], float]:
    """(tag of the replica, ms) -> pulses, of everything a concentrator was acknowledged."""
    truth = read_truth(site.truth_file).acknowledged()
    return {(f"{eui:016x}/{channel}", hour * 3_600_000): float(count) for (eui, channel, hour), count in truth.items()}


def pulses_in(influx: Influx, **login: str) -> dict[tuple[str, int], float]:
    """The same as InfluxDB tells it through /query."""
    points = influx.points("mh", "m", **login)
    return {key: value for key, (value, _) in points.items() if value is not None}


def live_in_store(site: Site, until: int) -> dict[tuple[str, int], tuple[float | None, float | None]]:
    """Live values of some tags before `until` [ns], as the embedded historian has them, in the replica's terms."""
    reader = open_reader(site.folder / "data" / "history")
    found: dict[tuple[str, int], tuple[float | None, float | None]] = {}
    for tag in LIVE_TAGS:
        history = reader.live.read(tag, 0, until)
        for at, value, quality in zip(history.at.tolist(), history.values.tolist(), history.quality.tolist(), strict=True):
            if np.isfinite(value) or quality:
                found[tag, at // 1_000_000] = (value if np.isfinite(value) else None, float(quality) or None)
    reader.close()
    return found


def live_in(influx: Influx, until: int, **login: str) -> dict[tuple[str, int], tuple[float | None, float | None]]:
    names = "|".join(name.replace("/", "\\/").replace(".", "\\.") for name in LIVE_TAGS)
    found: dict[tuple[str, int], tuple[float | None, float | None]] = {}
    for series in influx.query(f'SELECT v, q FROM live WHERE "tag" =~ /^({names})$/ GROUP BY "tag"', **login):
        for at, value, quality in series["values"]:
            if at * 1_000_000 < until:
                found[series["tags"]["tag"], at] = (value, quality)
    return found


def check_that_nothing_is_missing(site: Site, influx: Influx, **login: str) -> None:
    """All pulses that were acknowledged and all live values up to now are in InfluxDB, equal, and nothing else is."""
    until = site.health()["site_time_ms"] * 1_000_000
    pulses = acknowledged(site)
    wait_for(lambda: pulses_in(influx, **login).keys() >= pulses.keys(), "the pulses in InfluxDB", every=1.0)
    time.sleep(2.5)                                     # both copies of the last second are written

    def the_same() -> bool:
        """A device that falls silent afterwards spoils the quality of its last value, here and there."""
        return live_in(influx, until, **login) == live_in_store(site, until)

    wait_for(the_same, "the live values in InfluxDB to be those of the store", every=1.0)
    assert len(pulses) > 3_000
    assert pulses_in(influx, **login) == pulses
    assert {tag for tag, _ in live_in_store(site, until)} == set(LIVE_TAGS)
    for figure in ("dropped_lines", "dead_lines", "rotten_bodies"):
        assert site.figure(PART, figure) == 0


def test_an_influxdb_that_is_stopped_and_killed_has_everything_in_the_end(
    make_influx: Callable[..., Influx], make_site: Callable[..., Site]
) -> None:
    """Pulses as the field counted them, live values as the store has them; the field never waited."""
    influx = make_influx()
    influx.start()
    influx.query("CREATE DATABASE scada")
    site = make_site(speed=600.0, field=("--history", "24"), changes=with_replica(influx)).start()
    wait_for(lambda: site.figure(PART, "sent_lines") > 2_000, "lines to be sent")
    for end in (influx.kill, influx.stop):
        taken = records_acknowledged(site)
        end()
        wait_for(lambda: "does not answer" in part(site, PART), "the server to say that InfluxDB is away")
        wait_for(lambda known=taken: records_acknowledged(site) >= known + 2, "the field to go on")
        influx.start()
        wait_for(lambda: not part(site, PART), "the replica to be well again")
    field_stops_when_everything_is_acknowledged(site)

    check_that_nothing_is_missing(site, influx)
    assert site.server is not None
    assert "Traceback" not in site.server.output


def test_a_destination_that_is_added_later_gets_all_there_was_and_the_terminal_follows(
    make_influx: Callable[..., Influx], make_site: Callable[..., Site]
) -> None:
    """Embedded, one that was there from the beginning, and one that was not: in the end all three have the same."""
    first, later = make_influx(), make_influx()
    for one in (first, later):
        one.start()
        one.query("CREATE DATABASE scada")
    site = make_site(speed=600.0, field=("--history", "24"), changes=with_replica(first)).start()
    field_stops_when_everything_is_acknowledged(site)
    wait_for(lambda: pulses_in(first).keys() >= acknowledged(site).keys(), "the pulses in the first", every=1.0)
    until = site.health()["site_time_ms"] * 1_000_000
    assert site.server is not None
    site.server.stop()
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    settings["historian"]["influx"].append({"name": "later", "url": later.url, "dialect": "auto"})
    site.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    site.start_server()
    followed = site.scada("historian", "backfill", str(site.config), "later")
    status = json.loads(site.scada("historian", "status", str(site.config), "--json").stdout)

    assert followed.stdout == "later has everything\n"
    assert pulses_in(later) == pulses_in(first) == acknowledged(site)
    assert {tag for tag, _ in live_in_store(site, until)} == set(LIVE_TAGS)
    assert live_in(later, until) == live_in_store(site, until)
    assert [(one["name"], one["past"], one["server"][:13]) for one in status["destinations"]] == [
        ("main", "all sent", "InfluxDB 1.6."), ("later", "all sent", "InfluxDB 1.6."),
    ]
    assert site.figure("influx:later", "server_major") == 1


def test_a_wrong_secret_is_a_clear_sentence_and_the_right_one_needs_no_restart(
    make_influx: Callable[..., Influx], make_site: Callable[..., Site]
) -> None:
    """401: said by /healthz and `scada status`, no secret and no traceback in the log; the field goes on meanwhile."""
    influx = make_influx(auth=True)
    influx.start()
    influx.query(f"CREATE USER scada WITH PASSWORD '{RIGHT}' WITH ALL PRIVILEGES")
    login = {"user": "scada", "password": RIGHT}
    influx.query("CREATE DATABASE scada", **login)
    changes = with_replica(influx, user="scada", secret_file="influx.secret")
    site = make_site(speed=600.0, field=("--history", "24"), changes=changes)
    secret = site.folder / "influx.secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{WRONG}\n")
    site.start()
    sentence = f"{influx.url} refuses user or secret (401)"
    wait_for(lambda: sentence in part(site, PART), "the server to say what is wrong")
    status = site.scada("status", str(site.config), "--json", check=False)
    said = {one["part"]: one for one in json.loads(status.stdout)["parts"]}

    assert status.returncode == 1
    assert sentence in said[PART]["text"]
    assert said["historian"]["ok"]
    wait_for(lambda: records_acknowledged(site) >= 50, "the field to go on")
    assert site.figure(PART, "sent_lines") == 0
    secret.write_text(f"{RIGHT}\n")
    wait_for(lambda: not part(site, PART), "the replica to find the right secret")
    field_stops_when_everything_is_acknowledged(site)
    check_that_nothing_is_missing(site, influx, **login)
    assert site.server is not None
    for word in ("Traceback", WRONG, RIGHT):
        assert word not in site.server.output + status.stdout + status.stderr


def test_a_spool_without_room_stops_neither_the_field_nor_the_replica_for_good(
    make_influx: Callable[..., Influx], make_site: Callable[..., Site], make_disk: Callable[..., Disk]  # noqa: F811
) -> None:
    """InfluxDB is away and the spool's disk is full: said; acknowledgements go on; with both back nothing is missing."""
    influx = make_influx()
    influx.start()
    influx.query("CREATE DATABASE scada")
    site = make_site(speed=600.0, field=("--history", "24"), changes=with_replica(influx, spool_dir="spool"))
    disk = make_disk(site.folder / "spool", "*.sqlite*")
    site.start()
    wait_for(lambda: site.figure(PART, "sent_lines") > 10_000, "lines to be sent")
    influx.stop()
    disk.fill(site)
    wait_for(lambda: disk.said(part(site, PART)), "the server to say that the spool's disk is full")
    taken = records_acknowledged(site)
    wait_for(lambda: "does not answer" in part(site, PART), "the server to say that InfluxDB is away")
    wait_for(lambda: records_acknowledged(site) >= taken + 4, "the field to go on")
    assert "journal" not in part(site, "historian")     # the field has what it needs
    influx.start()
    disk.make_room(site)
    wait_for(lambda: not part(site, PART), "the replica to be well again")
    field_stops_when_everything_is_acknowledged(site)

    check_that_nothing_is_missing(site, influx)
    assert site.server is not None
    assert "Traceback" not in site.server.output


def whole_hours(site: Site, first: str) -> set[str]:
    """Hours from `first` on whose balance has all its members."""
    said = site.scada("balance", str(site.config), "BG-T01", "--from", first, "--json")
    return {row["start"] for row in json.loads(said.stdout)["rows"] if row["completeness"] == 1.0}


def stop_server(site: Site) -> None:
    assert site.server is not None
    assert site.server.stop() == 0


def test_damaged_blocks_come_back_from_influxdb_and_balances_follow(
    make_influx: Callable[..., Influx], make_site: Callable[..., Site]
) -> None:
    """Every block is spoilt: while InfluxDB is away the hours are missing and balances say so; then all is as it was."""
    influx = make_influx()
    influx.start()
    influx.query("CREATE DATABASE scada")
    site = make_site(speed=600.0, field=("--history", "24"), changes=with_replica(influx)).start()
    field_stops_when_everything_is_acknowledged(site)
    pulses = acknowledged(site)
    wait_for(lambda: pulses_in(influx).keys() >= pulses.keys(), "the pulses in InfluxDB", every=1.0)
    begin = f"{datetime.fromtimestamp(min(at for _, at in pulses) / 1000, UTC):%Y-%m-%dT%H:00}+00:00"
    whole = wait_for(lambda: len(found := whole_hours(site, begin)) >= 20 and found, "balances of a day", every=1.0)
    history = site.folder / "data" / "history"
    stop_server(site)
    influx.stop()
    for month in history.glob("intervals-????-??.sqlite"):
        with closing(sqlite3.connect(month)) as database, database:
            database.execute("UPDATE block SET crc = crc + 1")
    alone = site.scada("historian", "repair", str(site.config), check=False)
    site.start_server()
    wait_for(lambda: not whole_hours(site, begin) & whole, "balances to say that their hours are missing", every=1.0)
    stop_server(site)
    influx.start()
    done = site.scada("historian", "repair", str(site.config))
    place = EmbeddedHistory(history)
    channels = sorted({name for name, _ in pulses})
    eui = np.array([int(name.partition("/")[0], 16) for name in channels], np.uint64)
    channel = np.array([int(name.partition("/")[2]) for name in channels], np.uint8)
    first, last = (edge(at for _, at in pulses) // 3_600_000 for edge in (min, max))
    counts = place.intervals(eui, channel, first, last - first + 1).counts
    place.close()
    held = {
        (channels[line], (first + hour) * 3_600_000): float(counts[line, hour])
        for line, hour in zip(*np.nonzero(counts >= 0), strict=True)
    }

    assert alone.returncode == 1
    assert "does not answer" in alone.stderr
    assert "scada historian ask-again" in alone.stdout
    assert f"brought back from main: {len(pulses):,} intervals" in done.stdout
    assert held == pulses
    site.start_server()
    wait_for(lambda: whole_hours(site, begin) >= whole, "balances to follow", every=1.0)
    wait_for(lambda: not part(site, PART), "the replica to be well")
    assert pulses_in(influx) == pulses
    assert site.server is not None
    assert "Traceback" not in site.server.output
