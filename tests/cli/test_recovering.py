"""A damaged block at a terminal: back from a real InfluxDB 1.6, the rest asked for in the field; where history is kept."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.cli.recovering import Wish, wishes
from scada.cli.site import registry_of
from scada.historian.embedded import EmbeddedHistory
from scada.historian.holes import Missing
from scada.historian.influx_history import InfluxHistory
from scada.intervals import MISSING
from scada.settings import InfluxSettings
from scada.site import Directory, Module, Site
from tests.cli.test_collection import RECALL, Remembering
from tests.historian.helpers import FIRST_HOUR, block
from tests.influx import Influx
from tests.ports import free_port
from tests.registry.sites import ENGINEER, HIGH, a_site

MONTH = "intervals-2026-01.sqlite"
EUIS = np.array([HIGH, HIGH + 1, 3], np.uint64)         # C01-001, C01-002 and C02-001 of `a_site`
COUNTS = np.arange(3 * 48).reshape(3, 48)


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    server = Influx(tmp_path_factory.mktemp("influx"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def config(tmp_path: Path, influx: Influx, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two days of three channels here, the second day damaged; InfluxDB `city` is empty; a server answers as ours does."""
    api = HTTPServer(("127.0.0.1", 0), Remembering)
    thread = threading.Thread(target=api.serve_forever)
    thread.start()
    Remembering.asked.clear()
    Remembering.answers = {"/api/v1/session": [{"token": "t"}], "/api/v1/collection/ask": [RECALL]}
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    influx.query("DROP DATABASE scada")
    influx.query("CREATE DATABASE scada")
    path = tmp_path / "scada.yaml"
    path.write_text(
        f"site: {{name: North, timezone: Europe/Chisinau}}\nhmi: {{port: {api.server_port}}}\n"
        f"historian: {{influx: [{{name: city, url: '{influx.url}'}}]}}\n", encoding="utf-8",
    )
    with registry_of(path) as database:
        database.replace(a_site(), ENGINEER)
    folder = path.parent / "data" / "history"
    here = EmbeddedHistory(folder)
    here.write([block(COUNTS, eui=EUIS, register=[7, 7, 7])])
    here.close()
    with closing(sqlite3.connect(folder / MONTH)) as month, month:
        month.execute("UPDATE block SET crc = crc + 1 WHERE day = (SELECT max(day) FROM block)")
    yield path
    api.shutdown()
    thread.join()
    api.server_close()


def give_to(influx: Influx, counts: Any) -> None:
    place = InfluxHistory(InfluxSettings(url=influx.url))
    place.write([block(counts, eui=EUIS[:len(counts)])])
    place.close()


def held(config: Path) -> Any:
    place = EmbeddedHistory(config.parent / "data" / "history")
    counts = place.intervals(EUIS, np.zeros(3, np.uint8), FIRST_HOUR, 48).counts
    place.close()
    return counts


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["historian", *(str(one) for one in words)])


def audited(config: Path) -> list[tuple[str, str, dict[str, Any]]]:
    with registry_of(config) as database:
        return [(one.action, one.target, json.loads(one.detail)) for one in database.audit.page(action="historian.refetch")]


def test_a_damaged_block_comes_back_from_influxdb(config: Path, influx: Influx) -> None:
    """Equal, registers behind it too; audited with its source; nothing is left to ask for."""
    give_to(influx, COUNTS)
    done = run("repair", config)
    again = json.loads(run("repair", config, "--json").stdout)
    place = EmbeddedHistory(config.parent / "data" / "history")

    assert done.exit_code == 0, done.output
    assert f"put away as damaged: {MONTH}, 2026-01-02" in done.stdout
    assert "brought back from city: 72 intervals" in done.stdout
    assert "ask-again" not in done.stdout
    assert np.array_equal(held(config), COUNTS)
    assert place.registers(EUIS, np.zeros(3, np.uint8), FIRST_HOUR + 48).tolist() == (7 + COUNTS.sum(axis=1)).tolist()
    assert audited(config) == [("historian.refetch", "city", {"intervals": 72})]
    assert again["refetched"]["looked_for"] == 0


