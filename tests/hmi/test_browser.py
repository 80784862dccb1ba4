"""A real browser walks through the pages of a moving district; screenshots are kept in test-artefacts/hmi."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import segno
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.fakes import png
from tests.hmi.fakes import PASSWORD
from tests.hmi.process import ROOT, Served, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SHOTS = ROOT / "test-artefacts" / "hmi"
AXE = ROOT / "hmi" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1920, "height": 1080}, {"width": 390, "height": 844}
PAGES = {
    "overview": "/",
    "transformer": "/transformers/T01",
    "losses": "/transformers/T01/losses",
    "balance": "/balance/BG-T01",
    "balance-index": "/balance",
    "balance-month": "/balance/BG-T01?span=month",
    "phases": "/balance/BG-T01/phases",
    "phases-imbalance": "/balance/BG-T01/phases?of=imbalance&span=days",
    "phase-order": "/balance/BG-T01/phases/orders/1",
    "network": "/network",
    "meters": "/meters",
    "meter": "/meters/P-01-003",
    "meter-month": "/meters/P-01-003?span=month",
    "meter-known": "/meters/P-01-003?date=2025-12-31&known=2025-12-31T12:00",
    "meter-changes": "/meters/P-01-003/changes?date=2025-12-31",
    "modules": "/modules",
    "module": "/modules/C01-013",
    "swap": "/modules/C01-015/swap",
    "group": "/groups/LG-boilers",
    "dispatch": "/dispatch",
    "network-module": "/network?concentrator=C01&module=C01-003&colour=battery&sort=trouble",
    "network-past": "/network?concentrator=C01&at=1",
    "supplies": "/supplies",
    "supply": "/supplies/P-01-004",
    "outages": "/outages",
    "suspects": "/suspects",
    "suspect": "/suspects/1",
    "leaks": "/leaks",
    "leak": "/leaks/1",
    "recalibration": "/recalibration",
    "recalibration-costs": "/recalibration/water",
    "collection": "/collection",
    "collection-modules": "/collection?concentrator=C01",
    "clocks": "/clocks",
    "firmware": "/firmware",
    "firmware-campaign": "/firmware/2",
    "alarms": "/alarms",
    "journal": "/alarms/journal",
    "audit": "/audit",
    "tags": "/tags",
    "account": "/account",
    "install": "/install",
    "install-fault": "/install?eui=00124BO0000007E8",
    "install-module": "/install/00124b00000007e8",
    "install-meter": "/install/00124b00000003e9/0",
    "install-dial": "/install/00124b00000003e9/0?step=dial&serial=A&constant=1000&medium=electricity",
    "dials": "/dials?which=all",
    "dial": "/dials/P-01-001",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    assert (ROOT / "hmi" / "ui" / "dist" / "meta.json").exists(), "the UI bundle is missing: run make ui"
    with served() as running:
        assert running.said.startswith("READY"), running.said
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., BrowserContext]]:
    """Makes profiles of their own (a SharedWorker and cookies each), in a zone that is not the site's."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)

        def make() -> BrowserContext:
            return browser.new_context(viewport=DESK, timezone_id="America/New_York", locale="en-US")

        yield make
        browser.close()


