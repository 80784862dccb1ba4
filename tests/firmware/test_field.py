"""A campaign from draft to the running version, over real TCP: the driver, the disk, the simulated modules."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import FwActivate, FwOffer, FwStatus, FwVerify, GetFwStatus, Result, image_id
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule
from scada.firmware.trust import TrustedKey, faults, vouched
from scada.rollout import Image
from tests import firmware_maker as maker
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


def test_a_bad_canary_pauses_and_a_good_image_survives_a_lost_link_and_a_new_server(tmp_path: Path) -> None:
    """Success is what the modules run; no block is sent twice although link and service were lost in the middle."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.firmware.field", str(free_port()), str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True, timeout=100, check=False,
    )
    found = json.loads(done.stdout)

    why, reasons = found["paused"]
    assert why in ("1 of 2 modules of the stage have failed", "2 of 2 modules of the stage have failed")
    assert set(reasons) - {""} == {"with the new version it did not reach its concentrator (TIMEOUT); it runs 1.0"}
    assert set(found["untouched"]) == {"WAITING"}
    assert "another person" in found["alone"]
    assert (found["soaked"], found["stages"], found["done"], found["running"]) == (2, 3, ["DONE"] * 8, ["2.0"])
    assert found["again"] <= 1                              # the block whose answer was lost
    assert found["audit"][-3:] == ["firmware.widen", "firmware.widen", "firmware.finish"]


def state() -> ConcentratorState:
    made = ConcentratorState(LINK_ID, LINK_KEY, (SimModule(1, 7, 1),), started=0.0, archive_id=1, boot_id=1)
    made.firmware.makers = (maker.PUBLIC,)
    return made


@pytest.mark.parametrize(
    ("changes", "damage", "code"),
    [
        ({}, 0, Code.ACCEPTED), ({}, 1, Code.CRYPTO), ({"rollback": 0}, 0, Code.DENIED),
        ({"hardware": "X"}, 0, Code.BAD_ARGUMENT),
    ],
)
def test_a_simulated_module_refuses_what_it_must(changes: dict, damage: int, code: Code) -> None:
    """Wrong signature, roll-back, another class."""
    body = maker.manifest(maker.content(), **changes)
    signature = bytes([maker.sign(body)[0] ^ damage, *maker.sign(body)[1:]])

    assert state().firmware.handle(FwOffer(body, signature, sets.bitmap([1])), 0.0) == (Result(code),)


def test_a_simulated_concentrator_takes_no_order_that_was_made_from_another_module_list() -> None:
    """An index may be somebody else's by now."""
    body = maker.manifest(maker.content())
    field = state().firmware
    answers = [
        field.handle(message, 0.0) for message in (
            FwOffer(body, maker.sign(body), sets.bitmap([1]), generation=2), FwVerify(image_id(body), generation=2),
            FwActivate(image_id(body), generation=2), FwOffer(body, maker.sign(body), sets.bitmap([1]), generation=1),
        )
    ]

    assert answers == [(Result(Code.INTERLOCK),)] * 3 + [(Result(Code.ACCEPTED),)]


def test_a_simulated_module_says_what_it_runs() -> None:
    (status,) = state().firmware.handle(GetFwStatus(), 0.0)

    assert isinstance(status, FwStatus)
    assert [(one.index, one.running) for one in status.devices] == [(1, "1.0")]


def test_what_a_simulated_module_runs_outlives_the_simulator() -> None:
    """As JSON in the field's memory."""
    before, after = state().firmware, state().firmware
    before.devices[1].running, before.devices[1].rollback = "2.0", 2
    after.recall(json.loads(json.dumps(before.memory())))

    assert (after.devices[1].running, after.devices[1].rollback) == ("2.0", 2)


def test_an_image_needs_a_trusted_key_of_its_own_vendor() -> None:
    """Every reason is named; a changed byte of the content too."""
    image, body = maker.content(), maker.manifest(maker.content())
    known = Image(b"", maker.VENDOR, "D100FC", "2.0", 2, len(image), hashlib.sha256(image).digest(), 128,
                  b"DMLP1 firmware" + body)
    good, other = (TrustedKey(vendor, maker.PUBLIC, 0, "admin") for vendor in (maker.VENDOR, "Other"))

    assert faults(known, maker.sign(body), image, [good]) == []
    assert vouched(known, maker.sign(body), [other, good]) == good
    assert vouched(known, maker.sign(body), [other]) is None
    assert "no key of Maker is trusted" in faults(known, maker.sign(body), image, [other])[0]
    assert "signature" in faults(known, bytes(64), image, [good])[0]
    assert "SHA-256" in faults(known, maker.sign(body), b"x" + image[1:], [good])[0]
