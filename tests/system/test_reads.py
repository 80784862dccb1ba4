"""Reading on demand through the real server and the real simulated field, and a server that dies in the middle of it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.nursery import Process

from .harness import PASSWORD, Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def read(api: Api, identity: str) -> Any:
    return api("GET", f"/api/v1/reads/{identity}")


def registers(task: Any) -> dict[tuple[str, int], tuple[int, int]]:
    """(module, channel) -> (pulses, when it was read) of what has come."""
    return {
        (module["device"], one["channel"]): (one["pulses"], one["at_ms"])
        for module in task["modules"] for one in module["readings"] if one["code"] == "OK"
    }


def test_a_read_lives_through_kill_9_and_ends_with_a_result_for_every_module(make_site: Callable[..., Site]) -> None:
    """What had come is kept, the field is asked under the same number, and a keyed request is still the same task.

    Then a point by the command line, whose register is at least that of the last delivered hour.
    """
    site = make_site(speed=30.0, field=("--history", "2"))
    site.prepare()
    site.add_user("engineer1", "engineer")
    site.add_user("viewer1", "viewer")
    site.start_field()
    site.start_server()
    api = site.log_in("engineer1")
    wait_for(lambda: site.figure("dmesh", "links_up") == 2, "both concentrators")
    group = api("GET", "/api/v1/dispatch/groups")["groups"][0]["name"]
    wish = {"groups": [group], "within_s": 900, "key": "round-1"}
    made = api("POST", "/api/v1/reads", wish)
    before = wait_for(lambda: _some(api, made["id"]), "the first registers", every=0.05)
    assert site.server is not None
    site.server.kill()
    site.start_server()
    again = site.log_in("engineer1")
    same = again("POST", "/api/v1/reads", wish)
    end = wait_for(lambda: _over(again, made["id"]), "the end of the read", limit=90, every=0.5)

    assert before["state"] == "partial"
    assert same["id"] == made["id"]
    assert end["state"] == "done"
    assert registers(before)
    assert registers(before).items() <= registers(end).items()
    assert all(module["readings"] or module["reason"] for module in end["modules"])
    assert end["answered"] >= 0.8 * end["total"]
    assert all(share["attempts"] >= 1 for share in end["shares"])
    assert site.figure("reading", "open") == 0

    module = next(device for device, _ in registers(end) if tags(again, f"{device}.ch0/register"))
    followed = Process(
        site.folder, "read-now", "read-now", str(site.config), "--module", module, "-u", "engineer1", "--follow", "--json",
        env={"SCADA_PASSWORD": PASSWORD},
    )
    status = followed.popen.wait(90)
    of_hour = tags(again, f"{module}.ch0/register")[0]["value"]
    shown = tags(again, f"{module}.ch0-now/register_now")[0]
    refused = Process(site.folder, "refused", "read-now", str(site.config), "--module", module, "-u", "viewer1",
                      env={"SCADA_PASSWORD": PASSWORD})

    assert status == 0, followed.output
    assert '"state": "done"' in followed.output
    assert shown["quality"] == "good"
    assert of_hour <= shown["value"] <= of_hour + 50
    assert refused.popen.wait(30) != 0
    assert "role" in refused.output


def tags(api: Api, query: str) -> Any:
    return api("GET", f"/api/v1/tags?q={query}")["tags"]


def _some(api: Api, identity: str) -> Any:
    now = read(api, identity)
    return now if now["answered"] else None


def _over(api: Api, identity: str) -> Any:
    now = read(api, identity)
    return now if now["state"] in ("done", "expired", "failed", "cancelled") else None
