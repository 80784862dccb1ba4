"""`scada site import --layout feeder`: a folder as test feeders are handed on becomes a transformer's network."""

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.balancing.network import networks, over, read_network
from scada.cli import main
from scada.cli.read import open_directory
from scada.cli.site import registry_of
from scada.settings import load
from scada.site import Directory

FILES = {
    "lines.csv": "name,from_bus,to_bus,linecode,length_m\nLINE1,1,2,4c_70,120\nLINE2,2,3,4c_70,80\nLINE3,2,4,2c_16,30\n",
    "linecodes.csv": "name,r1_ohm_per_km,x1_ohm_per_km,r0_ohm_per_km,x0_ohm_per_km,c1_nF_per_km\n"
                     "4c_70,0.446,0.071,1.505,0.083,0\n2c_16,1.15,0.088,1.2,0.088,0\n",
    "loads.csv": "name,bus,phase,kv_phase,base_kw,pf_lagging,profile\nLOAD1,3,A,0.23,1,0.95,1\nLOAD2,4,B,0.23,1,0.95,2\n"
                 "LOAD3,3,ABC,0.23,1,1,3\n",
    "buscoords.csv": "bus,x,y\n1,390872.663,392887.379\n2,390871.5,392887.6\n",
    "source_transformer.csv": "item,parameter,value\nsource,base_kv,11\nsource,u_pu,1.05\n"
                              "transformer,vector_group,Dyn1 (delta-wye lag)\ntransformer,hv_kv,11\n"
                              "transformer,lv_kv,0.416\ntransformer,s_kva,800\ntransformer,x_percent,4\n"
                              "transformer,r_percent_total,0.4\ntransformer,no_load_loss_kw,0.9\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "feeder"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text, encoding="utf-8")
    (tmp_path / "scada.yaml").write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    return made


def imported(folder: Path, *options: str, transformer: str = "T01") -> Result:
    words = ["--layout", "feeder", "--transformer", transformer, *options]
    return CliRunner().invoke(main, ["site", "import", str(folder.parent / "scada.yaml"), str(folder), *words])


def before(folder: Path, text: str) -> None:
    """What the registry holds already."""
    (folder.parent / "site.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["site", "import", str(folder.parent / "scada.yaml"), str(folder.parent / "site.yaml")])
    assert done.exit_code == 0, done.output


def directory(folder: Path) -> Directory:
    return open_directory(load(folder.parent / "scada.yaml"))


def test_the_network_of_the_registry_loses_what_that_of_the_folder_does(folder: Path) -> None:
    """The transformer's own voltages too; a trial changes nothing, the same again neither, and it is audited."""
    trial = imported(folder, "--dry-run", "--json")
    there = directory(folder).site.transformers
    done, again = imported(folder, "--json"), imported(folder)
    active = np.random.default_rng(1).gamma(1.0, 4000.0, (5, 3))
    known = networks(directory(folder))
    ours, theirs = over(known.networks["T01"], active), over(read_network(folder), active)
    with registry_of(folder.parent / "scada.yaml") as database:
        (entry,) = [one for one in database.audit.page(size=5) if one.action == "site.import"]

    assert (trial.exit_code, done.exit_code) == (0, 0), trial.output + done.output
    assert there == ()
    said = json.loads(done.stdout)
    assert {kind: count for kind, count in said["added"].items() if count} == {
        "transformers": 1, "feeders": 1, "linecodes": 2, "sections": 3, "consumers": 3, "points": 3,
    }
    assert json.loads(trial.stdout)["added"] == said["added"]
    assert said["warnings"] == [
        "loads.csv: profile: the registry has no profiles: stored hours are those of the point; left out",
        "buscoords.csv: the registry has no places of nodes; left out",
    ]
    assert "Nothing changed" in again.output
    assert not known.remarks
    np.testing.assert_allclose(ours.sections, theirs.sections, rtol=1e-9)
    np.testing.assert_allclose(ours.transformer, theirs.transformer, rtol=1e-9)
    np.testing.assert_allclose(ours.lowest, theirs.lowest, rtol=1e-9)
    assert [(one.name, one.phases, one.feeder) for one in directory(folder).site.consumers] == [
        ("LOAD1", "L1", "T01-LV"), ("LOAD2", "L2", "T01-LV"), ("LOAD3", "L1L2L3", "T01-LV"),
    ]
    assert directory(folder).transformer["T01"].vector_group == "Dyn1"
    assert str(folder) in entry.target


def test_points_that_are_there_get_their_place_and_keep_their_consumer(folder: Path) -> None:
    """Other transformers, and what the folder says nothing of, stay."""
    before(folder, (
        "transformers: [{name: T01, title: Mill, meter: T01-meter}, {name: T02}]\n"
        "consumers: [{name: K7, title: Ana, phases: L3}]\n"
        "points: [{name: LOAD2, medium: electricity, consumer: K7, title: ap. 7}]\n"
    ))
    done = imported(folder, "--feeder", "north", "--prefix", "T01-")
    now = directory(folder)

    assert done.exit_code == 0, done.output
    assert now.point["LOAD2"] == attrs.evolve(now.point["LOAD2"], consumer="K7", title="ap. 7", node="4", power_factor=0.95)
    assert (now.consumer["K7"].title, now.consumer["K7"].phases, now.consumer["K7"].feeder) == ("Ana", "L2", "north")
    assert "LOAD2" not in now.consumer
    assert (now.transformer["T01"].title, now.transformer["T01"].meter) == ("Mill", "T01-meter")
    assert [one.name for one in now.site.sections] == ["T01-LINE1", "T01-LINE2", "T01-LINE3"]
    assert now.site.sections[0].linecode == "T01-4c_70"


def test_everything_that_is_wrong_is_named_at_once_with_its_line(folder: Path) -> None:
    """In all files, and against what the registry holds: nothing of another network is taken over."""
    before(folder, (
        "transformers: [{name: T02}]\nfeeders: [{name: F2, transformer: T02}, {name: T01-LV, transformer: T02}]\n"
        "linecodes: [{name: 4c_70, r_phase: 1, x_phase: 1, r_neutral: 1, x_neutral: 1}]\n"
        "sections: [{name: LINE2, feeder: F2, from_node: a, to_node: b, length_m: 5, linecode: 4c_70}]\n"
        "consumers: [{name: LOAD3, feeder: F2}]\npoints: [{name: LOAD2, medium: water}]\n"
    ))
    for name, old, new in (
        ("lines.csv", "2,4,2c_16,30", "2,4,3c_16,long"), ("loads.csv", "LOAD1,3,A", "LOAD1,9,D"),
        ("source_transformer.csv", "Dyn1 (", "Yyn0 ("),
    ):
        (folder / name).write_text(FILES[name].replace(old, new), encoding="utf-8")
    held = directory(folder).site
    done = imported(folder)

    assert done.exit_code == 2
    for said in (
        "lines.csv:4: length_m: 'long' in 'LINE3'", "lines.csv:4: LINE3: linecode '3c_16' is not known",
        "loads.csv:2: LOAD1: phase 'D' is not known", "loads.csv:2: LOAD1: node '9' has no section",
        "'Yyn0 (delta-wye lag)' lets the zero sequence through", "T01-LV is a feeder of T02",
        "lines.csv:3: LINE2: there is a section LINE2 of feeder F2; expected another name, see --prefix",
        "linecodes.csv:2: 4c_70: there is a linecode 4c_70 with other figures",
        "loads.csv:3: LOAD2: is a metering point of water", "loads.csv:4: LOAD3: its consumer LOAD3 hangs on feeder F2",
    ):
        assert said in done.output, said
    assert directory(folder).site == held


def test_the_layout_and_its_transformer_are_named_together(folder: Path) -> None:
    config = str(folder.parent / "scada.yaml")
    for words in (["--layout", "feeder"], ["--transformer", "T01"], ["--prefix", "x"],
                  ["--layout", "feeder", "--transformer", "T01", "--replace"]):
        done = CliRunner().invoke(main, ["site", "import", config, str(folder), *words])
        assert (done.exit_code, "--layout feeder goes with --transformer" in done.output) == (2, True), words


def test_nodes_of_another_feeder_of_the_transformer_are_not_joined_by_their_names(folder: Path) -> None:
    """But for the one where the source hangs, which they share."""
    before(folder, (
        "transformers: [{name: T01}]\nfeeders: [{name: F1, transformer: T01}]\n"
        "linecodes: [{name: main, r_phase: 1, x_phase: 1, r_neutral: 1, x_neutral: 1}]\n"
        "sections: [{name: A, feeder: F1, from_node: 1, to_node: 3, length_m: 5, linecode: main}]\n"
    ))
    (folder / "source_transformer.csv").write_text(FILES["source_transformer.csv"] + "source,bus,1\n", encoding="utf-8")
    done = imported(folder)

    assert done.exit_code == 2
    assert "node 3: is in feeder F1 too" in done.output
    assert "node 1" not in done.output
