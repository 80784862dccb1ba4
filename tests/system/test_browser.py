"""A dispatcher's day in a real browser, against the real server and the real simulated district."""

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, expect

from scada.clock import NS, TimeMap
from scada.simulate.truth import read_truth

from .harness import Site, wait_for
from .visitor import Visitor, chromium

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.timeout(240)]

SPEED = 120.0                                   # an hour in half a minute, and ten minutes still leave time to look
BEGINS = 1_772_459_040 * NS                     # 2026-03-02T13:44Z: two edges of an hour pass while we look at the pages
PAGES = {
    "overview": "/", "transformer": "/transformers/T01", "balance-groups": "/balance", "balance": "/balance/BG-T01",
    "balance-month": "/balance/BG-T01?span=month", "network": "/network", "meters": "/meters",
    "meter": "/meters/B1-flat-5-electricity", "meter-month": "/meters/B1-flat-5-electricity?span=month",
    "dispatch": "/dispatch", "alarms": "/alarms", "journal": "/alarms/journal", "tags": "/tags", "audit": "/audit",
    "account": "/account",
}
ENGLISH = re.compile(r"\b(the|of|and|not|members|loads?|meters?|alarms?|acknowledged?|hours?|since|last)\b", re.IGNORECASE)


def begin(site: Site) -> Site:
    """Site time starts with the processes, not with their preparation."""
    TimeMap(time.time_ns(), BEGINS, site.speed).save(site.folder / "clock.json")
    site.start_field()
    site.start_server()
    site.wait_field()
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    history = ("--history", "36")               # the module that is lost every day is back by then
    made = Site(tmp_path_factory.mktemp("browser"), speed=SPEED, field=history)
    made.prepare()
    made.add_user("dana", "dispatcher")
    try:
        yield begin(made)
    finally:
        made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def logged_in(browser: Browser, site: Site) -> Visitor:
    """The dispatcher, logged in once for all the tests."""
    visitor = Visitor(browser, site).log_in("dana")
    visitor.page.wait_for_url(site.base + "/")
    return visitor


@pytest.fixture
def dana(logged_in: Visitor) -> Visitor:
    """The dispatcher at the beginning of a test, in English and with nothing to complain of: no test pays for another."""
    logged_in.goto("/")
    logged_in.speak("en")
    logged_in.complaints.clear()
    return logged_in


def live(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=10_000)


def changes(where: Locator, limit_s: float = 15.0) -> None:
    """A text changes by itself (polled here: the pages' own policy forbids `wait_for_function`)."""
    before = where.inner_text()
    wait_for(lambda: where.inner_text() != before, f"{before!r} to change", limit_s)


def loads_switched(site: Site) -> list[tuple[int, bool, int]]:
    """What the truth file says was switched: (EUI, supplied, when)."""
    return list(read_truth(site.truth_file).loads)


def switched_off(site: Site) -> list[tuple[int, bool, int]]:
    return [one for one in loads_switched(site) if not one[1]]


def test_the_one_time_password_must_be_changed_at_the_first_log_in(browser: Browser, site: Site) -> None:
    """Printed once by the server; good for nothing but choosing one's own."""
    first = Visitor(browser, site)
    page = first.goto("/")
    first.shot("log-in")
    first.log_in("admin", site.initial_password())
    expect(page.locator("[name=again]")).to_be_visible()
    first.shot("first-password")
    first.goto("/dispatch")
    expect(page.locator("[name=again]")).to_be_visible()
    page.fill("[name=old]", site.initial_password())
    page.fill("[name=new]", "a password of my own")
    page.fill("[name=again]", "a password of my own")
    page.click("form.card button")
    expect(page.locator(".note.done")).to_be_visible()
    first.goto("/")
    live(page)
    again = Visitor(browser, site).log_in("admin", site.initial_password())
    expect(again.page.locator(".note.error")).to_be_visible()

    assert first.complaints == []
    first.context.close()
    again.context.close()


def test_the_three_phases_move_by_themselves(dana: Visitor) -> None:
    """Power per phase, imbalance and the time of day change without a click; each value shows its quality."""
    page = dana.goto("/transformers/T01")
    live(page)
    for tag in ("T01-meter/power_active_l1", "T01-meter/power_active_l3", "T01/imbalance_i2_i1"):
        expect(page.locator(f'[data-tag="{tag}"]').first).to_have_class(re.compile("v-good"), timeout=20_000)
        changes(page.locator(f'[data-tag="{tag}"] .v-num').first)
    changes(page.locator("#clock-time"))
    expect(page.locator(".trend canvas")).to_be_visible(timeout=15_000)


def test_the_radio_network_is_drawn_as_a_tree(dana: Visitor) -> None:
    """Every module hangs somewhere, several levels deep, and the table below says the same."""
    page = dana.goto("/network")
    rows = page.locator("table.figures tbody tr")
    wait_for(lambda: page.reload() is not None and rows.count() >= 50, "the topology of C01", every=1.0)
    levels = {int(text) for text in page.locator("table.figures tbody td:first-child").all_inner_texts()}

    assert page.locator("svg.mesh .node").count() == rows.count()
    assert len(levels) >= 3
    page.locator("nav.tabs a", has_text="C02").click()
    expect(page.locator("h2", has_text="C02")).to_be_visible()


