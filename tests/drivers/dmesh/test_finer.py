"""Quarters and halves of an hour, the whole way: a PROFILE as on the wire, the store, `scada read`."""

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from click.testing import CliRunner

from scada.cli import main
from scada.drivers.dmesh import profile
from scada.drivers.dmesh.archive import Figures, Record, Sheaf
from scada.drivers.dmesh.harvest import Harvest
from scada.historian.store import EmbeddedIntervals
from tests.drivers.dmesh.peers import HOUR, day
from tests.drivers.dmesh.test_harvest import Intake
from tests.fakes import site_clock
from tests.historian.helpers import PumpedReactor


@pytest.mark.parametrize(("interval_s", "named"), [(900, "15min"), (1800, "30min")])
def test_from_the_wire_to_the_command_line(tmp_path: Path, interval_s: int, named: str) -> None:
    """Two records of a day each, of modules of one concentrator; finer by --interval, whole hours without it."""
    per_hour = 3600 // interval_s
    truth = np.random.default_rng(interval_s).integers(0, 900, 48 * per_hour)
    reactor, intake = PumpedReactor(), Intake(1)
    store = EmbeddedIntervals(tmp_path / "data" / "history", reactor)
    store.open()
    store.start()
    gathering = Harvest(store, site_clock(reactor), reactor, Figures())
    for number in (1, 2):
        part = truth[(number - 1) * 24 * per_hour:number * 24 * per_hour]
        one = attrs.evolve(
            day(record_hour=HOUR - 72 + 24 * number, modules=(1,)), interval_s=interval_s, counts=part[None],
            status=np.zeros((1, len(part)), np.uint8),
            register=np.array([1000 + int(truth[:(number - 1) * 24 * per_hour].sum())]),
        )
        gathering.bring(Sheaf(intake, number, profile.encode(one), b"", Record(number)))    # type: ignore[arg-type]
    gathering.gather()
    reactor.pump(lambda: intake.acknowledged == [1, 2])
    store.close()

    config = tmp_path / "scada.yaml"
    config.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    (tmp_path / "site.yaml").write_text(
        "concentrators: [{name: C01, link_id: '00000001'}]\n"
        "modules: [{eui: 00000000D1000001, name: M1, concentrator: C01, index: 1, state: active}]\n"
        "points: [{name: P1, medium: electricity}]\n"
        "meters: [{serial: S1, point: P1, eui: 00000000D1000001, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2000-01-01T00:00Z'}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    first, last = (f"{np.datetime64((HOUR + at) * 3600, 's')}+00:00" for at in (-48, 0))
    words = ["read", str(config), "P1", "--from", first, "--to", last, "--json"]
    hours, finer = (
        [row["value"] for row in json.loads(CliRunner().invoke(main, [*words, *more]).output)["rows"]]
        for more in ((), ("--interval", named))
    )

    assert finer == [pulses / 1000 for pulses in truth.tolist()]
    assert hours == [pulses / 1000 for pulses in truth.reshape(-1, per_hour).sum(axis=1).tolist()]
