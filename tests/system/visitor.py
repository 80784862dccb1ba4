"""A person in front of a real browser: logs in, walks, and keeps a picture of every page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from .harness import PASSWORD, Site

ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "test-artefacts" / "system"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
DESK, PHONE = {"width": 1600, "height": 1000}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's own browser; `make test` installs it."""
    assert (ROOT / "hmi" / "ui" / "dist" / "meta.json").exists(), "the UI bundle is missing: run make ui"
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One browser session; remembers everything the browser complained about."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self.base = site.base
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport=DESK, timezone_id="America/New_York", locale="en-US")
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda said: self._complain(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self._complain(str(error)))

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def log_in(self, name: str, password: str = PASSWORD) -> "Visitor":
        self.page.goto(self.base)
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", password)
        self.page.click("form.card button")
        return self

    def goto(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def speak(self, language: str) -> None:
        self.page.click(f".languages button[value={language}]")

    def shot(self, name: str, **options: Any) -> None:
        self.page.screenshot(path=SHOTS / f"{name}.jpg", quality=80, **options)

    def on_a_phone(self, yes: bool = True) -> None:
        self.page.set_viewport_size(PHONE if yes else DESK)