def test_a_metering_point_shows_the_hours_its_module_counted(dana: Visitor, site: Site) -> None:
    """What the page draws is what the truth file says was counted, hour by hour."""
    point = "B1-flat-5-electricity"
    page = dana.goto(f"/meters/{point}")
    known = page.locator("table.figures tr", has_text="good")
    wait_for(lambda: page.reload() is not None and known.count() >= 12, "the hours of today", every=1.0)
    described = yaml.safe_load((site.folder / "site.yaml").read_text(encoding="utf-8"))
    meter = next(one for one in described["meters"] if one["point"] == point)
    counted = read_truth(site.truth_file).counted
    midnight = BEGINS // NS // 3600 - 15                    # 00:00 in Chisinau, two hours ahead of UTC
    shown = [float(row.locator("td").nth(1).inner_text()) for row in known.all()[:12]]
    expected = [
        counted[int(meter["eui"], 16), meter.get("channel", 0), midnight + n] / meter["pulses_per_unit"] for n in range(12)
    ]

    assert shown == pytest.approx(expected, abs=0.0006)
    assert page.locator("svg .bar.whole").count() >= 12


def test_a_shed_is_reviewed_executed_watched_and_over_by_itself(dana: Visitor, site: Site) -> None:
    """Select, review, execute; every module answers on the page without a reload; then supply is back everywhere."""
    page = dana.goto("/dispatch")
    row = page.locator("tr", has_text="LG-BOILERS").first
    row.locator("[name=minutes]").fill("15")
    row.locator("[name=reason]").fill("T01 near its limit")
    row.locator("button").click()
    expect(page.locator("[data-needs-confirm]")).to_be_disabled()
    expect(page.locator(".note.warn")).to_contain_text("2 loads must be switched on by hand afterwards")
    dana.shot("review")
    page.wait_for_timeout(2000)                             # a person reads for longer than two minutes of site time
    page.locator("[name=confirm]").fill("LG-BOILERS")
    page.locator("[data-needs-confirm]").click()
    page.wait_for_url("**/dispatch/commands/*")
    members = page.locator("#command-members tr")
    total = members.count()
    expect(members.filter(has_text="executed").first).to_be_visible(timeout=20_000)
    dana.shot("command-under-way")
    off = {eui for eui, supplied, _ in loads_switched(site) if not supplied}
    expect(page.locator("[data-command] [data-state]").first).to_have_text("finished", timeout=60_000)
    dana.shot("command-finished")
    back = members.filter(has_text="supply is back").count()
    by_hand = {int(row.get_attribute("data-eui") or "", 16) for row in members.filter(has_text="switched on by hand").all()}
    supplied = {eui: on for eui, on, _ in loads_switched(site)}

    assert total >= 10
    assert len(off) >= 1
    assert back >= 0.8 * total
    assert len(by_hand) <= 2
    assert {eui for eui, on in supplied.items() if not on} <= by_hand


def test_a_group_with_a_protected_consumer_is_refused_with_its_reasons(dana: Visitor, site: Site) -> None:
    """The page shows what the desk said, and nothing was sent: no load goes off (an earlier shed may still come back)."""
    before = switched_off(site)
    page = dana.goto("/dispatch")
    row = page.locator("tr", has_text="LG-MIXED").first
    row.locator("button").click()
    refusal = page.locator(".note.error")
    expect(refusal).to_contain_text("Nothing was sent")
    dana.shot("refused")

    dana.speak("ro")
    page.locator("tr", has_text="LG-MIXED").first.locator("button").click()
    expect(page.locator(".note.error")).to_contain_text("consumator protejat în grup")
    dana.shot("refused-ro")
    dana.speak("en")
    page.locator("tr", has_text="LG-MIXED").first.locator("button").click()

    assert "protected" in refusal.inner_text()
    assert page.locator(".note.error li").count() >= 2
    assert switched_off(site) == before
    assert all("409" in said for said in dana.complaints)      # the refusal, in the browser's own words


def test_an_alarm_is_acknowledged_with_a_comment(dana: Visitor) -> None:
    """The dialog names the alarm; the row shows who and why afterwards."""
    page = dana.goto("/alarms")
    live(page)
    row = page.locator("tr[data-waits='1']").first
    alarm = row.get_attribute("data-alarm")
    row.locator("[data-ack]").click()
    page.fill("dialog#ack [name=comment]", "crew is on the way")
    dana.shot("acknowledge")
    page.click("dialog#ack button.primary")
    expect(page.locator(f'tr[data-alarm="{alarm}"] [data-ack]')).to_have_count(0, timeout=10_000)
    page = dana.goto("/alarms/journal")

    entry = page.locator(f'tr[data-alarm="{alarm}"]', has_text="crew is on the way").first
    expect(entry).to_contain_text("dana")


