"""A network from CSV files: what is read, and every mistake with its file and line."""

import numpy as np
import pytest

from scada.balancing.network import read_network
from scada.errors import ConfigError

FILES = {
    "lines.csv": """name,from_bus,to_bus,linecode,length_m
L1,10,11,main,100
L2,11,12,service,20
L3,13,11,own,50
""",
    "linecodes.csv": """name,r1_ohm_per_km,x1_ohm_per_km,r0_ohm_per_km,x0_ohm_per_km,c1_nF_per_km,"""
"""r_phase_ohm_per_km,x_phase_ohm_per_km,r_neutral_ohm_per_km,x_neutral_ohm_per_km
main,0.4,0.07,1.6,0.1,0,,,,
service,1.2,0.09,1.2,0.09,0,,,,
own,,,,,,0.5,0.08,0.6,0.09
""",
    "loads.csv": """name,bus,phase,kv_phase,base_kw,pf_lagging,profile
C1,12,B,0.23,1,0.95,1
C2,13,ABC,0.23,1,,7
C3,11,L1L3,0.23,1,1,
""",
    "source_transformer.csv": """item,parameter,value
source,base_kv,11
source,bus,10
source,u_pu,1.05
source,isc3_A,3000
source,x1_r1,4
transformer,vector_group,Dyn1
transformer,hv_kv,11
transformer,lv_kv,0.416
transformer,s_kva,800
transformer,x_percent,4
transformer,r_percent_total,0.4
transformer,no_load_loss_kw,0.9
""",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def complaints(folder):
    with pytest.raises(ConfigError) as raised:
        read_network(folder)
    return [str(problem) for problem in raised.value.problems]


def test_sections_have_the_impedance_of_their_cable_and_length(folder):
    """The neutral's is a third of what the zero sequence has more than the positive one."""
    network = read_network(folder)

    np.testing.assert_allclose(network.phase_ohm, [0.04 + 0.007j, 0.024 + 0.0018j, 0.025 + 0.004j])
    np.testing.assert_allclose(network.neutral_ohm, [0.04 + 0.001j, 0, 0.03 + 0.0045j], atol=1e-15)
    assert network.nodes[network.root] == "10"


def test_service_points_have_their_phases_profile_and_power_factor(folder):
    """Letters or numbers; a power factor that is not written is 1."""
    network = read_network(folder)

    assert network.point_phases.astype(int).tolist() == [[0, 1, 0], [1, 1, 1], [1, 0, 1]]
    assert network.power_factor.tolist() == [0.95, 1.0, 1.0]
    assert network.profile == ("1", "7", "")


def test_the_supply_is_seen_from_low_voltage(folder):
    """By hand: 416 V, 800 kVA, 0.4 + 4j %; 3 kA at 11 kV with X/R 4."""
    supply = read_network(folder).supply

    assert supply.voltage == pytest.approx(1.05 * 416 / 3**0.5)
    assert supply.impedance == pytest.approx(0.21632 * (0.004 + 0.04j))
    assert abs(supply.grid) == pytest.approx(416**2 / (3**0.5 * 11000 * 3000))
    assert supply.grid.imag / supply.grid.real == pytest.approx(4)
    assert supply.no_load_loss == 900


def test_short_circuit_voltage_and_load_loss_say_the_same_as_r_and_x(folder):
    """As they stand on a nameplate: 4.02 %, 3.2 kW."""
    text = FILES["source_transformer.csv"].replace("x_percent,4\n", "uk_percent,4.019950248\n").replace(
        "r_percent_total,0.4\n", "load_loss_kw,3.2\n")
    (folder / "source_transformer.csv").write_text(text)

    assert read_network(folder).supply.impedance == pytest.approx(0.21632 * (0.004 + 0.04j))


def test_mistakes_of_all_files_are_named_at_once(folder):
    """What is no number with its line, and what does not fit together."""
    (folder / "lines.csv").write_text(FILES["lines.csv"].replace("L2,11,12,service,20", "L2,11,12,srevice,twenty"))
    (folder / "loads.csv").write_text(FILES["loads.csv"].replace("C2,13,ABC", "C2,99,"))
    (folder / "source_transformer.csv").write_text(FILES["source_transformer.csv"].replace("s_kva,800", "s_kva,"))
    said = complaints(folder)

    assert [line for line in said if line.startswith("lines.csv:3: length_m: 'twenty' in 'L2'; expected a number")]
    assert [line for line in said if line.startswith("lines.csv: L2: linecode 'srevice' is not known")]
    assert [line for line in said if line.startswith("loads.csv: C2: no phase")]
    assert [line for line in said if line.startswith("loads.csv: C2: node '99' has no section")]
    assert [line for line in said if line.startswith("source_transformer.csv: transformer s_kva: is missing")]


def test_files_and_columns_that_are_not_there_are_named(folder):
    """Not a KeyError."""
    (folder / "source_transformer.csv").unlink()
    (folder / "loads.csv").write_text("name,node\nC1,12\n")
    said = complaints(folder)

    assert [line for line in said if "source_transformer.csv: no such file" in line]
    assert [line for line in said if line.startswith("loads.csv:1: no column bus, phase")]


def test_a_transformer_that_lets_the_zero_sequence_through_has_to_say_how_much(folder):
    """A Yyn's may be ten times its positive one; guessing would be a wrong loss."""
    text = FILES["source_transformer.csv"].replace("Dyn1", "Yyn0")
    (folder / "source_transformer.csv").write_text(text)
    said = complaints(folder)
    (folder / "source_transformer.csv").write_text(text + "transformer,r0_percent,3\ntransformer,x0_percent,40\n")

    assert said == ["source_transformer.csv: transformer vector_group: 'Yyn0' lets the zero sequence through: expected "
                    "r0_percent and x0_percent, seen from low voltage"]
    assert read_network(folder).supply.zero_impedance == pytest.approx(0.21632 * (0.03 + 0.4j))


def test_a_parameter_that_nobody_knows_is_named(folder):
    """A misspelt no-load loss would be none; half of a zero sequence would be none, too."""
    text = FILES["source_transformer.csv"].replace("no_load_loss_kw", "noload_kw")
    (folder / "source_transformer.csv").write_text(text + "transformer,r0_percent,1\ngrid,isc,2\n")
    said = complaints(folder)

    assert said[0].startswith("source_transformer.csv: transformer noload_kw: is not known; expected one of vector_group, ")
    assert said[1] == "source_transformer.csv: grid isc: is not known; expected one of source, transformer, system"
    assert said[2] == "source_transformer.csv: transformer x0_percent: is missing"


def test_no_folder_is_one_clear_error(tmp_path):
    """It says what was expected there."""
    assert "expected a folder with lines.csv" in complaints(tmp_path / "nothing")[0]
