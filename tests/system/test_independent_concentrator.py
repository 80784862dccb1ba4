"""A concentrator written from docs/dmlp.md alone, in another language: it delivers to the real server, answers, obeys."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scada.historian.service import open_reader
from tests.drivers.dmesh.independent import Concentrator, concentrator

from .harness import Api, Site, wait_for
from .twice import Twice

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

LINKS = (0x0000C0DE, 0x0000C0DF)
KEYS = (os.urandom(16).hex(), os.urandom(16).hex())
FIRST_HOUR = (int(time.time()) // 86_400 - 1) * 24     # yesterday
MODULES, CHANNELS, PER_RECORD, CREDIT = 3, 2, 4, 4
HOURS = range(24)
MODULE_NAMES = [f"C01-{index:03}" for index in range(1, MODULES + 1)]
HOLE = {"index": 1, "hour": 8}                        # four hours of both channels of C01-001 are not in the archive


def eui(index: int, number: int = 0) -> int:
    return 0xD1FC000000000000 + 256 * number + index


def behind(port: int, folder: Path, number: int = 0, **settings: Any) -> AbstractContextManager[Concentrator]:
    """Concentrator `number`, and its modules; its clock is a day slow."""
    who = {"link_id": LINKS[number], "link_key": KEYS[number]}
    return concentrator(
        folder, f"peer{number}", port=port, **who, clock_offset_s=-86_400, t1=5, t3=5,
        modules=[
            {"index": index, "eui": f"{eui(index, number):016x}", "channels": CHANNELS, "adapter": "AD220/50"}
            for index in range(1, MODULES + 1)
        ],
        **settings,
    )


def rows(first_register: int = 2**32 - 700) -> list[dict[str, Any]]:
    """A day of pulses of every channel; registers wrap, one channel needs four bytes a delta, some hours carry a status."""
    return [
        {
            "index": index, "channel": channel, "register": first_register + 10 * index + channel,
            "deltas": [
                (17 * index + 5 * channel + 3 * hour) % 400 + 70_000 * ((index, channel) == (2, 1)) for hour in HOURS
            ],
            **({"status": [16 if hour == 7 else 0 for hour in HOURS]} if index == 3 else {}),
        }
        for index in range(1, MODULES + 1) for channel in range(CHANNELS)
    ]


def write_site(site: Site) -> None:
    """What exists: two concentrators, their modules, a load group behind the first."""
    members = [f"{eui(index):016X}" for index in range(1, MODULES + 1)]
    (site.folder / "site.yaml").write_text(yaml.safe_dump({
        "concentrators": [
            {"name": f"C0{i + 1}", "link_id": f"{link:08X}", "area": "North"} for i, link in enumerate(LINKS)
        ],
        "modules": [
            {"eui": f"{eui(index, i):016X}", "name": f"C0{i + 1}-{index:03}", "concentrator": f"C0{i + 1}", "index": index,
             "state": "active", "channels": CHANNELS, "adapter": "AD220/50"}
            for i in range(len(LINKS)) for index in range(1, MODULES + 1)
        ],
        "loads": [{"eui": eui, "load_class": "green", "rated_w": 2000} for eui in members],
        "load_groups": [
            {"name": "LG-BOILERS", "number": 1, "load_class": "green", "area": "North", "min_on_s": 1, "members": members}
        ],
    }))
    keys = site.folder / "keys.json"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({f"{link:08x}": key for link, key in zip(LINKS, KEYS, strict=True)}))
    site.scada("keys", "import", str(site.config), str(keys))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("independent"), speed=1.0, changes={
        "modbus": {"devices": []}, "dmesh": {"credit": CREDIT},
        "dispatch": {"monitor_only": False, "without_transformer": True, "restore_jitter_s": 0},
    })
    write_site(made)
    made.add_user("dana", "dispatcher")
    made.start_server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def relay(site: Site) -> Iterator[Twice]:
    made = Twice(site.dmlp_port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def peer(site: Site, relay: Twice) -> Iterator[Concentrator]:
    with behind(relay.port, site.folder) as made:
        yield made


@pytest.fixture(scope="module")
def dana(site: Site) -> Api:
    return site.log_in("dana")


def held(site: Site, number: int = 0) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
    """(index, channel) -> pulses and status of each hour of the day, as the historian has them."""
    reader = open_reader(site.folder / "data" / "history")
    keys = [(row["index"], row["channel"]) for row in rows()]
    euis = np.array([eui(index, number) for index, _ in keys], dtype=np.uint64)
    slots = reader.intervals.slots(euis, np.array([channel for _, channel in keys], dtype=np.uint8))
    series = reader.intervals.read(slots, FIRST_HOUR, 24)
    reader.close()
    return {key: (series.counts[row].tolist(), series.status[row].tolist()) for row, key in enumerate(keys)}


def sent() -> dict[tuple[int, int], tuple[list[int], list[int]]]:
    """The same as the peer was given it."""
    return {(row["index"], row["channel"]): (row["deltas"], row.get("status", [0] * 24)) for row in rows()}


def test_its_day_arrives_whole_and_once_although_the_link_breaks(site: Site, peer: Concentrator, relay: Twice) -> None:
    """In the middle, and although a relay plays every sealed frame again. What was acknowledged is never sent again."""
    made = peer.do("day", first_hour=FIRST_HOUR, per_record=PER_RECORD, rows=rows(), hole=HOLE)
    peer.do("cut_at", cursor=made["records"] // 2)
    peer.do("dial")
    state = peer.until(lambda now: now["archive"]["acknowledged"] == made["records"], "the archive to be acknowledged")
    times, [broken] = state["archive"]["sent"], state["counts"]["cuts"]

    assert made["records"] // 2 <= broken["acknowledged"] < broken["sent"] <= broken["acknowledged"] + CREDIT
    assert state["counts"]["sessions"] == 2
    assert state["counts"]["ends"] == ["lost"]
    assert sorted(map(int, times)) == list(range(1, made["records"] + 1))
    assert max(times.values()) <= 2
    assert all(record > broken["acknowledged"] for record in map(int, times) if times[str(record)] == 2)
    assert state["archive"]["sent_after_ack"] == []

    wait_for(lambda: peer.do("state")["counts"]["asked"], "the server to ask for the hole")
    wait_for(lambda: held(site) == sent(), "the historian to hold what was sent", limit=10)
    assert site.figure("dmesh", "quarantined") == site.figure("dmesh", "lost_records") == 0


def test_the_hole_is_asked_for_once_and_of_its_module_alone(site: Site, peer: Concentrator) -> None:
    """What the modules still have comes by ARCH_READ, and moves no cursor."""
    asked = peer.do("state")["counts"]["asked"]

    assert asked == [{"first": FIRST_HOUR + HOLE["hour"], "hours": PER_RECORD, "modules": [HOLE["index"]]}]
    assert peer.do("state")["archive"]["acknowledged"] == peer.do("state")["archive"]["newest"]


def test_its_clock_is_set_and_its_event_is_taken(site: Site, peer: Concentrator) -> None:
    """It started a day slow: its own event, and that of the server which set it. No channel has a meter, which is told."""
    state = peer.until(
        lambda now: now["clock_set"] and now["events"]["acknowledged"] == now["events"]["newest"], "clock and event"
    )

    assert abs(state["clock"] - time.time()) <= 2
    asked = "historian", "events", str(site.config), "--stream", "device", "--from", "1971-01-01", "--json"
    kept = [one["kind"] for one in json.loads(site.scada(*asked).stdout)["events"]]
    own = site.figure("dmesh", "links_replaced") + kept.count("unexpected_channel")      # the server's own
    assert site.figure("dmesh", "events") - own == 2
    assert len([kind for kind in kept if kind not in ("link_replaced", "unexpected_channel")]) == 2     # when acknowledged
    assert "clock_set" in kept


def test_it_is_read_on_demand(peer: Concentrator, dana: Api) -> None:
    """Every channel with the register it counts up to, not with the newest of the archive."""
    made = dana("POST", "/api/v1/reads", {"modules": MODULE_NAMES, "within_s": 300})
    end = wait_for(lambda: over(dana, f"/api/v1/reads/{made['id']}", "done"), "the read", every=0.2)
    found = {(module["device"], one["channel"]): one["pulses"] for module in end["modules"] for one in module["readings"]}

    assert found == {
        (MODULE_NAMES[row["index"] - 1], row["channel"]): (row["register"] + sum(row["deltas"])) % 2**32 for row in rows()
    }
    assert end["shares"][0]["attempts"] == 1


def over(api: Api, path: str, state: str) -> Any:
    found = api("GET", path)
    return found if found["state"] == state else None


def test_it_sheds_a_group_once_and_says_when_the_supply_is_back(peer: Concentrator, dana: Api) -> None:
    """Its modules prove the MAC; the time ends the shed."""
    selection = dana("POST", "/api/v1/dispatch/select", {"group": "LG-BOILERS", "off_for_s": 3, "reason": "test"})
    made = dana("POST", "/api/v1/dispatch/execute", {"selection": selection["id"]})
    peer.until(lambda now: not any(module["supplied"] for module in now["modules"]), "all loads off")
    path = f"/api/v1/dispatch/commands/{made['id']}"
    end = wait_for(lambda: over(dana, path, "closed"), "the end of the command", limit=20, every=0.2)
    modules = peer.do("state")["modules"]

    assert [member["state"] for member in end["members"]] == ["restored"] * MODULES
    assert all(module["supplied"] for module in modules)
    assert [len(module["log"]) for module in modules] == [1] * MODULES


def test_its_link_key_changes_under_the_running_session(site: Site, peer: Concentrator) -> None:
    """KEY_PUT, KEY_CONFIRM, KEY_ACTIVATE; the session stays, and the one after it opens under the new key."""
    before = peer.do("state")
    site.scada("keys", "rotate", str(site.config), f"{LINKS[0]:08x}")
    changed = peer.until(lambda now: now["link_key"]["active"] != before["link_key"]["active"], "the new key")
    peer.do("cut")
    after = peer.until(lambda now: now["counts"]["sessions"] > before["counts"]["sessions"], "the next session")

    assert changed["counts"]["sessions"] == before["counts"]["sessions"]
    assert changed["link_key"]["proven"] == before["link_key"]["active"]
    assert after["link_key"]["proven"] == changed["link_key"]["active"]
    assert site.figure("dmesh", "keys_changed") == 1


def test_nothing_that_was_played_again_was_believed(site: Site, peer: Concentrator, relay: Twice) -> None:
    """Both ends dropped every second frame and refused nothing else, nor did one complain of the other."""
    counts = peer.do("state")["counts"]

    assert 0 < counts["replay"] <= relay.repeated["to concentrator"]
    assert 0 < site.figure("dmesh", "dropped_replay") <= relay.repeated["to server"]
    assert [counts[name] for name in ("forged", "key", "plain", "unusable")] == [0] * 4
    for name in ("crypto", "cbor", "message", "field", "block", "noise"):
        assert site.figure("dmesh", f"dropped_{name}") == 0, name
    assert counts["ends"] == ["lost", "lost"]


def test_one_that_can_do_nothing_but_deliver_is_served_all_the_same(site: Site) -> None:
    """The least concentrator: module list, archive, events, PING; everything else is ERROR UNKNOWN, which is a "no".

    It is restarted in the middle of its archive, and goes on with what it kept.
    """
    with behind(site.dmlp_port, site.folder, 1, least=True, reconnect_ms=[60_000, 60_000]) as least:
        made = least.do("day", first_hour=FIRST_HOUR, per_record=4, rows=rows())     # more than two credits from the end
        least.do("cut_at", cursor=made["records"] // 2)
        least.do("dial")
        first = least.until(lambda now: now["counts"]["cuts"], "the middle of its archive")
    with behind(site.dmlp_port, site.folder, 1, least=True) as least:
        least.do("dial")
        state = least.until(
            lambda now: now["archive"]["acknowledged"] == made["records"] and now["events"]["acknowledged"] == 2, "the rest"
        )

    (cut,) = first["counts"]["cuts"]
    assert min(map(int, state["archive"]["sent"])) > cut["acknowledged"] >= made["records"] // 2

    assert state["counts"]["heard"].keys() == {"GET_MODULES", "TIME_SET", "ARCH_ACK", "EVENT_ACK"}
    assert state["counts"]["ends"] == []
    assert not state["clock_set"]
    wait_for(lambda: held(site, 1) == sent(), "the historian to hold what was sent", limit=10)
