"""A firmware campaign through the real server and the real simulated field; the server dies in the middle of a wave."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scada.cli import main
from tests import firmware_maker as maker

from .harness import PASSWORD, Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

BLOCKS = 120
BLOCK = 64
KNOWN = 110                             # modules of the district that are in its lists from the start, at least


def package(folder: Path) -> tuple[Path, Path]:
    """An image with its manifest and signature as files, and the maker's public key."""
    image, key = folder / "image.bin", folder / "maker.pub"
    image.write_bytes(maker.content(BLOCKS * BLOCK))
    body = maker.manifest(image.read_bytes(), block_size=BLOCK)
    (folder / "image.bin.manifest").write_bytes(body)
    (folder / "image.bin.sig").write_bytes(maker.sign(body))
    key.write_text(maker.PUBLIC.hex())
    return image, key


def test_after_kill_9_in_the_middle_of_a_wave_it_goes_on_with_the_missing_blocks_until_the_version_runs(
    make_site: Callable[..., Site], tmp_path: Path
) -> None:
    """The canary is one module of one concentrator; the wave must bring every block to the other one too, once."""
    image, key = package(tmp_path)
    site = make_site(
        speed=300.0, field=("--history", "2", "--firmware-key", str(key)),
        changes={"firmware": {"block_pause_seconds": 0.01}},
    )
    site.prepare()
    site.start_field()
    for name in ("engineer1", "engineer2"):
        scada("users", "add", site.config, name, "--role", "engineer", said=f"{PASSWORD}\n{PASSWORD}\n")
    scada("firmware", "trust", site.config, key, "--vendor", maker.VENDOR)
    scada("firmware", "import", site.config, image)
    site.start_server()
    api = site.log_in("engineer1")
    wait_for(lambda: site.figure("dmesh", "links_up") == 2, "both concentrators")
    stored = api("GET", "/api/v1/firmware/images")["images"][0]
    wish = {
        "image": stored["id"], "canary": 1, "wave": 1000, "soak_s": 0, "most_failed_percent": 50, "patience_s": 7200,
    }
    wait_for(lambda: site.figure("firmware", "devices_known") >= KNOWN, "what the modules run to be known", every=0.2)
    made = api("POST", "/api/v1/firmware/campaigns", wish)
    api("POST", "/api/v1/firmware/campaigns/1/start", {"why": ""})
    site.log_in("engineer2")("POST", "/api/v1/firmware/campaigns/1/approve", {"why": ""})

    def in_the_wave() -> bool:
        return campaign(api)["stage"] == 1 and site.figure("firmware", "blocks") >= BLOCKS + 30

    wait_for(in_the_wave, "the middle of the wave", every=0.02)
    before = site.figure("firmware", "blocks")
    assert site.server is not None
    site.server.kill()
    site.start_server()
    followed = scada("firmware", "status", site.config, 1, "-u", "engineer2", "--follow")
    end = campaign(site.log_in("engineer1"))
    modules = site.log_in("engineer1")("GET", "/api/v1/firmware/campaigns/1/modules?most=500")["modules"]
    after = site.figure("firmware", "blocks")

    assert made["state"] == "draft"
    assert stored["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert "campaign 1 done" in followed
    assert 0 < after <= 2 * BLOCKS - before + 1, (before, after)
    assert end["counts"]["done"] >= 0.8 * end["total"], end["counts"]
    assert all(one["state"] == "done" or one["reason"] for one in modules)


def scada(*words: object, said: str = "") -> str:
    """A command, in this process: starting one takes longer than what it does."""
    done = CliRunner(env={"SCADA_PASSWORD": PASSWORD}).invoke(main, [str(word) for word in words], input=said)
    assert done.exit_code == 0, done.output
    return done.output


def campaign(api: Api) -> Any:
    return api("GET", "/api/v1/firmware/campaigns/1")
