"""Templates: the built-in ones are sound, and a wrong one is told everything that is wrong, with its line."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from scada.drivers.modbus import template
from scada.drivers.modbus.decode import encode, layout
from scada.drivers.modbus.template import DataType, Ratio, Register, WordOrder, builtin_dir, load_template
from scada.errors import ConfigError

BUILTIN = sorted(path.stem for path in builtin_dir().glob("*.yaml"))
SCHEMA = builtin_dir().parents[1] / "schema" / "modbus_template.json"


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_template_loads_and_can_be_laid_out(name: str) -> None:
    """Found by walking the folder: a new template is tested by being there."""
    device = layout(load_template(name))

    assert len(device.factor) == len(device.template.points) > 0
    assert all(block.count <= device.template.max_registers for block in device.blocks)


def test_the_sdm630_carries_the_agreed_points() -> None:
    """Names and units other parts look for."""
    units = {point.name: point.unit for point in load_template("eastron_sdm630").points}

    expected = {"power_active_total": "W", "current_neutral": "A", "frequency": "Hz"}
    expected |= {"energy_import": "kWh", "energy_export": "kWh"}
    expected |= {f"voltage_{sides}": "V" for sides in ("l1_l2", "l2_l3", "l3_l1")}
    for phase in ("l1", "l2", "l3"):
        expected |= {
            f"voltage_{phase}_n": "V", f"current_{phase}": "A", f"power_active_{phase}": "W",
            f"power_apparent_{phase}": "VA", f"power_reactive_{phase}": "var", f"power_factor_{phase}": "",
        }
    assert units == expected


def test_registers_are_those_of_the_example_in_the_manual() -> None:
    """High word first: the manual answers "phase 1 voltage" with 01 04 04 43 66 33 34 1B 38, which is 230.2 V."""
    device = layout(load_template("eastron_sdm630"))
    values = np.zeros(len(device.factor))
    values[0] = 230.2
    image = encode(device, values)

    assert struct.pack(">2H", *image[:2]).hex() == "43663333"


def test_the_schema_in_the_repository_is_the_model() -> None:
    """config/schema is generated: print `scada.drivers.modbus.template.schema()` into it."""
    assert SCHEMA.read_text() == template.schema()
    assert "max_registers" in json.loads(SCHEMA.read_text())["properties"]


def test_an_own_folder_goes_before_the_built_in_one(tmp_path: Path) -> None:
    """An integrator can correct a template without touching the package."""
    (tmp_path / "eastron_sdm630.yaml").write_text(
        "title: mine\nsource: a test\npoints:\n- {name: u, address: 7, scales_with: vt, low: 0, high: 9}\n"
    )
    mine = load_template("eastron_sdm630", (tmp_path,))
    point = mine.points[0]

    assert mine.title == "mine"
    assert (point.register, point.type, point.word_order) == (Register.HOLDING, DataType.UINT16, WordOrder.BIG)
    assert point.scales_with is Ratio.VT


def test_everything_wrong_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    """One look at the message is enough to mend the whole file."""
    path = tmp_path / "bad.yaml"
    path.write_text(
        "title: bad\n"
        "source: nowhere\n"
        "points:\n"
        "- {name: Voltage, address: 0}\n"
        "- {name: b, address: 70000}\n"
        "- {name: c, address: 1, colour: red}\n"
        "- {name: d, address: 2, type: float31}\n"
        "- {address: 3}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_template("bad", (tmp_path,))

    found = {(problem.key, problem.line) for problem in error.value.problems}
    assert found == {
        ("points.0.name", 4), ("points.1.address", 5), ("points.2.colour", 6), ("points.3.type", 7), ("points.4.name", 8)
    }


def test_contradictions_between_fields_are_named_too(tmp_path: Path) -> None:
    """What each field allows and the whole does not."""
    path = tmp_path / "odd.yaml"
    path.write_text(
        "title: odd\n"
        "source: nowhere\n"
        "max_registers: 2\n"
        "points:\n"
        "- {name: a, address: 0, low: 5, high: 5}\n"
        "- {name: a, address: 1, scale: 0}\n"
        "- {name: b, address: 0xFFFF, type: float32}\n"
        "- {name: c, address: 4, type: float64}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_template("odd", (tmp_path,))

    text = str(error.value)
    for part in ("odd.yaml:5", "low 5 is not below", "stands twice", "scale of 0", "ends behind register", "does not fit"):
        assert part in text


NO_TEMPLATES = ("", "points: [", "title: t\nsource: s\npoints: []\n", "- a\n", "title: [1]\nsource: 2\npoints: 3\n")


@pytest.mark.parametrize("text", NO_TEMPLATES)
def test_a_file_that_is_no_template_is_a_config_error(tmp_path: Path, text: str) -> None:
    """Never a traceback, whatever stands in the file."""
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_template("x", (tmp_path,))


@pytest.mark.parametrize("name", ["no_such_meter", "../modbus/eastron_sdm630", "", "/etc/passwd"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    """And a name is never a path."""
    with pytest.raises(ConfigError, match="eastron_sdm630"):
        load_template(name)
