"""`scada balance losses`: the figures of the functions, as tables, CSV and JSON; from a CSV file and from stored hours."""

import csv
import io
import json
import threading
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.balancing.network import DEFAULTS, Network, calibrate, over, read_network
from scada.balancing.network.of_site import form_of
from scada.cli import losses_anew, main
from scada.cli.losses_inputs import form_factor
from scada.cli.read import open_directory
from scada.cli.site import registry_of
from scada.historian.store import EmbeddedIntervals
from scada.settings import load
from scada.site import Transformer
from tests.cli.test_collection import Remembering
from tests.historian.helpers import PumpedReactor, block

START_H = 490_896                        # 2026-01-01T00:00Z
WATTS = np.array([[1000.0, 5000.0, 2000.0], [4000.0, 300.0, 1500.0], [200.0, 700.0, 900.0]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "lines.csv": "name,from_bus,to_bus,linecode,length_m\nS1,T,A,main,200\nS2,A,B,main,150\nS3,A,C,service,30\n",
        "linecodes.csv": "name,r1_ohm_per_km,x1_ohm_per_km,r0_ohm_per_km,x0_ohm_per_km\n"
                         "main,0.3,0.07,1.2,0.1\nservice,1.2,0.09,4.8,0.1\n",
        "loads.csv": "name,bus,phase,pf_lagging,profile\nP1,B,L1,0.95,\nP2,C,L2,1,\nP3,B,L1L2L3,1,\n",
        "source_transformer.csv": "item,parameter,value\ntransformer,vector_group,Dyn5\ntransformer,hv_kv,10\n"
                                  "transformer,lv_kv,0.4\ntransformer,s_kva,160\ntransformer,uk_percent,4\n"
                                  "transformer,load_loss_kw,2.3\ntransformer,no_load_loss_kw,0.3\n",
        "profiles.csv": "at,P1,P2,P3,other\n" + "".join(
            f"h{index},{','.join(str(watt / 1000) for watt in row)},9\n" for index, row in enumerate(WATTS)),
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def network(folder: Path) -> Network:
    return read_network(folder)


def losses(folder: Path, *options: str, profiles: str | None = "profiles.csv") -> Result:
    given = ["--profiles", str(folder / profiles)] if profiles else []
    return CliRunner().invoke(main, ["balance", "losses", "--network", str(folder), *given, *options])


def test_json_says_what_the_functions_found(folder: Path, network: Network) -> None:
    """Energies in kWh; sections with conductors, consumers with shares, and what is hidden with its doubt."""
    said = json.loads(losses(folder, "--json").output)
    found = over(network, WATTS, 60, DEFAULTS[60])
    assert found.points is not None

    assert (said["intervals"], said["known"], said["collapsed"], said["filled"]) == (3, 3, [], 0)
    assert said["lost_kwh"] == pytest.approx(found.lost / 1000)
    assert said["hidden_kwh"] == pytest.approx(found.hidden / 1000)
    assert said["hidden_doubt_kwh"] == pytest.approx(0.3 * said["hidden_kwh"])
    assert sum(said["lines_kwh"].values()) + said["transformer_kwh"] == pytest.approx(said["lost_kwh"])
    assert [one["name"] for one in said["sections"]] == ["S1", "S2", "S3"]
    assert said["sections"][2]["N"] == pytest.approx(found.sections[2, 3] / 1000)
    assert sum(one["lines"] for one in said["consumers"]) == pytest.approx(sum(said["lines_kwh"].values()))


@pytest.mark.parametrize(("by", "rows"), [("section", ["S1", "S2", "S3"]), ("consumer", ["P1", "P2", "P3"]),
                                          ("interval", ["h0", "h1", "h2"])])
def test_every_table_of_csv_sums_to_the_same_loss(folder: Path, by: str, rows: list[str]) -> None:
    """But for the no-load loss of the transformer, which no consumer makes."""
    header, *found = csv.reader(io.StringIO(losses(folder, "--csv", "--by", by).output))
    lines = json.loads(losses(folder, "--json").output)["lines_kwh"]
    places = [place for place, name in enumerate(header) if name in ("L1", "L2", "L3", "N", "lines")]

    assert [row[0] for row in found] == rows
    assert sum(float(row[place]) for row in found for place in places) == pytest.approx(sum(lines.values()))


def test_the_table_for_people_names_the_worst_section_and_consumer(folder: Path) -> None:
    """Each at the top of its table."""
    said = losses(folder).output

    assert "sections that lose most" in said
    assert said.index("│ S1 ") < said.index("│ S2 ")
    assert "% of what was taken" in said
    assert said.index("│ P2 ") < said.index("│ P3 ")


def test_gaps_are_left_out_and_said_or_filled_and_said(folder: Path) -> None:
    """Never taken as zero."""
    text = (folder / "profiles.csv").read_text().replace("h1,4.0", "h1,")
    (folder / "gaps.csv").write_text(text)
    left, filled = losses(folder, profiles="gaps.csv"), losses(folder, "--fill-gaps", "--json", profiles="gaps.csv")
    nothing = losses(folder, profiles="gaps.csv")

    assert "1 of 3 intervals left out" in left.stderr
    assert (json.loads(filled.output)["known"], json.loads(filled.output)["filled"]) == (3, pytest.approx(1 / 9))
    assert nothing.exit_code == 0


def test_without_a_single_whole_interval_nothing_is_made_up(folder: Path) -> None:
    """An error that says what to do."""
    (folder / "gaps.csv").write_text("at,P1,P2,P3\nh0,1,,1\nh1,,1,1\n")
    done = losses(folder, profiles="gaps.csv")

    assert done.exit_code == 2
    assert "see --fill-gaps" in done.stderr


def test_mistakes_in_the_profiles_are_named_at_once(folder: Path) -> None:
    """A missing column, and cells that are no number with their line."""
    (folder / "bad.csv").write_text("at,P1,P3\nh0,1,2\nh1,one,2\nh2,1,two\n")
    done = losses(folder, profiles="bad.csv")

    assert done.exit_code == 2
    assert "bad.csv: P2: no column for it; expected P2" in done.stderr
    assert "bad.csv:3: P1: 'one'; expected a number" in done.stderr
    assert "bad.csv:4: P3: 'two'; expected a number" in done.stderr


def test_intervals_beyond_what_the_feeder_carries_are_named(folder: Path) -> None:
    """The others are computed."""
    (folder / "much.csv").write_text("at,P1,P2,P3\nnoon,1,1,1\nevening,900,1,1\n")
    done = losses(folder, "--json", profiles="much.csv")

    assert "no voltages found (is the load right?): 1 intervals, evening" in done.stderr
    assert json.loads(done.stdout)["collapsed"] == [1]


def test_the_form_factor_can_be_fitted_to_minute_data_or_left_out(folder: Path) -> None:
    """And where none is known for such means, that is said."""
    rng = np.random.default_rng(1)
    minute = rng.gamma(0.3, 1.0, (180, 3))
    (folder / "minute.csv").write_text("at,P1,P2,P3\n" + "".join(
        f"{index},{','.join(map(str, row))}\n" for index, row in enumerate(minute.tolist())))
    usual, fitted, without, odd = (
        losses(folder, "--json", *options) for options in (
            (), ("--minute-data", str(folder / "minute.csv")), ("--no-form-factor",), ("--minutes", "45"))
    )

    assert json.loads(fitted.output)["hidden_kwh"] > 2 * json.loads(usual.output)["hidden_kwh"] > 0
    assert json.loads(without.output)["hidden_kwh"] == 0
    assert "no form factor for means over 45 minutes, only over 15, 30, 60" in odd.stderr


def test_energies_of_intervals_are_the_same_as_their_mean_power(folder: Path) -> None:
    """Half hours in kWh are half of the kW."""
    halves = "at,P1,P2,P3\n" + "".join(f"{i},{','.join(str(v / 2000) for v in row)}\n" for i, row in enumerate(WATTS))
    (folder / "halves.csv").write_text(halves)
    power, energy = (json.loads(losses(folder, "--minutes", "30", "--json", *options, profiles=name).output)
                     for name, options in (("profiles.csv", ()), ("halves.csv", ("--unit", "kWh"))))

    assert power == energy


def test_stored_hours_of_metering_points_give_the_same_losses(folder: Path) -> None:
    """
    Pulses in the historian, points named as the service points; a point that is missing is named. The same network in the
    registry loses the same, and what is wrong with the one of another transformer is named.
    """
    config = folder / "scada.yaml"
    config.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    (folder / "site.yaml").write_text(
        "transformers: [{name: T, rated_kva: 160, uk_percent: 4, load_loss_kw: 2.3, no_load_loss_kw: 0.3}, {name: T2}]\n"
        "feeders: [{name: F1, transformer: T}, {name: F2, transformer: T2}]\n"
        "linecodes:\n"
        "  - {name: main, r_phase: 0.3, x_phase: 0.07, r_neutral: 0.3, x_neutral: 0.01}\n"
        "  - {name: service, r_phase: 1.2, x_phase: 0.09, r_neutral: 1.2, x_neutral: 0.00333333333}\n"
        "sections:\n"
        "  - {name: S1, feeder: F1, from_node: T, to_node: A, length_m: 200, linecode: main}\n"
        "  - {name: S2, feeder: F1, from_node: A, to_node: B, length_m: 150, linecode: main}\n"
        "  - {name: S3, feeder: F1, from_node: A, to_node: C, length_m: 30, linecode: service}\n"
        "  - {name: X, feeder: F2, from_node: A, to_node: B, length_m: 30, linecode: service}\n"
        "consumers: [{name: K1, phases: L1, feeder: F1}, {name: K2, phases: L2, feeder: F1}, "
        "{name: K3, phases: L1L2L3, feeder: F1}]\n"
        "concentrators: [{name: C01, link_id: '00000001'}]\n"
        "modules:\n" + "".join(
            f"  - {{eui: '000000000000000{n}', name: M{n}, concentrator: C01, index: {n}}}\n" for n in (1, 2, 3))
        + "points:\n" + "".join(
            f"  - {{name: P{n}, medium: electricity, consumer: K{n}, node: {node}, power_factor: {factor}}}\n"
            for n, node, factor in ((1, "B", 0.95), (2, "C", 1), (3, "B", 1)))
        + "meters:\n" + "".join(
            f"  - {{point: P{n}, serial: S{n}, eui: '000000000000000{n}', channel: 0, pulses_per_unit: 1000, "
            "valid_from: '2025-01-01T00:00Z'}\n" for n in (1, 2, 3)),
        encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(folder / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    assert "no point has a node in the network of T2" in imported.output
    reactor = PumpedReactor()
    store = EmbeddedIntervals(folder / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(WATTS.T, first=START_H, eui=[1, 2, 3])))
    store.close()
    usual = json.loads(losses(folder, "--json").output)
    period = ("--config", str(config), "--from", "2026-01-01T00:00Z", "--to", "2026-01-01T03:00Z", "--json")
    stored = json.loads(losses(folder, *period, profiles=None).output)
    registry, wrong, unknown = (
        CliRunner().invoke(main, ["balance", "losses", str(config), name, *period[2:]]) for name in ("T", "T2", "T3")
    )
    (folder / "loads.csv").write_text((folder / "loads.csv").read_text().replace("P3", "P9"), encoding="utf-8")
    missing = losses(folder, *period, profiles=None)

    assert stored["known"] == 3
    assert stored["lost_kwh"] == pytest.approx(usual["lost_kwh"])
    assert stored["consumers"] == usual["consumers"]
    from_registry = json.loads(registry.stdout)
    assert from_registry["form_factor"] == "shipped"
    assert from_registry["lost_kwh"] == pytest.approx(usual["lost_kwh"])
    assert [one["name"] for one in from_registry["sections"]] == ["S1", "S2", "S3"]
    assert "no uk_percent" in wrong.stderr
    assert "no transformer 'T3'; there are T, T2" in unknown.stderr
    assert "P9: no metering point of that name" in missing.stderr


def test_a_form_factor_is_fitted_kept_used_and_forgotten(folder: Path) -> None:
    """Audited, with its source in words; whoever is in the file, hours with a gap left out; a trial changes nothing."""
    config = folder / "scada.yaml"
    config.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    (folder / "site.yaml").write_text("transformers: [{name: T, uk_percent: 4, title: Mill}]\n", encoding="utf-8")
    assert CliRunner().invoke(main, ["site", "import", str(config), str(folder / "site.yaml")]).exit_code == 0
    minute = np.random.default_rng(1).gamma(0.3, 1.0, (240, 4))
    rows = [[f"{one:.6f}" for one in row] for row in minute]
    rows[70][2] = ""
    (folder / "minute.csv").write_text(
        "at,a,b,c,d,nobody\n" + "".join(f"{n},{','.join(row)},\n" for n, row in enumerate(rows)), encoding="utf-8")
    expected = calibrate(np.delete(minute, slice(60, 120), axis=0))
    words = ["balance", "fit", str(config), "T", "--json"]
    data = ["--minute-data", str(folder / "minute.csv")]

    def kept() -> Transformer:
        return open_directory(load(config)).transformer["T"]

    trial, before = CliRunner().invoke(main, [*words, *data, "--dry-run"]), kept()
    done, after = CliRunner().invoke(main, [*words, *data]), kept()
    CliRunner().invoke(main, [*words, *data, "--source", "four flats, May"])
    again, few = kept(), CliRunner().invoke(main, [*words, "--minute-data", str(folder / "profiles.csv")])
    CliRunner().invoke(main, [*words, "--shipped"])
    with registry_of(config) as database:
        audited = [one for one in database.audit.page(size=9) if one.action == "transformer.form_factor"]

    assert (trial.exit_code, done.exit_code) == (0, 0), trial.output + done.output
    assert before == attrs.evolve(after, form_alone=None, form_together=None, form_alike=None, form_doubt=None,
                                  form_source="")
    form = form_of(after)
    assert form is not None
    assert attrs.astuple(form) == pytest.approx(attrs.astuple(expected), rel=1e-4)
    network = attrs.evolve(read_network(folder), form=form)
    assert form_factor(network, 60, None) == (form, "of the registry")
    assert form_factor(network, 15, None) == (DEFAULTS[15], "shipped")
    assert after.form_source == "minute.csv: 4 consumers, 3 hours"
    assert again.form_source == "four flats, May"
    assert kept() == before
    assert "0 hours without a gap; expected two consumers, an hour" in few.output
    assert len(audited) == 3
    assert json.loads(done.stdout)["form_alone"] == after.form_alone


def test_one_source_of_power_has_to_be_named(folder: Path) -> None:
    """None, or two, is a mistake in the call."""
    assert "expected --profiles or --config, one of them" in losses(folder, profiles=None).output
    alone = CliRunner().invoke(main, ["balance", "losses", "--json"])
    assert "expected CONFIG and TRANSFORMER, or --network" in alone.output


def test_a_balance_without_a_word_before_it_is_still_a_groups(tmp_path: Path) -> None:
    """`scada balance CONFIG GROUP`, as it always was; options may stand first."""
    plain = CliRunner().invoke(main, ["balance", str(tmp_path / "none.yaml"), "G"])
    first = CliRunner().invoke(main, ["balance", "--daily", str(tmp_path / "none.yaml"), "G"])
    named = CliRunner().invoke(main, ["balance", "show", str(tmp_path / "none.yaml"), "G"])

    assert "none.yaml' does not exist" in plain.output
    assert plain.output == named.output == first.output


def test_help_lists_what_there_is() -> None:
    """Losses beside the groups' own."""
    said = CliRunner().invoke(main, ["balance", "-h"]).output

    assert "losses" in said
    assert "show" in said


class Turning(Remembering):
    """Answers each path with the next of its answers, the last one for ever."""

    def do_GET(self) -> None:
        super().do_GET()
        if len(waiting := self.answers[self.path]) > 1:
            waiting.pop(0)


def healthz(losses: float, balancing: float, ok: bool = True) -> dict[str, Any]:
    return {"parts": [
        {"part": "losses", "ok": ok, "text": "losses cannot be stored", "figures": {"days_left": losses, "failures": 1.0}},
        {"part": "balancing", "ok": True, "text": "", "figures": {"days_left": balancing}},
    ]}


def test_the_terminal_waits_until_no_day_is_left_of_losses_and_of_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server computes; what is the matter meanwhile is said."""
    answers = type("Answers", (Turning,), {"asked": [], "answers": {
        "/api/v1/session": [{"token": "t"}],
        "/api/v1/losses/recompute": [{"transformers": ["T01"], "groups": ["BG-1", "BG-2"]}],
        "/healthz": [healthz(40, 31), healthz(9, 31), healthz(9, 31, ok=False), healthz(0, 2), healthz(0, 0)],
    }})
    server = HTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "scada.yaml"
    config.write_text(f"site: {{name: N, timezone: UTC}}\nhmi: {{port: {server.server_port}}}\n", encoding="utf-8")
    monkeypatch.setattr(losses_anew, "EVERY_S", 0.01)
    words = ["balance", "losses", str(config), "T01", "--recompute", "2026-01-01", "2026-03-01", "-u", "eva"]
    done = CliRunner(env={"SCADA_PASSWORD": "x"}).invoke(main, words)
    server.shutdown()

    assert done.exit_code == 0, done.output
    assert answers.asked[1] == ("/api/v1/losses/recompute", {
        "first_hour": START_H, "last_hour": START_H + 59 * 24, "transformers": ["T01"],
    })
    assert done.stderr.splitlines() == [
        "71 days left", "40 days left", "losses cannot be stored", "2 days left", "0 days left",
    ]
    assert done.stdout == "computed anew: losses of T01; balances of BG-1, BG-2\n"


def test_a_recomputation_needs_a_registry_a_person_and_an_order_of_time(folder: Path) -> None:
    config = folder / "scada.yaml"
    config.write_text("site: {name: N, timezone: UTC}\n", encoding="utf-8")
    anew = ["--recompute", "2026-01-01", "2026-03-01"]
    for words, said in (
        ([str(config), *anew], "--recompute goes with"),
        (["--network", str(folder), *anew, "-u", "e"], "--recompute goes with"),
        ([str(config), "--recompute", "2026-03-01", "2026-01-01", "-u", "e"], "a start before the end"),
    ):
        done = CliRunner(env={"SCADA_USER": ""}).invoke(main, ["balance", "losses", *words])
        assert (done.exit_code, said in done.output) == (2, True), done.output
