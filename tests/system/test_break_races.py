"""Two people at once, and a person who changes his mind: through the real desk, driver and simulated field."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError

import pytest

from scada.simulate.truth import read_truth

from .harness import Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
OFF_FOR_S = 600


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for both tests, each of which sheds another group."""
    made = Site(
        tmp_path_factory.mktemp("races"), speed=60.0, field=("--history", "2"),
        changes={"dispatch": {"monitor_only": False, "transformer_fresh_seconds": 600}},
    )
    try:
        made.prepare()
        for name in ("anna", "boris"):
            made.add_user(name, "dispatcher")
        made.start_field()
        made.start_server()
        api = made.log_in("anna")
        wait_for(lambda: made.figure("dmesh", "links_up") == 2, "both concentrators")

        def measured() -> bool:
            found = api("GET", "/api/v1/tags?q=T01-meter/power_active_total")["tags"]
            return bool(found) and found[0]["quality"] == "good"

        wait_for(measured, "the transformer's meter")
        yield made
    finally:
        made.close()


def select(api: Api, group: str) -> str:
    return str(api("POST", "/api/v1/dispatch/select", {"group": group, "off_for_s": OFF_FOR_S})["id"])


def switched(site: Site, command: Any) -> list[tuple[int, bool]]:
    """(EUI, supplied) of a command's members, in the order in which the field switched them."""
    members = {int(member["eui"], 16) for member in command["members"]}
    return [(eui, supplied) for eui, supplied, _ in read_truth(site.truth_file).loads if eui in members]


def execute(api: Api, selection: str) -> Any:
    try:
        return api("POST", "/api/v1/dispatch/execute", {"selection": selection})
    except HTTPError as refused:
        if refused.code == 409:
            return None
        raise


def over(api: Api, identity: str) -> Any:
    now = api("GET", f"/api/v1/dispatch/commands/{identity}")
    return now if now["state"] in ("closed", "failed") else None


def test_two_people_who_execute_at_once_shed_a_load_once(site: Site) -> None:
    """Both have reviewed; one is first, the other is told that the loads are off."""
    apis = [site.log_in("anna"), site.log_in("boris")]
    selections = [select(api, "LG-BOILERS") for api in apis]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: execute(apis[number % 2], selections[number % 2]), range(8)))
    ran = {answer["id"] for answer in answers if answer}
    end = wait_for(lambda: over(apis[0], next(iter(ran))), "the command to be closed", limit=90, every=0.3)
    off = Counter(eui for eui, supplied in switched(site, end) if not supplied)

    assert len(ran) == 1
    assert set(off.values()) == {1}
    assert site.figure("dispatch", "orders_sent") == 2


def test_a_restore_while_results_are_coming_in_ends_the_shed_for_good(site: Site) -> None:
    """No repeat of the shed that is still on the air switches a load off after it was restored."""
    api = site.log_in("anna")
    shed = execute(api, select(api, "LG-EV"))
    wait_for(lambda: any(not on for _, on in switched(site, shed)), "the first load to be off", every=0.02)
    api("POST", "/api/v1/dispatch/restore", {"command": shed["id"]})
    end = wait_for(lambda: over(api, shed["id"]), "the shed to be closed", limit=90, every=0.3)
    loads = switched(site, end)
    off = Counter(eui for eui, supplied in loads if not supplied)
    last = dict(loads)
    restored = {int(member["eui"], 16): member["reason"] for member in end["members"] if member["state"] == "restored"}
    waiting = {eui for eui, supplied in last.items() if not supplied}

    assert set(off.values()) == {1}
    assert set(off) <= set(restored)
    assert all("by hand" in restored[eui] for eui in waiting)
