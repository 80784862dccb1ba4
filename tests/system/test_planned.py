"""A plan that another process imports into a running server: the concentrators of a real field are told of it."""

import sqlite3
from collections.abc import Callable

import pytest

from .harness import Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
NEW = 0x02DF_1000_0000_0000


def test_a_plan_reaches_the_list_of_its_concentrator_and_is_told_once(make_site: Callable[..., Site]) -> None:
    """60 modules of which none is there; they stay planned, and nothing is raised for them."""
    site = make_site()
    site.start()
    plan = site.folder / "plan.csv"
    plan.write_text("concentrator,eui,point,serial,pulses_per_unit\n" + "".join(
        f"C01,{NEW + number:016X},new-{number},S-{number},1000\n" for number in range(60)
    ), encoding="utf-8")
    wait_for(lambda: site.figure("dmesh", "links_up") == 2, "both concentrators")
    site.scada("site", "plan", str(site.config), str(plan))
    told = wait_for(lambda: audited(site), "the concentrator to be told", every=0.5)
    site.add_user("engineer1", "engineer")
    engineer = site.log_in("engineer1")
    planned = engineer("GET", "/api/v1/modules?state=planned")
    raised = engineer("GET", "/api/v1/alarms")["alarms"]

    assert told == [("list.added", "C01", f"{NEW + 7:016X} and 52 more")]
    assert {int(one["eui"], 16) for one in planned["modules"]} <= {NEW + number for number in range(60)}
    assert planned["total"] == 60
    names = [one["name"] for one in planned["modules"]]
    assert [one for one in raised if any(name in str(one) for name in names)] == []


def audited(site: Site) -> list[tuple[str, str, str]]:
    with sqlite3.connect(site.folder / "data" / "registry.sqlite") as database:
        found = database.execute("SELECT action, target, detail FROM audit WHERE action LIKE 'list.%'").fetchall()
    return [(action, target, str(detail).split(", ")[-1].strip('"}')) for action, target, detail in found]
