"""A server that dies between a command and its results: the results come back, and nothing is sent a second time."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from scada.simulate.truth import read_truth

from .harness import Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
# A restart takes minutes of this site, on a busy machine twenty: answers are waited for that long all the same.
PATIENT = {"dispatch": {"monitor_only": False, "not_after_seconds": 1200, "transformer_fresh_seconds": 600}}


def command(api: Api, identity: str) -> Any:
    return api("GET", f"/api/v1/dispatch/commands/{identity}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all the phases, each of which sheds another group."""
    made = Site(tmp_path_factory.mktemp("restart"), speed=60.0, field=("--history", "2"), changes=PATIENT)
    try:
        made.prepare()
        made.add_user("dispatcher1", "dispatcher")
        made.start_field()
        made.start_server()
        yield made
    finally:
        made.close()


def shed(site: Site, api: Api, group: str) -> Any:
    """Select and execute, as soon as the transformer's meter and both concentrators are there."""
    wait_for(lambda: site.figure("dmesh", "links_up") == 2, "both concentrators")

    def good() -> bool:
        found = api("GET", "/api/v1/tags?q=T01-meter/power_active_total")["tags"]
        return bool(found) and found[0]["quality"] == "good"

    wait_for(good, "the transformer's meter")
    selection = api("POST", "/api/v1/dispatch/select", {"group": group, "off_for_s": 600})
    return api("POST", "/api/v1/dispatch/execute", {"selection": selection["id"]})


@pytest.mark.parametrize(("phase", "group"), [("sending", "LG-AC"), ("collecting", "LG-EV"), ("executed", "LG-BOILERS")])
def test_after_kill_9_between_execute_and_the_results_the_results_come_back_and_nothing_is_sent_again(
    site: Site, phase: str, group: str
) -> None:
    """The concentrators are asked; what they know is what the truth file says; no order leaves the next server."""
    first = site.log_in("dispatcher1")
    sent = shed(site, first, group)
    members = {int(member["eui"], 16) for member in sent["members"]}

    def reached_phase() -> bool:
        now = command(first, sent["id"])
        some = any(member["state"] == "executed" for member in now["members"])
        return phase == "sending" or (now["state"] == "collecting" and (phase == "collecting" or some))

    wait_for(reached_phase, f"the command to be {phase}", every=0.01)
    assert site.server is not None
    site.server.kill()
    site.start_server()
    api = site.log_in("dispatcher1")

    def over() -> Any:
        now = command(api, sent["id"])
        return now if now["state"] in ("closed", "failed") else None

    end = wait_for(over, "the command to be over", limit=90, every=0.3)
    wait_for(lambda: all_supplied(site), "the supply of every load to be back", limit=60, every=0.3)
    off = Counter(eui for eui, supplied, _ in read_truth(site.truth_file).loads if not supplied and eui in members)
    restored = {int(member["eui"], 16) for member in end["members"] if member["state"] == "restored"}

    assert restored == set(off), [(member["device"], member["state"], member["reason"]) for member in end["members"]]
    assert set(off.values()) <= {1}
    assert site.figure("dispatch", "orders_sent") == 0
    assert site.figure("dispatch", "inquiries") >= 1
    if phase != "sending":
        assert len(restored) >= 0.8 * len(sent["members"])


def all_supplied(site: Site) -> bool:
    return all({eui: supplied for eui, supplied, _ in read_truth(site.truth_file).loads}.values())
