"""Dials and installations from the terminal: a file in, a file out, nothing twice, every wrong line named."""

import json
import sqlite3
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.registry import exchange
from scada.site import Medium, MeterPeriod, Module, ModuleState, Point
from tests.fakes import png
from tests.registry.sites import a_site

NEW, HOUR = 0x00AB_CDEF_0123_4567, 490_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with one module that was heard and has a planned meter."""
    site = a_site()
    site = attrs.evolve(
        site, modules=(*site.modules, Module(NEW, "new", "C01", 9, ModuleState.DISCOVERED, 2)),
        points=(*site.points, Point("Q1", Medium.WATER)),
        meters=(*site.meters, MeterPeriod("plan", "Q1", NEW, 0, 10.0, HOUR)),
    )
    exchange.write(site, tmp_path / "site.yaml")
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: T, timezone: Europe/Chisinau}\ndata_dir: data\nregistry: {import_file: site.yaml}\n")
    run("site", "import", str(path), str(tmp_path / "site.yaml"))
    return path


def run(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(main, list(words))

    assert done.exit_code == status, done.output + repr(done.exception)
    return done


def test_a_file_of_installations_is_done_once_with_its_photos(config: Path) -> None:
    """The second time everything was installed already; a photo lies in the data directory, named after its content."""
    file, photos = config.parent / "today.csv", config.parent / "photos"
    photos.mkdir()
    (photos / "meter 1.png").write_bytes(png(8, 8))
    file.write_text(
        "eui;channel;serial;constant;dial;time;photo\n"
        f"{NEW:016X};0;W-1;10;00123,45;2026-01-05T10:20+02:00;meter 1.png\n"
        f"{NEW:016X};1;E-1;1000;00001,0;2026-01-05T10:40+02:00;\n"
    )
    first = json.loads(run("site", "install", str(config), str(file), "--photos", str(photos), "--json").stdout)
    second = run("site", "install", str(config), str(file), "--photos", str(photos))
    exported = run("dial", "export", str(config), "-").stdout.splitlines()

    assert [(one["module"], one["point"], one["state"], one["again"]) for one in first["installed"]] == [
        ("new", "Q1", "active", False), ("new", "new-1", "active", False),
    ]
    assert second.stdout == "0 meters installed, 2 were installed already, 0 refusals\n"
    assert [line.split(",")[:5] for line in exported[1:]] == [
        ["2026-01-05T08:20:00Z", "00123.45", "Q1", "W-1", "installer"],
        ["2026-01-05T08:40:00Z", "00001.0", "new-1", "E-1", "installer"],
    ]
    (stored,) = (config.parent / "data" / "photos").iterdir()
    assert stored.name == exported[1].split(",")[6]
    assert stored.read_bytes() == png(8, 8)


@pytest.mark.parametrize(("line", "said"), [
    ("00AB,0,W-1,10,1,2026-01-05T10:20Z,,", "4 digits: expected 16"),
    (f"{NEW:016X},0,W-1,ten,1,2026-01-05T10:20Z,,", "constant: expected a number above 0"),
    (f"{NEW:016X},0,W-1,10,1,2026-01-05T10:20Z,../scada.yaml,", "no photo ../scada.yaml"),
    (f"{NEW:016X},0,W-1,10,1,2026-01-05T10:20Z,none.png,", "no photo none.png"),
])
def test_a_file_that_cannot_be_read_installs_nothing(config: Path, line: str, said: str) -> None:
    """The good line neither."""
    file = config.parent / "today.csv"
    good = f"{NEW:016X},1,E-1,1000,1,2026-01-05T10:20Z,,"
    file.write_text(f"eui,channel,serial,constant,dial,time,photo,point\n{good}\n{line}\n")
    done = run("site", "install", str(config), str(file), "--photos", str(config.parent / "data"), status=2)

    assert said in done.output
    assert run("dial", "export", str(config), "-").stdout.count("\n") == 1


def test_a_refused_line_is_named_and_the_others_are_done(config: Path) -> None:
    file = config.parent / "today.csv"
    file.write_text(
        "eui,channel,serial,constant,dial,time\n"
        f"{NEW:016X},7,E-1,1000,1,2026-01-05T10:20Z\n{NEW:016X},0,W-1,10,1,2026-01-05T10:20Z\n"
    )
    done = run("site", "install", str(config), str(file), status=3)

    assert "1 meters installed" in done.output
    assert "today.csv:2: line 2: new has 2 channels; channel 7 is not among them" in done.output


def test_readings_are_imported_exported_and_corrected(config: Path) -> None:
    """What was exported is known when it is imported again; another value needs --correct."""
    file, out = config.parent / "r.csv", config.parent / "out.csv"
    file.write_text("time,dial,point\n2026-01-05T10:20Z,00123.4,P1\n2026-02-05T10:20Z,00160.0,P1\n")
    dry = run("dial", "import", str(config), str(file), "--dry-run").stdout
    new = run("dial", "import", str(config), str(file), "--source", "inspection").stdout
    run("dial", "export", str(config), str(out), "--point", "P1")
    again = json.loads(run("dial", "import", str(config), str(out), "--json").stdout)
    file.write_text("time,dial,point\n2026-02-05T10:20Z,00106.0,P1\n")
    refused = run("dial", "import", str(config), str(file), status=3).output
    run("dial", "import", str(config), str(file), "--correct")

    assert dry == "2 readings: nothing was stored (dry run)\n"
    assert new == "2 readings: 2 new, 0 known already\n"
    assert again == {"new": 0, "known": 2, "checked": 2, "dry_run": False}
    assert "P1 has the reading 160 of that instant already, not 106" in refused
    assert [line.split(",")[1] for line in run("dial", "export", str(config), "-").stdout.splitlines()[1:]] == [
        "00123.4", "00106.0",
    ]
    with sqlite3.connect(config.parent / "data" / "registry.sqlite") as database:
        assert database.execute("SELECT count(*) FROM dial_readings").fetchone() == (3,)


def test_a_wrong_line_of_readings_is_named_and_nothing_is_stored(config: Path) -> None:
    file = config.parent / "r.csv"
    file.write_text("time,dial,point\n2026-01-05T10:20Z,00123.4,P1\n2026-01-05T10:20Z,00123.4,P77\n")
    done = run("dial", "import", str(config), str(file), status=2)

    assert "r.csv:3: line 3: there is no metering point P77" in done.output
    assert run("dial", "export", str(config), "-").stdout.count("\n") == 1
