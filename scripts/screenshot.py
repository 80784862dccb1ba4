"""Takes the pictures of the documentation: starts the demo in a temporary folder, logs in, sheds a group, looks.

    .venv/bin/python scripts/screenshot.py        (needs what `make test` installs: playwright and Debian's chromium)

The demo runs at 600 x until some hours are whole, then at a person's pace, so that what is seen moves as in life.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect, sync_playwright

from scada.clock import NS, TimeMap

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSER = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-lcd-text"]     # grey edges of letters halve the size of the file
SIZE = {"width": 1500, "height": 720}
NAME, PASSWORD = "dana", "only for the picture"
BEGINS = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)     # a Monday morning: the pictures show its evening
WARM_UP_S, WARM_UP_SPEED = 60.0, 600            # real seconds: ten hours, so that the module that was lost is back
SPEED = 20                                      # modules answer within seconds, and a shed lasts long enough to be seen
START_LIMIT_S = 60.0


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        TimeMap(time.time_ns(), int(BEGINS.timestamp()) * NS, WARM_UP_SPEED).save(folder / "clock.json")
        (folder / "clock.beat").touch()         # as if the demo had been stopped at that moment
        with demo(folder, WARM_UP_SPEED):
            subprocess.run(
                [*scada("users", "add"), str(folder / "scada.yaml"), NAME, "--role", "dispatcher"],
                input=f"{PASSWORD}\n", text=True, check=True, stdout=subprocess.DEVNULL,
            )
            time.sleep(WARM_UP_S)
        with demo(folder, SPEED) as base:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            log_in(page, base)
            acknowledge_what_is_over(base)
            shed(page, base)
            page.screenshot(path=IMAGES / "dispatch.png")
            page.goto(base)
            page.wait_for_timeout(3000)
            page.screenshot(path=IMAGES / "overview.png")
            browser.close()
    for image in sorted(IMAGES.glob("*.png")):
        sys.stdout.write(f"{image.relative_to(ROOT)}  {image.stat().st_size // 1024} kB\n")


def log_in(page: Page, base: str) -> None:
    page.goto(base)
    page.fill("[name=name]", NAME)
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    page.wait_for_url(f"{base}/")


def acknowledge_what_is_over(base: str) -> None:
    """As a dispatcher would have done by the evening."""
    token = ask(base, "session", {"name": NAME, "password": PASSWORD})["token"]
    for alarm in ask(base, "alarms", token=token)["alarms"]:
        if alarm["state"] == "returned":
            ask(base, "alarms", {"alarm": alarm["id"], "comment": "seen"}, token)


def ask(base: str, path: str, body: dict[str, str] | None = None, token: str = "") -> Any:
    request = Request(f"{base}/api/v1/{path}", data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urlopen(request, timeout=15) as answer:
        return json.load(answer)


def shed(page: Page, base: str) -> None:
    """As far as the moment at which most modules have answered."""
    page.wait_for_timeout(3000)                 # the desk wants fresh data of the transformer
    page.goto(f"{base}/dispatch")
    row = page.locator("tr", has_text="LG-BOILERS").first
    row.locator("[name=minutes]").fill("15")
    row.locator("[name=reason]").fill("evening peak")
    row.locator("button").click()
    page.fill("[name=confirm]", "LG-BOILERS")
    page.click("[data-needs-confirm]")
    page.wait_for_url("**/dispatch/commands/*")
    expect(page.locator("#command-members tr.m-executed")).not_to_have_count(0, timeout=30_000)
    page.wait_for_timeout(1500)


@contextmanager
def demo(folder: Path, speed: int) -> Iterator[str]:
    """The demo on free ports; its address. It goes on where the last one in this folder stopped."""
    hmi, opcua, dmlp, modbus = ports_of(folder)
    words = ["demo", "--dir", str(folder), "--speed", str(speed), "--hmi-port", str(hmi), "--opcua-port", str(opcua),
             "--dmlp-port", str(dmlp), "--modbus-port", str(modbus)]
    base = f"http://127.0.0.1:{hmi}"
    with (folder / "demo.log").open("ab") as log:
        process = subprocess.Popen(scada(*words), stdout=log, stderr=log, cwd=ROOT)
    try:
        ends = time.monotonic() + START_LIMIT_S
        while not answers(base):
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"the demo does not start:\n{(folder / 'demo.log').read_text(encoding='utf-8')}")
            time.sleep(0.2)
        yield base
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def ports_of(folder: Path) -> list[int]:
    """Four ports nobody listens on, the same for every demo in this folder: its configuration keeps them."""
    kept = folder / "ports"
    if not kept.exists():
        with ExitStack() as stack:
            listeners = [stack.enter_context(socket.socket()) for _ in range(4)]
            for listener in listeners:
                listener.bind(("127.0.0.1", 0))
            kept.write_text(" ".join(str(listener.getsockname()[1]) for listener in listeners), encoding="utf-8")
    return [int(word) for word in kept.read_text(encoding="utf-8").split()]


def answers(base: str) -> bool:
    try:
        with urlopen(f"{base}/healthz", timeout=2):
            return True
    except (URLError, OSError):
        return False


def scada(*words: str) -> list[str]:
    return [sys.executable, "-m", "scada", *words]


if __name__ == "__main__":
    main()
