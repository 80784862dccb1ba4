"""`scada site modules`, `commission`, `adopt`, `retire`, `move`, `swap --dry-run` and `scada keys status`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, succeed

from scada.cli import main
from scada.cli.site import registry_of
from scada.columns import Pairs
from scada.drivers.dmesh.key_ledger import FILE, KeyLedger
from scada.historian.store import EmbeddedIntervals
from tests.historian.helpers import PumpedReactor, block
from tests.registry.sites import ENGINEER, HIGH, a_site

NEW = "00000000000000AB"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North}\n", encoding="utf-8")
    with registry_of(path) as database:
        database.replace(a_site(), ENGINEER)
    return path


def scada(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def as_json(*words: str) -> Any:
    done = scada(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def state(config: Path, name: str) -> str:
    found = as_json("site", "modules", str(config))["modules"]
    return str(next(one["state"] for one in found if one["name"] == name))


def test_modules_are_listed_by_state_with_counts(config: Path) -> None:
    found = as_json("site", "modules", str(config), "--state", "discovered")
    text = scada("site", "modules", str(config), "--limit", "1").output

    assert found["counts"] == {"discovered": 1}
    assert [one["name"] for one in found["modules"]] == ["C02-001"]
    assert "2 active" in text
    assert "2 more; --limit shows them" in text


def test_a_module_goes_through_its_life_and_a_dry_run_changes_nothing(config: Path) -> None:
    """By name or EUI; each answer says what changed; the second time nothing does."""
    dry = as_json("site", "commission", str(config), "C02-001", "--dry-run")
    before = state(config, "C02-001")
    first = as_json("site", "commission", str(config), "C02-001")
    again = scada("site", "commission", str(config), "0000000000000003").output
    adopted = as_json("site", "adopt", str(config), "C02-001")
    moved = as_json("site", "move", str(config), "C02-001", "C01")
    retired = scada("site", "retire", str(config), "C02-001").output

    assert (dry["dry_run"], before) == (True, "discovered")
    assert first["modules"] == {"C02-001": "commissioning"}
    assert "nothing changes" in again
    assert adopted["modules"] == {"C02-001": "active"}
    assert moved["modules"] == {"C02-001": "lost"}
    assert "retired at C01" in retired


def test_a_step_that_cannot_be_is_refused_in_a_sentence(config: Path) -> None:
    refused = scada("site", "retire", str(config), "C01-001")
    unknown = scada("site", "retire", str(config), "nobody")

    assert refused.exit_code != 0
    assert "has meters" in refused.output + refused.stderr
    assert unknown.exit_code == 2
    assert "nobody: no module has this name" in unknown.output + unknown.stderr


def test_a_swap_is_shown_before_it_is_done(config: Path) -> None:
    words = ("site", "swap", str(config), "C01-001", NEW, "--at", "2026-06-01T00:00Z", "--meter", "0:final=812.5,serial=N7")
    shown = as_json(*words, "--dry-run")
    before = state(config, "C01-001")
    done, again = scada(*words), scada(*words)

    assert (shown["closed"], shown["opened"], shown["groups"]) == (["A2"], ["N7"], {"LG-1": 2})
    assert before == "active"
    assert state(config, "C01-001") == "replaced"
    assert done.output == again.output


def test_a_swap_closes_with_the_counted_register_where_nobody_read_the_dial(config: Path) -> None:
    """A2 makes 3200 pulses a kWh: 6400 and 3200 in the last hour are 3. Asked again it says the same, and swaps once."""
    hour = 494_000
    write_hour(config, HIGH, hour - 1, base=6400, pulses=3200)
    at = datetime.fromtimestamp(hour * 3600, UTC).isoformat()
    words = ("site", "swap", str(config), "C01-001", NEW, "--at", at)
    shown = scada(*words, "--dry-run").output
    done = as_json(*words)
    again = as_json(*words)
    text = scada(*words).output

    assert "final register 3" in shown
    assert done == again
    assert done["final_registers"] == {"A2": 3.0}
    assert "A2 at P1 ends with 3.000: compare it with its dial" in text


def test_a_swap_says_where_nothing_is_known_of_the_final_register(config: Path) -> None:
    text = scada("site", "swap", str(config), "C01-001", NEW, "--at", "2026-06-01T00:00Z").output

    assert "warning: A2 at P1 ends without a final register: none was given, and nothing is known of it here" in text


def test_a_meter_that_is_changed_without_a_reading_is_changed_once(config: Path) -> None:
    """Under the same module: the counted register makes it no other swap than the one that was asked for."""
    hour = 494_000
    write_hour(config, HIGH, hour - 1, base=6400, pulses=3200)
    at = datetime.fromtimestamp(hour * 3600, UTC).isoformat()
    words = ("site", "swap", str(config), "C01-001", f"{HIGH:016X}", "--at", at, "--meter", "0:serial=N7")

    assert [as_json(*words)["final_registers"] for _ in range(2)] == [{"A2": 3.0}] * 2


def write_hour(config: Path, eui: int, hour: int, *, base: int, pulses: int) -> None:
    """One hour of history, as the server of this configuration left it."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(config.parent / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block([[pulses]], first=hour, eui=[eui], record=1, register=[base])))
    store.close()


def test_the_status_of_group_keys_names_who_lacks_them(config: Path) -> None:
    """As the running server wrote it; nothing is known before."""
    before = as_json("keys", "status", str(config))
    ledger = KeyLedger(config.parent / "data" / FILE, now)
    ledger.open()
    for work in (ledger.add(0x4A1000C1, 7, 1, b"check---", (HIGH,)), ledger.use(0x4A1000C1, 7, 1, Pairs.of([(1, HIGH)]))):
        with pytest.raises(StopIteration):
            work.send(None)
    after, text = as_json("keys", "status", str(config), "LG-1"), scada("keys", "status", str(config)).output
    ledger.close()
    unknown = scada("keys", "status", str(config), "LG-9")

    assert [(one["held"], one["in_use"]) for one in before] == [(0, 0)]
    assert after == [{"group": "LG-1", "epoch": 1, "concentrator": "C01", "in_use": 1, "held": 1, "members": 2,
                      "missing": ["C01-002"]}]
    assert "1 of 2" in text
    assert "no load group LG-9" in unknown.output + unknown.stderr


def now(function: Any, *args: Any) -> "Deferred[Any]":
    return succeed(function(*args))
