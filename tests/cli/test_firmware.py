"""`scada firmware`: keys and images beside the server; campaigns against a server that answers as ours does."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scada.cli import firmware_progress as progress
from scada.cli import main
from scada.cli.site import registry_of
from tests import firmware_maker as maker
from tests.cli.test_dispatch import Script

ROOT = Path(__file__).parents[2]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["firmware", *map(str, words)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North}\n", encoding="utf-8")
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The maker's public key, as an administrator gets it."""
    path = tmp_path / "maker.pub.pem"
    path.write_bytes(maker.KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image signed by the maker's own script."""
    private, path = tmp_path / "maker.pem", tmp_path / "image.bin"
    private.write_bytes(maker.KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.write_bytes(maker.content())
    done = subprocess.run(
        [sys.executable, "scripts/sign_firmware.py", path, "--key", private, "--vendor", maker.VENDOR,
         "--hardware", "D100FC", "--version", "2.0", "--rollback", "2", "--block-size", "128"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return path


def test_an_image_signed_by_the_makers_script_is_taken_once_its_key_is_trusted(
    config: Path, key: Path, image: Path
) -> None:
    """Before that it is refused with the command that helps; the fingerprint is shown and everything is audited."""
    before = run("import", config, image)
    trusted = run("trust", config, key, "--vendor", maker.VENDOR)
    taken = run("import", config, image)
    again = run("import", config, image)
    listed = json.loads(run("list", config, "--json").stdout)
    with registry_of(config) as database:
        actions = [row.action for row in database.audit.page(size=10)]

    assert before.exit_code == 3
    assert "scada firmware trust" in before.stderr
    assert trusted.exit_code == taken.exit_code == again.exit_code == 0, taken.output
    assert "is here already" in again.output
    assert listed["images"][0]["signer"] == listed["keys"][0]["fingerprint"] != ""
    assert (listed["images"][0]["version"], listed["images"][0]["hardware"]) == ("2.0", "D100FC")
    assert {"firmware.trust", "firmware.import"} <= set(actions)


def test_a_key_that_is_no_longer_trusted_leaves_its_images_without_a_signer(config: Path, key: Path, image: Path) -> None:
    run("trust", config, key, "--vendor", maker.VENDOR)
    run("import", config, image)
    twice = run("trust", config, key, "--vendor", maker.VENDOR)
    gone = run("trust", config, key, "--vendor", maker.VENDOR, "--remove")
    never = run("trust", config, key, "--vendor", maker.VENDOR, "--remove")
    listed = json.loads(run("list", config, "--json").stdout)

    assert (twice.exit_code, gone.exit_code, never.exit_code) == (2, 0, 2)
    assert listed["keys"] == []
    assert listed["images"][0]["signer"] == ""


@pytest.mark.parametrize("ending", ["bin", "bin.manifest", "bin.sig"])
def test_a_flipped_byte_anywhere_is_refused_and_stores_nothing(config: Path, key: Path, image: Path, ending: str) -> None:
    run("trust", config, key, "--vendor", maker.VENDOR)
    file = image.with_name(f"image.{ending}")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    done = run("import", config, image)

    assert done.exit_code == 3, done.output
    assert json.loads(run("list", config, "--json").stdout)["images"] == []


def test_a_private_key_is_refused_and_not_repeated(config: Path, image: Path) -> None:
    private = image.with_name("maker.pem")
    done = run("trust", config, private, "--vendor", maker.VENDOR)

    assert done.exit_code == 2
    assert "expected an Ed25519 public key" in done.stderr
    assert private.read_text().splitlines()[1] not in done.output + done.stderr


# ------------------------------------------------------------------ campaigns, through a server
def campaign(state: str, done: int, failed: int = 0, why: str = "", **more: Any) -> dict[str, Any]:
    counts = {name: n for name, n in (("done", done), ("failed", failed), ("transfer", 3 - done - failed)) if n}
    return {
        "number": 1, "state": state, "stage": 0, "why": why, "total": 5, "counts": counts | {"waiting": 2},
        "image": {"id": "00", "vendor": "Maker", "hardware": "D100FC", "version": "2.0", "blocks": 10}, "drafter": "ana",
        "approver": "", "soak_ends_ms": 0, "left_out": ["2 modules left out: run 2.0 already"],
        "stages": [
            {"number": 0, "total": 3, "counts": counts, "missing_blocks": 15},
            {"number": 1, "total": 2, "counts": {"waiting": 2}, "missing_blocks": 0},
        ], **more,
    }


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path / "served.yaml"
    path.write_text(
        f"site: {{name: North, timezone: Europe/Chisinau}}\nhmi: {{port: {server.server_port}}}\n", encoding="utf-8"
    )
    trouble = "2 of 3 modules of the stage have failed"
    Script.answers = {
        "/api/v1/session": [{"token": "t"}],
        progress.BASE: [campaign("draft", 0)],
        f"{progress.BASE}/1/start": [campaign("canary", 0)],
        f"{progress.BASE}/1/pause": [campaign("paused", 0, why="paused by eva")],
        f"{progress.BASE}/1": [campaign("canary", 1), campaign("paused", 1, 2, trouble)],
        f"{progress.BASE}/1/modules?state=failed&most=20": [{"total": 1, "modules": [
            {"device": "C01-002", "concentrator": "C01", "reason": "the module says TIMEOUT; it runs 1.0"}]}],
    }
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    monkeypatch.setattr(progress, "FOLLOW_S", 0.0)
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_draft_says_whom_it_is_for_and_that_the_waves_wait(served: Path) -> None:
    done = run("campaign", served, "00", "-u", "eva")

    assert done.exit_code == 0, done.output
    assert "campaign 1 draft" in done.output
    assert "waves not approved yet" in done.output
    assert "2 modules left out" in done.output


def test_followed_it_tells_every_change_and_ends_with_a_status_for_scripts(served: Path) -> None:
    """Blocks delivered, why it stands, who failed; 4 because it is not done."""
    done = run("start", served, "1", "-u", "eva", "--follow")

    assert done.exit_code == 4, done.output
    assert "50 % of the blocks delivered" in done.stderr
    assert "campaign 1 canary, canary before 1 waves: 1 of 5 updated, 0 failed, 2 under way" in done.stderr
    assert "(2 of 3 modules of the stage have failed)" in done.stdout
    assert "C01-002" in done.stdout
    assert "the module says TIMEOUT" in done.stdout


def test_json_is_the_campaign_and_nothing_else(served: Path) -> None:
    assert json.loads(run("pause", served, "1", "-u", "eva", "--json").stdout)["why"] == "paused by eva"


def test_status_of_all_is_a_table(served: Path) -> None:
    Script.answers[progress.BASE] = [{"campaigns": [campaign("canary", 1, 1)]}]
    done = run("status", served, "-u", "eva")

    assert done.exit_code == 0, done.output
    assert "Maker D100FC 2.0" in done.output
    assert "1 of 5" in done.output