class Visit:
    """A logged-in page that remembers everything the browser complained about."""

    def __init__(self, context: BrowserContext, server: Served, name: str) -> None:
        self.base, self.complaints, self.context = server.base, [], context
        self.page = self.open_tab()
        self.page.goto(self.base)
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("form.card button")
        self.page.wait_for_url(self.base + "/")

    def open_tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.complaints.append(request.url) if not self._ours(request.url) else None)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        """What the console says, but for the 400 of the page that is meant to refuse."""
        refused = "status of 400" in message.text and message.location["url"].endswith(PAGES["install-fault"])
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    def _ours(self, url: str) -> bool:
        return url.startswith((self.base, "data:", "blob:"))

    def goto(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def shot(self, name: str) -> None:
        self.page.screenshot(path=SHOTS / f"{name}.jpg", quality=80)


@pytest.fixture(scope="module")
def visit(server: Served, chromium: Callable[..., BrowserContext]) -> Visit:
    found = Visit(chromium(), server, "administrator")
    found.shot("first")
    return found


def text_of(page: Page, selector: str) -> str:
    return str(page.locator(selector).first.inner_text())


def changes(page: Page, selector: str, limit_s: float = 6) -> bool:
    """Whether a text changes by itself (polled: `wait_for_function` does not work under our own policy)."""
    before, end = text_of(page, selector), time.monotonic() + limit_s
    while time.monotonic() < end:
        if text_of(page, selector) != before:
            return True
        time.sleep(0.1)
    return False


def test_live_values_change_and_the_link_says_live(visit: Visit) -> None:
    page = visit.goto("/")
    expect(page.locator("#link")).to_contain_text("live")

    assert changes(page, '[data-tag="T01/loading"] .v-num')
    assert changes(page, "#clock-time")
    expect(page.locator('[data-tag="T02/loading"]')).to_have_class("v v-bad", timeout=15_000)
    expect(page.locator('[data-tag="T02/loading"] .v-word')).to_have_text("stale")
    assert visit.complaints == []


def test_the_clock_shows_the_sites_zone_and_not_the_browsers(visit: Visit) -> None:
    page = visit.goto("/")
    expect(page.locator("#link")).to_contain_text("live")
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")

    assert zone == "America/New_York"
    assert text_of(page, "#clock-offset") in ("UTC+02:00", "UTC+03:00")


def test_the_trend_draws_the_last_hour(visit: Visit) -> None:
    """In as many points as a screen has room for."""
    with visit.page.expect_response(lambda answer: "/api/v1/history" in answer.url) as answered:
        page = visit.goto("/transformers/T01")
    drawn = answered.value.json()["series"]
    assert len(drawn) == 3
    assert all(1000 < len(one["values"]) <= 1200 and one["samples"] > 3000 for one in drawn)
    expect(page.locator(".trend canvas")).to_be_visible()
    expect(page.locator(".trend-summary")).to_contain_text("Lowest and highest")
    page.locator(".trend-box").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".trend-summary")).to_contain_text("L1 ")


def walk(visit: Visit, language: str, look: Callable[[str, Page], None] = lambda *_: None) -> list[str]:
    """
    Open and draw every page in a language, and look at it; what the browser complained of, and what sticks out.

    Pictures of other languages than English are for people who ask: SCADA_TEST_SHOTS=all.
    """
    visit.page.set_viewport_size(DESK)
    page = visit.goto("/")
    page.click(f".languages button[value={language}]")
    already, wide = len(visit.complaints), []
    for name, path in PAGES.items():
        page = visit.goto(path)
        expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=10_000)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(f"{name} is too wide")
        if language == "en" or os.environ.get("SCADA_TEST_SHOTS") == "all":
            visit.shot(f"{name}-{language}")
        look(name, page)
    visit.page.click(".languages button[value=en]")
    return [*visit.complaints[already:], *wide]


@attrs.frozen
class English:
    """What came of the walk in English: complaints, what axe finds by page and rule, and what does not fit a phone."""

    complaints: list[str]
    found: dict[str, list[str]]
    wide: list[str]


@pytest.fixture(scope="module")
def english(visit: Visit) -> English:
    """Every page is loaded once for all of them."""
    script, found, wide = AXE.read_text(encoding="utf-8"), {}, []

    def look(name: str, page: Page) -> None:
        page.evaluate(script + ";0")
        run = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
        for rule in run["violations"]:
            found[f"{name}: {rule['id']}"] = [node["html"][:120] for node in rule["nodes"]][:3]
        page.set_viewport_size(PHONE)
        visit.shot(f"{name}-phone")
        if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
            wide.append(f"{name} is {width} px wide")
        page.set_viewport_size(DESK)

    return English(walk(visit, "en", look), found, wide)


def test_every_page_is_drawn_in_english_without_a_complaint(english: English) -> None:
    assert english.complaints == []


def test_no_page_breaks_the_accessibility_rules(english: English) -> None:
    """axe finds contrast, names and roles; it is necessary, not sufficient."""
    assert english.found == {}


@pytest.mark.parametrize("language", ["ro", "ru"])
def test_every_page_is_drawn_in_every_other_language_without_a_complaint(visit: Visit, language: str) -> None:
    assert walk(visit, language) == []


def test_every_page_fits_a_phone(english: English) -> None:
    assert english.wide == []