def test_the_audit_tells_the_whole_day(dana: Visitor) -> None:
    """Log-in, selection, execution, refusal, acknowledgement: who and what, newest first."""
    page = dana.goto("/audit")
    rows = page.locator("table tbody tr")
    told = {(row.locator("td").nth(2).inner_text(), row.locator("td").nth(4).inner_text()) for row in rows.all()}

    assert {("dana", "login"), ("dana", "shed.select"), ("dana", "shed.execute"), ("dana", "alarm.acknowledge")} <= told
    assert ("admin", "password.change") in told
    expect(rows.filter(has_text="LG-MIXED").first).to_contain_text("protected")
    expect(rows.filter(has_text="crew is on the way")).to_have_count(1)


@pytest.mark.parametrize("language", ["en", "ro", "ru"])
def test_every_page_in_every_language(dana: Visitor, language: str) -> None:
    """No page is too wide, none shows an English sentence in another language's dress; a picture of each is kept."""
    dana.goto("/")
    dana.speak(language)
    for name, path in PAGES.items():
        page = dana.goto(path)
        live(page)
        dana.shot(f"{name}-{language}", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
        if language != "en":
            titles = " ".join(page.locator("nav, h1, th, dt, button, label, figcaption").all_inner_texts())
            assert ENGLISH.findall(titles) == [], f"{name} in {language}: {titles}"

    assert dana.complaints == []


def test_every_page_on_a_phone(dana: Visitor) -> None:
    """Nothing sticks out to the side."""
    dana.on_a_phone()
    for name, path in PAGES.items():
        page = dana.goto(path)
        dana.shot(f"{name}-phone")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
    dana.on_a_phone(False)


def test_a_whole_hour_is_balanced_on_the_page(dana: Visitor) -> None:
    """Feed by register, members by pulses, their difference with its uncertainty; the thief makes it positive."""
    page = dana.goto("/balance/BG-T01")
    whole = page.locator("svg .bar.whole")
    wait_for(lambda: page.reload() is not None and whole.count() >= 1, "a whole hour", limit=90, every=1.0)
    dana.shot("balance-whole", full_page=True)
    uncertain = page.locator("td:nth-child(5)", has_text=re.compile(r"\d"))
    row = page.locator("table.figures tbody tr").filter(has=uncertain).last
    fed, taken, imbalance, half, percent = (number(row.locator("td").nth(n)) for n in range(1, 6))

    assert fed > taken > 0
    assert imbalance == pytest.approx(fed - taken, abs=0.011)
    assert percent == pytest.approx(100 * imbalance / fed, abs=0.1)
    assert half > 0


def number(cell: Locator) -> float:
    return float(cell.inner_text().replace(",", ""))


def test_a_stopped_server_is_shouted_about_until_it_is_back(dana: Visitor, site: Site) -> None:
    """SIGSTOP: banner, old values greyed, controls off. SIGCONT: all as before, without a reload."""
    page = dana.goto("/dispatch")
    live(page)
    button = page.locator("button[data-control]").first
    expect(button).to_be_enabled()
    assert site.server is not None
    os.kill(site.server.popen.pid, signal.SIGSTOP)
    try:
        expect(page.locator("#lost")).to_be_visible(timeout=10_000)
        expect(button).to_be_disabled()
        dana.shot("connection-lost")
    finally:
        os.kill(site.server.popen.pid, signal.SIGCONT)
    expect(page.locator("#lost")).not_to_be_visible(timeout=15_000)
    expect(button).to_be_enabled()
    live(page)


def test_in_monitor_only_mode_every_page_says_so_and_a_shed_reaches_nobody(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The whole way is walked, but for the last frame: the field's own book has no load switched."""
    site = Site(tmp_path_factory.mktemp("monitor"), speed=SPEED, changes={"dispatch": {"monitor_only": True}})
    site.prepare()
    site.add_user("dana", "dispatcher")
    try:
        begin(site)
        dana = Visitor(browser, site).log_in("dana")
        dana.page.wait_for_url(site.base + "/")
        for path in PAGES.values():
            expect(dana.goto(path).locator("#monitor-only")).to_be_visible()
        page = wait_for(lambda: _reviewed(dana), "the transformer's data to be fresh", limit=30, every=1.0)
        page.locator("[name=confirm]").fill("LG-BOILERS")
        page.locator("[data-needs-confirm]").click()
        page.wait_for_url("**/dispatch/commands/*")
        members = page.locator("#command-members tr")
        expect(members.filter(has_text="not sent")).to_have_count(members.count(), timeout=15_000)
        dana.shot("monitor-only", full_page=True)
        time.sleep(2)                           # four site minutes: what left would have arrived

        assert loads_switched(site) == []
        assert dana.complaints == []
    finally:
        site.close()


def _reviewed(dana: Visitor) -> Any:
    page = dana.goto("/dispatch")
    page.locator("tr", has_text="LG-BOILERS").first.locator("button").click()
    return page if page.locator("[data-needs-confirm]").count() else None