def test_what_influxdb_has_not_is_named_with_how_to_ask_for_it(config: Path, influx: Influx) -> None:
    """Two channels come back; of the third, hours 30 to 47 of another concentrator are for the field."""
    give_to(influx, np.vstack((COUNTS[:2], np.where(np.arange(48) < 30, COUNTS[2], MISSING))))
    done = run("repair", config)

    assert done.exit_code == 0, done.output
    assert "brought back from city: 54 intervals" in done.stdout
    assert "still missing of what was damaged: 18 intervals" in done.stdout
    assert f"scada historian ask-again {config} --user NAME" in done.stdout
    wish = "C02 --from 2026-01-02T06:00:00+00:00 --to 2026-01-03T00:00:00+00:00"
    assert f"scada collection ask {config} {wish} --user NAME" in done.stdout
    assert "collection ask" not in done.stdout.replace(wish, "").replace(f"scada collection ask {config} ", "")


def test_the_field_is_asked_through_the_running_server(config: Path) -> None:
    """Concentrator by concentrator; the answers are shown as `collection ask` shows them."""
    run("repair", config)
    done = run("ask-again", config, "-u", "eva")
    asked = [body for path, body in Remembering.asked if path.endswith("/ask")]

    assert done.exit_code == 0, done.output
    assert asked == [
        {"concentrator": name, "modules": [], "first_hour": FIRST_HOUR + 24, "hours": 24} for name in ("C01", "C02")
    ]
    assert "2 asked for again" in done.stdout


def test_a_sound_history_asks_for_nothing_and_for_no_password(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged block is not put away yet: that is for `repair`."""
    monkeypatch.delenv("SCADA_PASSWORD")
    done = run("ask-again", config, "-u", "eva")

    assert done.exit_code == 0
    assert "nothing is missing of what was damaged" in done.stdout
    assert Remembering.asked == []


def test_backends_say_what_they_hold_and_whether_they_answer(config: Path, influx: Influx) -> None:
    """Exit status 1 when one does not."""
    said = json.loads(run("backends", config, "--json").stdout)
    table = run("backends", config)
    config.write_text(config.read_text().replace(influx.url, f"http://127.0.0.1:{free_port()}"), encoding="utf-8")
    away = run("backends", config)

    assert [(one["name"], one["kind"], one["registers"], one["trouble"]) for one in said] == [
        ("embedded", "embedded", True, ""), ("city", "influxdb", False, ""),
    ]
    assert said[1]["where"] == influx.url
    assert table.exit_code == 0
    assert "city" in table.stdout
    assert away.exit_code == 1
    assert "does not answer" in away.stdout


# ------------------------------------------------------------------------------------------------ wishes
SITE = Directory(Site(modules=(
    Module(1, "C01-001", "C01", 1), Module(2, "C02-001", "C02", 1), Module(3, "C01-002", "C01", 0),
)))


def hole(day: int, euis: list[int], *due: int) -> Missing:
    """Hours missing of modules on a day; all of them where none is named."""
    hours = due or tuple(range(24))
    first = FIRST_HOUR + 24 * day
    eui = np.array(euis, np.uint64)
    return Missing((first + min(hours)) * 3600, (first + max(hours) + 1) * 3600, eui, len(euis) * len(hours))


def asked(*left: Missing) -> list[tuple[str, int, int]]:
    return [(one.concentrator, one.first - FIRST_HOUR, one.last - FIRST_HOUR) for one in wishes(left, SITE)[0]]


def test_days_that_follow_each_other_are_one_wish() -> None:
    """Of each concentrator by itself, from the first missing hour to the last; a gap of days divides."""
    assert asked(hole(0, [1, 2], 5, 6), hole(1, [1]), hole(4, [1], 0)) == [("C01", 5, 48), ("C01", 96, 97), ("C02", 5, 7)]


def test_no_wish_is_longer_than_the_server_takes() -> None:
    """31 days."""
    found = asked(*(hole(day, [1]) for day in range(40)))

    assert found == [("C01", 0, 31 * 24), ("C01", 31 * 24, 40 * 24)]


def test_modules_nobody_has_are_counted_not_asked_for() -> None:
    """Unknown ones, and those whose place was given to another."""
    assert wishes([hole(0, [3, 99]), hole(1, [3])], SITE) == ([], 2)


def test_a_wish_is_said_as_it_is_typed() -> None:
    """UTC with its offset, so that no zone changes it."""
    assert str(Wish("C01", FIRST_HOUR, FIRST_HOUR + 24)) == (
        "C01 --from 2026-01-01T00:00:00+00:00 --to 2026-01-02T00:00:00+00:00"
    )
    assert attrs.asdict(Wish("C01", 1, 2)) == {"concentrator": "C01", "first": 1, "last": 2}