def test_an_alarm_is_acknowledged_by_keyboard_alone(server: Served, chromium: Callable[..., BrowserContext]) -> None:
    visit = Visit(chromium(), server, "engineer")
    page = visit.goto("/alarms")
    expect(page.locator("#link")).to_contain_text("live")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    row = page.locator("tr:focus")
    alarm = row.get_attribute("data-alarm")
    page.keyboard.press("a")
    expect(page.locator("dialog#ack [name=comment]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("dialog#ack")).not_to_be_visible()
    page.locator(f'tr[data-alarm="{alarm}"]').focus()
    page.keyboard.press("a")
    page.keyboard.type("on my way")
    visit.shot("acknowledge")
    page.keyboard.press("Enter")
    done = page.locator(f'tr[data-alarm="{alarm}"]')
    expect(done).to_contain_text("active, acknowledged", timeout=8000)
    expect(done).to_contain_text("engineer: on my way")
    page.keyboard.press("/")
    page.wait_for_url("**/meters")
    page.keyboard.press("/")
    page.keyboard.type("P-01-003")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=P-01-003*")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/meters/P-01-003")

    assert visit.complaints == []


def test_a_shed_is_reviewed_confirmed_and_its_results_come_in_by_themselves(
    server: Served, chromium: Callable[..., BrowserContext]
) -> None:
    visit = Visit(chromium(), server, "dispatcher")
    page = visit.goto("/dispatch")
    row = page.locator("tr", has_text="LG-boilers").first
    row.locator("[name=minutes]").fill("10")
    row.locator("[name=reason]").fill("T01 near its limit")
    row.locator("button").click()
    expect(page.locator("h1")).to_have_text("Review before sending")
    button = page.locator("[data-needs-confirm]")
    expect(button).to_be_disabled()
    page.locator("[name=confirm]").fill("LG-boiler")
    expect(button).to_be_disabled()
    page.locator("[name=confirm]").fill("LG-boilers")
    expect(button).to_be_enabled()
    visit.shot("review")
    button.click()
    page.wait_for_url("**/dispatch/commands/*")
    expect(page.locator("[data-command] [data-state]").first).to_have_text("loads are off", timeout=20_000)
    visit.shot("command")
    rows = page.locator("#command-members tr")

    assert rows.filter(has_text="executed").count() >= 4
    assert rows.filter(has_text="an interlock forbids it (INTERLOCK)").count() == 2
    page.click("#restore button")
    expect(page.locator("[data-command] [data-state]").first).to_have_text("finished", timeout=8000)
    expect(rows.filter(has_text="supply is back").first).to_be_visible()
    assert visit.complaints == []


def test_a_campaign_goes_on_by_itself_and_its_bars_with_it(visit: Visit) -> None:
    """Asked every few beats; the version has to be typed before anything can be sent."""
    page = visit.goto("/firmware/3")
    moved = changes(page, '[data-stage="2"] [data-delivered]', 12)
    way = page.locator('[data-stage="2"] svg.progress .way').get_attribute("width")
    page = visit.goto("/firmware/2/resume")
    button = page.locator("[data-needs-confirm]")
    expect(button).to_be_disabled()
    page.fill("[name=confirm]", "2.0")
    expect(button).to_be_enabled()

    assert moved
    assert float(way or 0) == 75
    assert visit.complaints == []


def test_ten_tabs_of_one_browser_are_all_live(visit: Visit) -> None:
    """A browser opens six connections to a server: the stream is shared, or the seventh tab never loads."""
    tabs = [visit.open_tab() for _ in range(10)]
    for tab in tabs:
        tab.goto(visit.base + "/")
    for tab in tabs:
        expect(tab.locator("#link")).to_have_attribute("data-state", "live", timeout=10_000)
        tab.close()


def test_a_frozen_server_is_shouted_about_and_controls_are_off_meanwhile(
    server: Served, chromium: Callable[..., BrowserContext]
) -> None:
    visit = Visit(chromium(), server, "dispatcher")
    page = visit.goto("/dispatch")
    expect(page.locator("#link")).to_contain_text("live")
    button = page.locator("button[data-control]").first
    expect(button).to_be_enabled()
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        expect(page.locator("#lost")).to_be_visible(timeout=6000)
        took = time.monotonic() - began
        expect(button).to_be_disabled()
        expect(page.locator("#link")).to_contain_text("old")
        visit.shot("lost")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    expect(page.locator("#lost")).not_to_be_visible(timeout=6000)
    expect(button).to_be_enabled()

    assert 2 < took < 5


def test_a_page_goes_to_the_log_in_when_its_session_ends_elsewhere(
    server: Served, chromium: Callable[..., BrowserContext]
) -> None:
    visit = Visit(chromium(), server, "viewer")
    other = visit.open_tab()
    other.goto(visit.base + "/alarms")
    expect(other.locator("#link")).to_contain_text("live")
    visit.page.click("text=Log out")
    expect(other.locator("[name=password]")).to_be_visible(timeout=8000)


def test_a_newcomer_chooses_a_password_and_is_in(server: Served, chromium: Callable[..., BrowserContext]) -> None:
    page = chromium().new_page()
    page.goto(server.base)
    page.fill("[name=name]", "newcomer")
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    page.fill("[name=old]", PASSWORD)
    page.fill("[name=new]", "a longer secret")
    page.fill("[name=again]", "a longer secret")
    page.click("form.card button")
    expect(page.locator(".note.done")).to_be_visible()
    page.goto(server.base)
    expect(page.locator("h1")).to_have_text("Overview")


def test_a_page_can_be_read_without_script(server: Served, chromium: Callable[..., BrowserContext]) -> None:
    context = chromium()
    context.route("**/*.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(server.base)
    page.fill("[name=name]", "viewer")
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    page.goto(server.base + "/balance/BG-T01")
    page.click("a[rel=prev]")

    assert page.locator("svg .bar").count() > 0
    assert page.locator("table.figures tbody tr").count() >= 23
    expect(page.locator("#link")).to_contain_text("not live")


def test_the_bundle_is_small(server: Served) -> None:
    files: list[Path] = [path for path in (ROOT / "hmi" / "ui" / "dist").iterdir() if path.suffix == ".gz"]
    total: Any = sum(path.stat().st_size for path in files)

    assert files
    assert total < 100 * 1024


def test_the_heat_map_is_walked_by_the_arrow_keys(visit: Visit) -> None:
    """What a cell says is read out; Enter opens the row."""
    page = visit.goto("/collection")
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=10_000)
    page.locator("svg.heat").focus()
    expect(page.locator(".heat-told")).to_contain_text("C01, ")
    first = text_of(page, ".heat-told")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".heat-told")).not_to_have_text(first)
    page.keyboard.press("Enter")
    page.wait_for_url("**/collection?concentrator=C01")
    expect(page.locator("svg.heat .name").first).to_contain_text("C01-0")
    visit.shot("heat")


