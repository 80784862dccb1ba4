"""`scada balance phases` and `simultaneity`: homes in the real stores are put on phases, and a crew gets its sheet."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.balancing.live import NOMINAL_ANGLES
from scada.balancing.network import DEFAULTS, losses, networks, powers, solve
from scada.balancing.network import feeder as model_of
from scada.balancing.phases.uneven import allocated, unevenness
from scada.balancing.phases.weeks import KIND, WEEK_S
from scada.cli import main
from scada.cli.read import open_directory
from scada.clock import HOUR_S, NS
from scada.historian.livefiles import LiveFiles
from scada.historian.results import put_now
from scada.historian.samples import Samples
from scada.historian.store import EmbeddedIntervals
from scada.ports import ResultTable
from scada.settings import load
from tests.balancing.phases.world import feeder, households
from tests.historian.helpers import PumpedReactor, block

START_S = 1_767_218_400                  # 2025-12-31T22:00Z: midnight in Chisinau
N, DAYS = 18, 8
PERIOD = ("--from", "2026-01-01", "--to", "2026-01-09")
TRUE = np.array([0] * 9 + [1] * 6 + [2] * 3)
WRONG = 7                                # hangs on L1; the registry says L3


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 homes on a line behind T01, its powers every ten minutes; NOMETER has no three-phase feed, WATER no phases."""
    folder = tmp_path_factory.mktemp("phases")
    path = folder / "scada.yaml"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    said = [f"L{phase + 1}" for phase in TRUE]
    said[WRONG] = "L3"
    members = ", ".join(f"P{n}" for n in range(N))
    (folder / "site.yaml").write_text(
        "transformers: [{name: T01, meter: M, uk_percent: 4, load_loss_kw: 2}, {name: T02}]\n"
        "feeders: [{name: F1, transformer: T01}]\n"
        "linecodes: [{name: cable, r_phase: 0.64, x_phase: 0.08, r_neutral: 0.64, x_neutral: 0.08}]\nsections:\n"
        + "".join(f"  - {{name: S{n}, feeder: F1, from_node: {'T01' if not n else f'n{n - 1}'}, to_node: n{n}, "
                  "length_m: 25, linecode: cable}\n" for n in range(N // 2))
        + "concentrators: [{name: C01, link_id: '00000001'}]\n"
        "modules:\n" + "".join(
            f"  - {{eui: '{n + 1:016x}', name: M{n}, concentrator: C01, index: {n + 1}}}\n" for n in range(N))
        + "consumers:\n" + "".join(f"  - {{name: K{n}, title: 'Flat {n}', phases: {said[n]}, feeder: F1}}\n"
                                 for n in range(N))
        + "points:\n" + "".join(f"  - {{name: P{n}, medium: electricity, consumer: K{n}, node: n{n // 2}}}\n"
                              for n in range(N))
        + "  - {name: W, medium: water}\n  - {name: GATE, medium: electricity}\nmeters:\n" + "".join(
            f"  - {{point: P{n}, serial: S{n}, eui: '{n + 1:016x}', channel: 0, pulses_per_unit: 1000, "
            "valid_from: '2025-01-01T00:00Z'}\n" for n in range(N))
        + f"balance_groups:\n  - {{name: BG, medium: electricity, transformer: T01, feed_tag: M/energy_import, "
        f"members: [{members}]}}\n"
        f"  - {{name: NOMETER, medium: electricity, transformer: T02, members: [{members}]}}\n"
        "  - {name: HOUSE, medium: electricity, transformer: T01, feed_point: GATE, "
        "members: [P0, P1, P2, P3, P4, P5, P6]}\n"
        "  - {name: STREET, medium: electricity, transformer: T01, feed_tag: M/energy_import, "
        "members: [HOUSE, P7, P8, P9, P10, P11, P12, P13, P14]}\n"
        "  - {name: WATER, medium: water, members: [W]}\n"
        "balance_members:\n"
        "  - {group: STREET, member: P15, valid_from: '2025-02-01T00:00Z'}\n"
        "  - {group: STREET, member: P16, valid_from: '2026-01-05T00:00Z'}\n"
        "  - {group: STREET, member: P17, role: generation, valid_from: '2025-02-01T00:00Z'}\n",
        encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(folder / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    profiles = np.round(households(N, DAYS))
    reactor = PumpedReactor()
    store = EmbeddedIntervals(folder / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(profiles, first=START_S // HOUR_S, eui=np.arange(1, N + 1))))
    store.close()
    power = np.repeat(feeder(profiles, TRUE), 6, axis=0)
    at = START_S * NS + np.arange(len(power), dtype=np.int64) * 600 * NS
    files = LiveFiles(folder / "data" / "history")
    files.open()
    files.append([(n, f"M/power_active_l{n}") for n in (1, 2, 3)], Samples(
        np.tile(np.arange(1, 4, dtype=np.int32), len(at)), np.repeat(at, 3), power.ravel(), np.zeros(power.size, np.uint8),
    ))
    files.close()
    return path


def asked(config: Path, what: str, group: str, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["balance", what, str(config), group, *PERIOD, *options])


def test_every_home_is_found_and_the_one_the_registry_has_wrong_is_named(config: Path) -> None:
    """From stored pulses and the feed's stored powers alone."""
    said = json.loads(asked(config, "phases", "BG", "--json").stdout)

    assert said["used"] == said["fed"] == 24 * DAYS
    assert [one["found"] for one in said["consumers"]] == [f"L{phase + 1}" for phase in TRUE]
    assert [one["point"] for one in said["consumers"] if one["disagrees"]] == [f"P{WRONG}"]
    assert said["lacks"] == []


def test_the_work_order_takes_homes_off_the_crowded_phase_and_keeps_to_the_cap(config: Path) -> None:
    """Each step with the phase it is on in truth, the home the registry has wrong marked if it is among them."""
    rows = list(csv.DictReader(io.StringIO(asked(config, "phases", "BG", "--moves", "3", "--csv").stdout)))
    points = json.loads(asked(config, "phases", "BG", "--moves", "3", "--json").stdout)["points"]

    assert 0 < len(rows) <= 3
    assert all(row["from"] == f"L{TRUE[int(row['consumer'][1:])] + 1}" != row["to"] for row in rows)
    assert rows[0]["from"] == "L1"
    assert all((row["measure first"] == "1") == (row["consumer"] == f"P{WRONG}") for row in rows)
    assert points[0]["moves"] == 0
    assert points[-1]["left"] == pytest.approx(float(rows[-1]["left"]))
    assert points[-1]["left"] < 0.8


def test_people_read_positions_disagreements_and_a_sheet(config: Path) -> None:
    """In that order."""
    said = asked(config, "phases", "BG").stdout

    places = [said.index(one) for one in ("unevenness as metered", "elsewhere than the registry says", "work order BG")]
    assert places == sorted(places)
    assert f"P{WRONG} " in said.partition("what moves give")[0]


def test_what_cannot_be_said_is_a_sentence(config: Path) -> None:
    """No three-phase feed: moves by the registry; water: nothing; two hours: too few."""
    without, water = asked(config, "phases", "NOMETER"), asked(config, "phases", "WATER")
    short = CliRunner().invoke(
        main, ["balance", "phases", str(config), "BG", "--from", "2026-01-01T00:00", "--to", "2026-01-01T02:00"])
    long = CliRunner().invoke(main, ["balance", "phases", str(config), "BG", "--from", "2025-01-01", "--to", "2026-01-01"])

    assert "no three-phase feed" in without.stderr
    assert "elsewhere than" not in without.stdout
    assert "work order NOMETER" in without.stdout
    assert "not of electricity" in water.stderr
    assert "left out, because too few of their hours have come: 18 members" in short.stderr
    assert "known in 0 hours" in short.stderr
    assert "at most 92 days" in long.stderr
    assert (without.exit_code, water.exit_code, short.exit_code, long.exit_code) == (0, 0, 0, 2)


def test_a_street_of_houses_is_studied_by_its_homes_and_who_came_lately_or_generates_stays(config: Path) -> None:
    """A house in it has a meter of its own; what is with none of its homes is named, and so is what a group lacks."""
    said = json.loads(asked(config, "phases", "STREET", "--json").stdout)
    g = asked(config, "simultaneity", "STREET", "--json")
    house = asked(config, "phases", "HOUSE")

    assert sorted(one["point"] for one in said["consumers"]) == sorted(f"P{n}" for n in range(16))
    assert all(one["found"] == f"L{TRUE[int(one['point'][1:])] + 1}" for one in said["consumers"])
    assert len(said["lacks"]) == 2
    assert "came or went within the period" in said["lacks"][0]
    assert "generate" in said["lacks"][1]
    assert json.loads(g.stdout)["g"][-1]["n"] == 16
    assert "not fed by a meter whose powers by phase are known" in house.stderr
    assert "is unknown: moves are reckoned from the members alone" in house.stdout
    assert "as metered" not in house.stdout


def test_what_the_feed_has_beyond_the_members_is_said_phase_by_phase(config: Path) -> None:
    """A fifth, for a home came late and another is entered as generating."""
    text, said = asked(config, "phases", "STREET").stdout, json.loads(asked(config, "phases", "STREET", "--json").stdout)
    profiles = np.round(households(N, DAYS))
    fed = feeder(profiles, TRUE)
    studied = profiles[:16].sum() + profiles[16, 98:].sum() - profiles[17].sum()

    assert said["rest_of_feed"] == pytest.approx(1 - studied / fed.sum())
    staying = (fed - allocated(profiles[:16], TRUE[:16])).mean(axis=0)
    assert list(said["staying_w"].values()) == pytest.approx(staying.tolist())
    assert f"{said['rest_of_feed']:.0%} of the feed is with no member of this study" in text
    assert f"L3 {staying[2] / 1e3:,.1f}; moves are reckoned with it" in text


def test_simultaneity_falls_with_the_number_of_homes_and_curves_keep_their_order(config: Path) -> None:
    """g(1) is 1; hourly and daily curves: minimum <= p5 <= p95 <= maximum, the metered one between."""
    said = json.loads(asked(config, "simultaneity", "BG", "--json").stdout)
    g = [one["g"] for one in said["g"]]

    assert [one["n"] for one in said["g"]][0::len(g) - 1] == [1, N]
    assert g[0] == pytest.approx(1.0)
    assert g == sorted(g, reverse=True)
    assert said["limit"] < g[-1]
    assert said["misfit"] < 0.05
    assert (len(said["uneven"]["hourly"]["start"]), len(said["uneven"]["daily"]["start"])) == (24 * DAYS, DAYS)
    for curves in said["uneven"].values():
        rows = np.array([curves[name] for name in ("minimum", "low", "high", "maximum")])
        assert (np.diff(rows, axis=0) >= 0).all()
        assert 0 < curves["position"] < 1


def test_simultaneity_for_people_ends_with_its_fit_and_the_curves(config: Path) -> None:
    """And the days with --daily."""
    said = asked(config, "simultaneity", "BG", "--daily")

    assert "BG: g(n), 192 hours" in said.stdout
    assert "g∞ = " in said.stdout
    assert "2026-01-08 00:00:00+02:00" in said.stdout


def test_every_point_is_checked_by_the_power_flow_of_the_registrys_network(config: Path) -> None:
    """The same as the network functions say of today's phases, as profiles show them; more moves, less in the neutral."""
    said = json.loads(asked(config, "phases", "BG", "--json").stdout)
    network = networks(open_directory(load(config))).networks["T01"]
    place = [int(name[1:]) for name in network.points]
    power = np.round(households(N, DAYS))[place].T
    true = network.on_phases(np.eye(3, dtype=bool)[TRUE[place]])
    model = model_of(true)
    flow = solve(model, powers(true, power))
    today, *others = [one["check"] for one in said["points"]]
    sent = (np.conj(flow.current) * model.source[model.phase]).real @ np.eye(3)[model.phase]
    rest = (feeder(np.round(households(N, DAYS)), TRUE) - sent) @ NOMINAL_ANGLES / network.supply.voltage

    assert said["unchecked"] is None
    assert today["neutral"] == pytest.approx(np.abs(flow.current.sum(axis=1) + rest).mean())
    assert today["lowest"] == pytest.approx(np.abs(flow.voltage).min())
    assert today["lost"] == pytest.approx(losses(model, flow, DEFAULTS[60]).lines.sum() / 1e3)
    assert others[-1]["neutral"] < 0.8 * today["neutral"]
    assert others[-1]["lost"] < today["lost"]


def test_where_there_is_no_network_that_is_said_and_the_table_has_no_such_columns(config: Path) -> None:
    """For people; with one, the columns are there."""
    without, there = asked(config, "phases", "NOMETER").stdout, asked(config, "phases", "BG").stdout

    assert "not checked by power flow: the group's transformer has no network" in without
    assert "kWh lost" not in without
    assert all(one in there for one in ("kWh lost", "A neutral", "V, lowest"))


def test_moves_for_the_mean_neutral_current_are_another_choice(config: Path) -> None:
    """Left is of that mean, by the hours themselves: of what the feed's meter has, less what is moved."""
    said = json.loads(asked(config, "phases", "BG", "--objective", "absolute", "--moves", "3", "--json").stdout)
    profiles, phase = np.round(households(N, DAYS)), TRUE.copy()
    fed = feeder(profiles, TRUE)
    rest = fed - allocated(profiles, TRUE)
    for one in said["order"]:
        phase[int(one["point"][1:])] = int(one["to"][1]) - 1
    ratio = unevenness(rest + allocated(profiles, phase)).sum() / unevenness(fed).sum()

    assert said["objective"] == "absolute"
    assert said["points"][-1]["left"] == pytest.approx(ratio)


def test_stored_weeks_are_printed_oldest_first(config: Path) -> None:
    """As a table, JSON and CSV; none is a table without rows."""
    history = config.parent / "data" / "history"
    for place, position in enumerate((0.4, 0.3)):
        table = ResultTable(
            np.array([START_S + place * WEEK_S]), {"position": np.array([position]), "rest": np.array([np.nan])})
        put_now(history, KIND, "NOMETER", WEEK_S, table)
    text, said, rows = (
        asked(config, "phases", "NOMETER", "--weeks", *more).stdout for more in ((), ("--json",), ("--csv",)))
    none = asked(config, "phases", "BG", "--weeks", "--json").stdout

    assert "weeks of NOMETER" in text
    assert [(one["start"], one["position"], one["rest"]) for one in json.loads(said)["weeks"]] == [
        ("2025-12-31T22:00:00Z", 0.4, None), ("2026-01-07T22:00:00Z", 0.3, None)]
    assert [row["position"] for row in csv.DictReader(io.StringIO(rows))] == ["0.4", "0.3"]
    assert json.loads(none)["weeks"] == []


def test_a_small_groups_least_worst_hour_can_be_asked_of_a_solver(config: Path) -> None:
    """Two moves of a house of seven."""
    said = asked(config, "phases", "HOUSE", "--moves", "2", "--exact")

    assert "by the exact solver, for the least largest deviation of a phase in any hour: proven" in said.stdout
    assert said.exit_code == 0


def orders(config: Path, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["balance", "orders", words[0], str(config), *words[1:]])


def test_an_order_is_kept_its_moves_are_looked_up_and_too_early_is_said(config: Path) -> None:
    """Kept with its promise; not before somebody says that the crew was there; then not before a week is over."""
    kept = asked(config, "phases", "BG", "--moves", "2", "--keep", "--json")
    moves = json.loads(kept.stdout)["order"]
    before = orders(config, "achieved", "1")
    text = config.with_name("site.yaml").read_text(encoding="utf-8")
    one = moves[0]["point"][1:]
    was = next(line for line in text.splitlines() if f"name: K{one}," in line)
    phases = was.partition("phases: ")[2][:2]
    changed = text.replace(was, was.replace(f"phases: {phases}", f"phases: {moves[0]['to']}"))
    config.with_name("site.yaml").write_text(changed, encoding="utf-8")
    assert CliRunner().invoke(main, ["site", "import", str(config), str(config.with_name("site.yaml"))]).exit_code == 0
    done = orders(config, "set", "1", "done", "--note", "rain")
    said, after = json.loads(orders(config, "list", "BG", "--json").stdout)["orders"], orders(config, "achieved", "1")
    refused = orders(config, "set", "1", "done", "--on", "2999-01-01")

    assert "kept as work order 1" in kept.stderr
    assert "nobody has said that the crew was there" in before.stdout
    assert done.exit_code == 0
    assert [one["state"] for one in said[0]["moves"]] == ["done", "not_done"]
    assert said[0]["state"] == "done"
    assert "too early to say: 0 days after the moves are known, 7 are needed" in after.stdout
    assert refused.exit_code != 0
    assert "no day up to today" in refused.stderr