def test_an_installer_puts_a_meter_into_service_with_a_phone(
    server: Served, chromium: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    """The label's QR code is read from a photo (by our reader: this browser has none), the pulses are asked for and come
    in by themselves, the photo goes small.

    Every button is as large as a thumb, and nothing is wider than the screen.
    """
    context = chromium()
    picture, empty, photo = tmp_path / "label.png", tmp_path / "nothing.png", tmp_path / "meter.png"
    segno.make("EUI 00-12-4B-00-00-00-07-E8").save(str(picture), scale=6)
    empty.write_bytes(png(33, 20))
    photo.write_bytes(png(3000, 2000))
    visit = Visit.__new__(Visit)
    visit.base, visit.complaints, visit.context = server.base, [], context
    page = visit.page = visit.open_tab()
    page.set_viewport_size(PHONE)
    page.goto(server.base)
    page.fill("[name=name]", "installer")
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    page.wait_for_url(server.base + "/install")
    page.locator("[data-scan-photo] input").set_input_files(empty)
    expect(page.locator("[data-scan-fault]")).to_be_visible()
    visit.shot("installer-scan")
    page.locator("[data-scan-photo] input").set_input_files(picture)
    page.wait_for_url("**/install/00124b00000007e8")
    page.get_by_role("button", name="Begin the installation").click()
    expect(page.locator("[data-state=commissioning]")).to_be_visible()
    page.get_by_role("button", name="Ask for the pulses now").click()
    expect(page.locator('[data-channel="0"] [data-field=first]')).to_contain_text("✓", timeout=15_000)
    visit.shot("installer-live")
    page.get_by_role("link", name="Install the meter here").click()
    page.fill("#serial", "")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#serial-fault")).to_be_visible()
    visit.shot("installer-fault")
    page.fill("#serial", "E-4711")
    page.get_by_role("button", name="Go on").click()
    page.fill("#dial", "00123,4")
    visit.shot("installer-dial")
    page.get_by_role("button", name="Go on").click()
    page.locator("#file").set_input_files(photo)
    expect(page.get_by_role("button", name="Go on")).to_be_enabled()
    page.get_by_role("button", name="Go on").click()
    size = page.locator("img.proof").evaluate("one => one.decode().then(() => [one.naturalWidth, one.naturalHeight])")
    heights = page.locator(".install .big").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    wide = page.evaluate("document.documentElement.scrollWidth")
    visit.shot("installer-confirm")
    page.get_by_role("button", name="Put into service").dblclick()
    expect(page.get_by_text("Meter E-4711 is installed at P-02-024.")).to_be_visible()
    expect(page.locator('[data-channel="0"] h2')).to_contain_text("installed")
    visit.shot("installer-done")

    assert size == [1600, 1067]
    assert min(heights) >= 44
    assert wide <= PHONE["width"]
    assert visit.complaints == []
