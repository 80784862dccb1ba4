"""What the pages show: in every language, with quality beside every value, and nothing from elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from flask import Flask
from twisted.internet.task import Clock

from hmi import labels
from hmi.app import create_app
from hmi.assets import Assets
from hmi.i18n import LANGUAGES
from hmi.site_time import SiteTime
from scada.balancing.meters import thermal_device
from scada.balancing.phases.service import PhaseStudyService
from scada.clock import HOUR_S
from scada.commands import Action, Actor, Effect, EffectState, Role, ShedRequest
from scada.errors import Problem
from scada.phase_orders import Achieved, MeasuredGain, MoveState
from scada.phase_study import (
    ConsumerPhase,
    Lack,
    PhaseCheck,
    PhaseCurves,
    PhaseMove,
    PhasePoint,
    PhaseSplit,
    PhaseStudy,
    Unchecked,
    Working,
)
from scada.ports import Health, Priority, ResultTable
from scada.site import Directory, MeshNode, MeshView, Site
from scada.tags import Batch
from tests.hmi.conftest import Person
from tests.hmi.fakes import MODULES, World

PAGES = [
    "/",
    "/transformers/T01",
    "/transformers/T01/losses",
    "/transformers/T01/losses?span=month",
    "/transformers/T02/losses",
    "/balance",
    "/balance/BG-T01",
    "/balance/BG-T01?span=month",
    "/balance/BG-T01/phases",
    "/balance/BG-T01/phases?of=imbalance&net=1&span=days",
    "/balance/BG-house/phases",
    "/network",
    "/network?concentrator=C02",
    "/clocks",
    "/collection",
    "/collection?concentrator=C01",
    "/collection?concentrator=C01&module=C01-001",
    "/collection?concentrator=C02",
    "/collection?by=group",
    "/network?concentrator=C01&colour=battery&sort=trouble&trouble=32&module=C01-007",
    "/network?concentrator=C01&at=1767258000",
    "/meters",
    "/meters?q=ap.+5&medium=electricity",
    "/meters/P-01-003",
    "/meters/P-01-003?known=2025-12-31T12:00",
    "/meters/P-01-003/changes",
    "/meters/W-01-005?span=month",
    "/meters/P-01-003/swap",
    "/modules",
    "/modules?state=lost&q=13&concentrator=C01",
    "/modules/C01-013",
    "/modules/C01-013/step/retire",
    "/modules/C01-013/step/move",
    "/modules/C01-013/step/move?concentrator=C02",
    "/modules/C01-003/swap",
    "/groups/LG-boilers",
    "/reads",
    "/reads?open=1&page=2",
    "/supplies",
    "/supplies?show=off&q=C01",
    "/supplies/P-01-004",
    "/supplies/W-01-005",
    "/dispatch",
    "/alarms",
    "/alarms/journal",
    "/alarms/suppressed",
    "/alarms/events",
    "/alarms/events?device=C01-013&before=1-2",
    "/leaks",
    "/leaks?which=over&medium=gas&page=2",
    "/leaks/1",
    "/recalibration",
    "/recalibration?medium=gas",
    "/recalibration/water",
    "/outages",
    "/outages?before=1",
    "/firmware",
    "/audit",
    "/tags",
    "/tags?bad=1",
    "/account",
    "/account/password",
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_opens_in_every_language_and_loads_nothing_from_elsewhere(
    person: Callable[..., Person], language: str
) -> None:
    """A control room is air-gapped: an external address is a page that never finishes."""
    client = person("administrator", language).client
    for path in PAGES:
        answer = client.get(path)
        addresses = set(re.findall(r"""(?:src|href|action|data-source)\s*=\s*["']([^"']*)""", answer.text))
        outside = {one for one in addresses if re.match(r"(?:\w+:)?//|https?:", one)}
        assert answer.status_code == 200, path
        assert f'<html lang="{language}">' in answer.text
        assert outside == set(), path
        assert "http://" not in answer.text.replace("http%3A//www.w3.org", "")
        assert "https://" not in answer.text


def test_no_page_carries_inline_script_or_style(person: Callable[..., Person]) -> None:
    """The content security policy would silently drop them."""
    client = person("administrator").client
    for path in PAGES:
        answer = client.get(path)
        assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text), path
        assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text), path
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_every_live_value_shows_quality_and_age(person: Callable[..., Person]) -> None:
    """A value without its quality looks as if it were fine."""
    client = person("administrator").client
    for path in ("/", "/transformers/T01", "/transformers/T02", "/tags"):
        values = re.findall(r'<span class="v v-.*?</span></span></span>', client.get(path).text)
        assert len(values) > 10, path
        for value in values:
            assert re.search(r'class="v-word">[^<]+<', value), value
            assert "v-age" in value


def test_a_stale_value_is_named_stale_and_struck(person: Callable[..., Person], world: World, reactor: Clock) -> None:
    reactor.advance(60)
    world.bus.sweep()
    text = person("viewer").client.get("/transformers/T01").text

    assert re.search(r'v-bad" data-tag="T01-meter/voltage_l1_n"', text)
    assert "stale" in text
    assert "60 s" in text


def test_a_missing_value_is_a_dash_and_never_a_zero(person: Callable[..., Person]) -> None:
    text = person("viewer").client.get("/tags?q=C01-001").text

    assert 'v-num">–<' in text
    assert 'v-num">0' not in text


def test_a_transformers_page_shows_its_heat_and_a_week_of_voltage(person: Callable[..., Person], world: World) -> None:
    """Live cells of the hot spot; per phase what was kept, what was not, and a dash where nothing is known."""
    device = thermal_device("T01", "north")
    world.bus.add_device(device)
    now = world.clock.now()
    values = np.array([131.5, 96.0, 48.0, 17.0, 141.0, 20.0])
    world.bus.publish(Batch(device.name, values, np.zeros(6, np.uint8), now, now))
    text = person("viewer").client.get("/transformers/T01").text

    assert re.search(r'data-tag="T01.thermal/hot_spot"[^§]{0,300}131', text)
    assert 'data-tag="T01.thermal/minutes_left"' in text
    assert re.search(r"EN 50160 kept</th><td[^>]*>yes</td><td[^>]*>no</td><td[^>]*>–</td>", text)
    assert "Not a whole week of 1008 means" in text


@pytest.mark.parametrize("path", ["/", "/dispatch", "/alarms", "/account", "/meters", "/login"])
def test_monitor_only_is_on_every_page(person: Callable[..., Person], world: World, app: Flask, path: str) -> None:
    world.desk.monitor_only = True
    client = app.test_client() if path == "/login" else person("viewer").client
    badge = re.search(r'id="monitor-only"[^>]*>', client.get(path).text)

    assert badge is not None
    assert "hidden" not in badge.group(0)


def test_an_incomplete_hour_is_drawn_hatched_and_its_imbalance_stands_in_brackets(person: Callable[..., Person]) -> None:
    text = person("viewer").client.get("/balance/BG-T01").text

    assert 'class="bar part"' in text
    assert 'class="bar whole"' in text
    assert re.search(r'part-value">\(\d', text)
    assert "incomplete" in text


def test_a_year_of_a_balance_has_its_months(person: Callable[..., Person]) -> None:
    """Each leads to its days; the year before and the tabs are a click away."""
    text = person("viewer").client.get("/balance/BG-T01?span=year&year=2025").text

    assert [month for month in range(1, 13) if f"span=month&amp;month=2025-{month:02}" in text] == list(range(1, 13))
    assert "span=year&amp;year=2024" in text


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-11-22", 24)])
def test_a_day_has_its_23_24_or_25_hours_each_with_its_offset(person: Callable[..., Person], day: str, hours: int) -> None:
    text = person("viewer").client.get(f"/meters/P-01-003?date={day}").text
    rows = re.findall(rf"<td>({day} \d\d:00 \+0[23]:00)</td>", text)

    assert len(rows) == len(set(rows)) == hours


def test_a_day_is_shown_as_it_was_known_at_an_instant(person: Callable[..., Person]) -> None:
    client = person("viewer").client
    then = client.get("/meters/P-01-003?date=2025-12-31&known=2025-12-31T12:00").text
    now = client.get("/meters/P-01-003?date=2025-12-31").text

    assert "As it was known at 2025-12-31 12:00 +02:00" in then
    assert "As it was known at" not in now
    assert then.count("1 / 1") < now.count("1 / 1")                     # fewer hours were there
    assert "date=2025-12-30&amp;known=2025-12-31T12:00" in then         # and the next page is of the same instant


@pytest.mark.parametrize("known", ["9999-01-01T00:00", "yesterday", "2099-01-01T00:00", "0001-01-01T00:00"])
def test_an_instant_that_is_none_or_to_come_shows_what_is_known_now(person: Callable[..., Person], known: str) -> None:
    answer = person("viewer").client.get(f"/meters/P-01-003?known={known}")
    assert answer.status_code == 200
    assert "As it was known at" not in answer.text


def test_how_hours_came_says_when_from_whom_and_what_was_validated(person: Callable[..., Person]) -> None:
    client = person("viewer").client
    text = client.get("/meters/P-01-003/changes?date=2025-11-22").text

    assert re.search(r"2025-11-23 02:00:00 .{6}</td><td[^>]*>2025-11-22 00:00 .{6}</td><td>marked later: clock was", text)
    assert text.count("<td>delivered</td>") == 24
    assert "record 12" in text
    assert "typical of the hour" in text
    assert client.get("/meters/none/changes").status_code == 404


def test_hours_that_are_not_over_are_one_row_and_the_future_has_no_link(person: Callable[..., Person]) -> None:
    """Ten empty rows say less than one that counts them; nothing is to be seen on a day that has not come."""
    client = person("viewer").client
    today, yesterday = client.get("/meters/P-01-003").text, client.get("/meters/P-01-003?date=2025-12-31").text

    assert today.count("not over yet, like the 11 after it") == 1
    assert 'rel="next"' not in today
    assert 'rel="next"' in yesterday


def test_a_missing_feed_is_named_where_the_members_are_complete(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """"No data" would send somebody to look for meters that are all there."""
    whole = world.services.balances.table

    def unfed(*arguments: Any) -> ResultTable:
        table = whole(*arguments)
        for name in ("feed", "imbalance", "imbalance_percent", "uncertainty"):
            table.columns[name][:] = np.nan
        return table

    monkeypatch.setattr(world.services.balances, "table", unfed)
    client = person("viewer").client
    page, index, overview = (client.get(path).text for path in ("/balance/BG-T01", "/balance", "/"))

    assert 'class="unfed"' in page
    assert "Without the register of the feed there is no balance" in page
    assert "missing" in index
    assert "the feed is missing" in overview


def test_an_alarm_says_what_it_is_about(person: Callable[..., Person], world: World) -> None:
    """A dispatcher knows flats and quantities, not tag ids."""
    world.alarms.raise_("T01/imbalance_i2_i1", "high", Priority.MEDIUM)
    world.alarms.raise_("C01-003", "magnet", Priority.HIGH)
    text = person("viewer", "ro").client.get("/alarms").text

    assert '<b title="T01/imbalance_i2_i1">T01</b> dezechilibru de curenți' in text
    assert '<b title="C01-003">C01-003</b> ap. 3' in text


@pytest.mark.parametrize(("language", "words"), [
    ("en", ("intervals sent 40 %", "earlier live values sent 7 %")), ("ro", ("intervale trimise 40 %",)),
])
def test_a_destination_that_is_filled_shows_how_far_it_is(
    person: Callable[..., Person], world: World, language: str, words: tuple[str, ...]
) -> None:
    """With bars while it goes on, beside the sentence; nothing when all is there."""
    shares = {"intervals_percent": 40.2, "past_percent": 7.0}
    said = Health("influx:new", True, "up to date; back-fill: 40 % of the intervals, 7 % of the live values", shares)
    over = Health("influx:old", True, "up to date", {"intervals_percent": 100.0, "past_percent": 100.0})
    world.more_health = [said, over]
    page = re.sub(r"\s+", " ", person("administrator", language).client.get("/").text)

    assert [word for word in words if word not in page] == []
    assert page.count('<svg viewBox="0 0 40 10" preserveAspectRatio="none" role="img"') == 2
    if language == "ro":
        assert "completare: 40 % din intervale, 7 % din valorile curente" in page


def test_the_audits_detail_is_text_and_not_json(person: Callable[..., Person], world: World) -> None:
    actor = Actor("system", Role.ADMINISTRATOR)
    world.audit.append_now(actor, "shed.closed", "LG-1", members={"restored": 22}, command="ab" * 16, areas=[], off=False)
    text = person("administrator").client.get("/audit").text

    assert "members: restored: 22; command: abababab…; off: false<" in text


@pytest.mark.parametrize(
    "bad",
    [
        "?date=nonsense",
        "?span=month&month=2026-99",
        "?date=0001-01-01",
        "?span=month&month=9999-12",
        "?page=-1",
        "?page=9" + "9" * 30,
    ],
)
def test_a_nonsense_query_is_answered_with_a_page(person: Callable[..., Person], bad: str) -> None:
    client = person("viewer").client
    for path in ("/meters/P-01-003", "/balance/BG-T01", "/meters", "/tags"):
        assert client.get(path + bad).status_code == 200, path + bad


def test_the_meter_list_is_searched_and_paged_by_the_server(person: Callable[..., Person]) -> None:
    client = person("viewer").client
    everything, found = client.get("/meters").text, client.get("/meters?q=P-02-01&page=1").text
    row = r'href="/meters/[PW]-'

    assert len(re.findall(row, everything)) == 50
    assert len(re.findall(row, found)) == 10


def test_unknown_objects_are_a_404_with_a_sentence(person: Callable[..., Person]) -> None:
    client = person("viewer", "ro").client
    for path in ("/transformers/T99", "/balance/none", "/meters/none", "/dispatch/commands/none", "/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "Nu există" in answer.text


def test_a_shed_is_selected_reviewed_confirmed_and_watched(person: Callable[..., Person], world: World) -> None:
    dispatcher = person("dispatcher")
    review = dispatcher.post("/dispatch/select", group="LG-boilers", minutes="10", reason="T01 near its limit").headers[
        "Location"
    ]
    text = dispatcher.client.get(review).text
    unconfirmed = dispatcher.post("/dispatch/execute", selection="S0001", confirm="LG")
    assert world.desk.commands() == ()
    sent = dispatcher.post("/dispatch/execute", selection="S0001", confirm="LG-boilers")
    for _ in range(20):
        world.tick()
    watched = dispatcher.client.get(sent.headers["Location"]).text

    assert "module lost" in text
    assert "2 loads must be switched on by hand" in text
    assert unconfirmed.status_code == 400
    assert "an interlock forbids it (INTERLOCK)" in watched
    assert "loads are off" in watched
    assert "no answer" in watched


def test_a_limit_is_reviewed_with_its_level_and_says_nothing_of_loads_that_are_off(
    person: Callable[..., Person], world: World
) -> None:
    """The form offers the three actions; what is confirmed is what was asked for."""
    dispatcher = person("dispatcher")
    form = dispatcher.client.get("/dispatch").text
    review = dispatcher.post(
        "/dispatch/select", group="LG-boilers", minutes="120", action="limit", level="500", reason=""
    ).headers["Location"]
    text = dispatcher.client.get(review).text
    wish = world.desk.selections["S0001"].request

    assert form.count('<option value="eco">') == form.count('<option value="shed">') > 0
    assert (wish.action, wish.level_w, wish.off_for_s) == (Action.LIMIT, 500, 7200)
    assert "at most 500 W each" in text
    assert "Expected relief" not in text
    assert "Off for" not in text


def test_the_review_counts_everybody_the_command_goes_to(person: Callable[..., Person], world: World) -> None:
    """A radio command reaches the whole group: who may not answer is marked, not left out."""
    dispatcher = person("dispatcher")
    review = dispatcher.post("/dispatch/select", group="LG-boilers", minutes="10", reason="").headers["Location"]
    text = dispatcher.client.get(review).text
    members = len(world.desk.selections["S0001"].members)
    table = text.split("The command goes to</h2>")[1]

    assert f"Shed {members} loads" in text
    assert table.count("<tr>") == members + 1
    assert table.count("may not answer") == sum(bool(m.obstacle) for m in world.desk.selections["S0001"].members) > 0
    assert "Left out" not in text


def test_the_measured_effect_of_a_shed_stands_on_its_page_and_in_the_api(
    person: Callable[..., Person], world: World
) -> None:
    """Confirmed with kilowatts and their uncertainty; where it cannot be told the page says why, in its language."""
    dispatcher = person("dispatcher", "ro")
    selection = world.desk.select(Actor("d", Role.DISPATCHER), ShedRequest("LG-ev", 600)).result.id
    command = world.desk.execute(Actor("d", Role.DISPATCHER), selection).result
    nan = float("nan")
    world.desk._put(attrs.evolve(command, effects=(
        Effect("T01", EffectState.CONFIRMED, 6100.0, 400.0, 9000.0, 60e3, 53.9e3, command.made),
        Effect("T02", EffectState.CANNOT_TELL, nan, nan, 0.0, nan, nan, command.made, "too few measurements"),
    )))
    text = dispatcher.client.get(f"/dispatch/commands/{command.id}").text
    told = dispatcher.client.get(f"/api/v1/dispatch/commands/{command.id}").json

    assert "6,1 ± 0,4 kW" in text
    assert "prea puține măsurători" in text
    assert (told["confirmation"], told["shed_w"], told["effects"][1]["shed_w"]) == ("confirmed", 6100.0, None)


def test_a_group_of_which_nobody_is_expected_to_answer_can_be_executed_as_in_every_other_channel(
    person: Callable[..., Person], world: World
) -> None:
    """The desk decides, and it would: the page must not know better."""
    site = world.registry.directory.site
    # The fake desk takes the modules of protected consumers for lost.
    consumers = tuple(attrs.evolve(one, protected=True) for one in site.consumers)
    world.registry.directory = Directory(attrs.evolve(site, consumers=consumers))
    dispatcher = person("dispatcher")
    review = dispatcher.post("/dispatch/select", group="LG-boilers", minutes="10", reason="").headers["Location"]
    members = world.desk.selections["S0001"].members
    assert all(member.obstacle for member in members)
    text = dispatcher.client.get(review).text

    assert "data-needs-confirm" in text
    assert f"Shed {len(members)} loads" in text
    assert dispatcher.post("/dispatch/execute", selection="S0001", confirm="LG-boilers").status_code == 302


def test_the_network_table_says_how_good_its_figures_are(person: Callable[..., Person], world: World) -> None:
    """Last known while the link is down, with the time they are of; nothing at all is no value yet, and no zero."""
    client = person("viewer").client
    up, down = client.get("/network?concentrator=C01").text, client.get("/network?concentrator=C02").text

    assert up.count("q-good") == MODULES - 1
    assert "q-unsure" not in up
    assert down.count("q-unsure") == MODULES
    assert re.search(r"The link is down: what stands here is the last known, as of \d{4}-", down)


def test_a_module_that_never_reported_has_no_figures(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = float("nan")
    mute = MeshNode(0x00124B0000000000 + 1001, 1, 1, 0, nan, nan, nan, 0, 0, nan, 0)
    monkeypatch.setattr(world.mesh, "views", lambda: (MeshView("C01", True, 1, (mute,), world.clock.now()),))
    text = person("viewer").client.get("/network").text
    row = text.split("<tbody>")[-1]

    assert "no value yet" in row
    assert "poor link" not in text.replace(">poor link</option>", "")
    assert not re.search(r'class="num">0[ .<]', row)


def test_a_module_that_nobody_hears_hangs_on_nothing(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent has index 0, as the concentrator has; it is not drawn below it, and its last link is no link."""
    first, second, *_ = world.mesh.views()[0].nodes
    nodes = (first, attrs.evolve(second, parent=0, level=0))
    monkeypatch.setattr(world.mesh, "views", lambda: (MeshView("C01", True, 1, nodes, world.clock.now()),))
    text = person("viewer").client.get("/network?module=C01-002").text
    heard, unheard = sorted(text.split("<tbody>")[-1].split("<tr ")[1:], key=lambda row: "C01-002" in row)

    assert "<td>C01</td>" in heard
    assert "<td>not in the tree</td>" in unheard
    assert "<td>C01</td>" not in unheard
    assert text.count("<path class=\"edge") == 1
    assert re.search(r"Parents in order</dt><dd>not in the tree *[<›]", text)
    assert '<span class="flag">no way to the concentrator</span>' in unheard


def test_the_network_page_colours_filters_and_orders_by_what_is_asked(person: Callable[..., Person]) -> None:
    """Among hundreds of modules nobody finds the bad one by reading."""
    client = person("viewer").client
    plain = client.get("/network?concentrator=C01").text
    poor = client.get("/network?concentrator=C01&trouble=2&sort=delivery&colour=battery").text
    listed = [re.search(r">(C01-\d+)<", row) for row in poor.split("data-keys")[1].split("<tr ")[1:]]

    assert plain.split("data-keys")[1].count("<tr ") == MODULES - 1
    assert [found.group(1) for found in listed if found] == ["C01-011"]
    assert len(re.findall(r'class="node [^"]* dim"', poor)) == MODULES - 2
    assert "Modules that carry most" in plain
    assert re.search(r"Heard by two concentrators.*?C01-005.*?C02", plain, re.DOTALL)
    assert client.get("/network?colour=nonsense&sort=x&trouble=x&at=x&concentrator=x&module=x").status_code == 200


def test_the_panel_of_a_module_tells_its_ways_its_battery_and_its_history(person: Callable[..., Person]) -> None:
    text = person("viewer").client.get("/network?concentrator=C01&module=C01-003").text
    panel = text.split('id="module"')[1].split("<svg")[0]

    assert "Parents in order" in panel
    assert "Charge counted since the installation" in panel
    assert re.search(r"\d\.\d <span class=\"muted\">\(\d+\.\d–\d+\.\d\)", panel)
    assert "not in the tree" in panel


def test_a_tree_of_the_past_says_so_and_shows_no_figures_of_the_present(person: Callable[..., Person]) -> None:
    text = person("viewer").client.get("/network?concentrator=C01&at=1767258000").text
    long_ago = person("viewer").client.get("/network?concentrator=C01&at=1000").text

    assert "This is the tree as it was known at 2026-01-01" in text
    assert "Back to the present" in text
    assert text.count('class="node ') == MODULES - 1
    assert "dBm</td>" not in text
    assert 'class="node ' not in long_ago


def test_an_outage_is_told_with_its_cause_its_evidence_and_its_consumers(
    person: Callable[..., Person], world: World
) -> None:
    """In the language of the page, with what else it might be; what is over says into what it went."""
    english = person("viewer").client.get("/outages").text
    romanian = person("viewer", "ro").client.get("/outages").text
    opened, over = english.split("<h2>Over</h2>")

    assert "Building B2" in opened
    assert "2 of 2 modules there are out, 2 of them said" in opened
    assert "Or: relay C02-001 is likely lost" in re.sub(r"\s+", " ", opened)
    assert "1 outages, 2 consumers" in opened
    assert "It turned out to be part of: B2" in over
    assert "alimentarea clădirii B2 este probabil pierdută" in romanian
    assert "is likely" not in romanian
    world.outages.opened = ()
    assert "Nobody is known to be out." in person("viewer").client.get("/outages").text


def test_a_suppressed_alarm_is_on_its_own_tab_with_its_parent_and_not_in_the_list(
    person: Callable[..., Person], world: World
) -> None:
    alarm = world.alarms.raise_("C02-001", "power_down", Priority.MEDIUM)
    world.alarms.set(attrs.evolve(alarm, suppressed_by="Outage.B2:outage_building"))
    client = person("dispatcher").client
    hidden = client.get("/alarms/suppressed").text

    assert 'data-alarm="C02-001:power_down"' in hidden
    assert "under Outage.B2:outage_building" in hidden
    assert "data-ack" not in hidden.split("<tbody")[1].split("</tbody>")[0]
    assert "C02-001:power_down" not in client.get("/alarms").text
    assert "1 alarms are suppressed by design" in client.get("/outages").text


def test_the_register_of_a_meter_has_its_quality(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = person("viewer").client
    known = client.get("/meters/P-01-003").text
    monkeypatch.setattr(world.services.metering, "register", lambda points, hour, known: np.full(len(points), np.nan))
    unknown = client.get("/meters/P-01-003").text

    register = re.compile(r"<dt>Register</dt><dd>.*?</dd>", re.DOTALL)
    assert 'class="q q-' in register.findall(known)[0]
    assert "no value yet" in register.findall(unknown)[0]


@pytest.mark.parametrize(("language", "said"), [
    ("ro", "străini refuzați în ultima oră: 3; ultimul cu identificatorul de legătură 000000aa, legătură necunoscută"),
    ("ru", "отказов чужим за последний час: 3; последний с номером связи 000000aa, неизвестная связь"),
])
def test_health_is_told_in_the_language_of_the_page(person: Callable[..., Person], language: str, said: str) -> None:
    """Refused strangers too: they are seen on the overview and where the concentrators are."""
    client = person("viewer", language).client

    assert said in client.get("/").text
    assert said in client.get("/network").text


def test_tags_have_their_titles_in_the_language_of_the_page(person: Callable[..., Person]) -> None:
    text = person("viewer", "ro").client.get("/tags?q=T01/").text

    assert "Încărcare față de plăcuță" in text
    assert "Loading against" not in text


def test_a_refusal_outside_the_desk_is_told_in_the_language_of_the_page(person: Callable[..., Person]) -> None:
    """The notice after an acknowledgement."""
    someone = person("dispatcher", "ro")
    someone.post("/alarms/acknowledge", alarm="nothing", comment="")

    assert "nu există alarma nothing de confirmat" in someone.client.get("/alarms").text


def test_a_refused_shed_names_every_reason(person: Callable[..., Person]) -> None:
    answer = person("dispatcher").post("/dispatch/select", group="LG-boilers", minutes="99")

    assert answer.status_code == 409
    assert "Nothing was sent" in answer.text
    assert "this group may be off for" in answer.text


def test_the_language_can_be_changed_on_a_refusal(person: Callable[..., Person]) -> None:
    """The refusal answers a form; going back to the form's own address would be an error page."""
    dispatcher = person("dispatcher")
    refused = dispatcher.post("/dispatch/select", group="LG-boilers", minutes="0")
    back = re.search(r'name="next" value="([^"]*)"', refused.text)

    assert refused.status_code == 409
    assert back is not None
    assert dispatcher.client.get(back[1]).status_code == 200


def test_a_red_group_has_no_button_and_is_refused_when_asked_for_all_the_same(person: Callable[..., Person]) -> None:
    dispatcher = person("dispatcher")
    page = dispatcher.client.get("/dispatch").text
    answer = dispatcher.post("/dispatch/select", group="LG-lifts", minutes="5")

    assert 'value="LG-lifts"' not in page
    assert answer.status_code == 409
    assert "never switched off" in answer.text


def test_an_old_selection_cannot_be_executed(person: Callable[..., Person], reactor: Clock, world: World) -> None:
    dispatcher = person("dispatcher")
    dispatcher.post("/dispatch/select", group="LG-boilers", minutes="10")
    reactor.advance(121)
    answer = dispatcher.post("/dispatch/execute", selection="S0001", confirm="LG-boilers")

    assert answer.status_code == 409
    assert "too old" in answer.text
    assert world.desk.commands() == ()


def test_another_persons_selection_cannot_be_executed(person: Callable[..., Person], world: World) -> None:
    person("dispatcher").post("/dispatch/select", group="LG-boilers", minutes="10")
    person("administrator").post("/dispatch/execute", selection="S0001", confirm="LG-boilers")

    assert world.desk.commands() == ()


def test_an_alarm_is_acknowledged_with_its_comment(person: Callable[..., Person], world: World) -> None:
    engineer = person("engineer")
    engineer.post("/alarms/acknowledge", alarm="C02-007:magnet", comment="on site")
    text = engineer.client.get("/alarms").text

    assert world.alarms.by_id["C02-007:magnet"].comment == "on site"
    assert "Acknowledged: C02-007:magnet" in text
    assert "Acknowledged: C02-007:magnet" not in engineer.client.get("/alarms").text


def test_an_engineer_adopts_a_discovered_module(person: Callable[..., Person]) -> None:
    engineer = person("engineer")
    assert "C02-024" in engineer.client.get("/network").text
    engineer.post("/network/adopt", eui="00124b00000007e8")
    text = engineer.client.get("/network").text

    assert "C02-024 is adopted" in text
    assert "/network/adopt" not in text


@pytest.mark.parametrize("eui", ["", "zz", "ffffffffffffffff"])
def test_a_wrong_module_number_is_refused_with_a_sentence(person: Callable[..., Person], eui: str) -> None:
    engineer = person("engineer")
    engineer.post("/network/adopt", eui=eui)

    assert 'class="note error"' in engineer.client.get("/network").text


def test_text_from_the_field_cannot_become_markup(person: Callable[..., Person], world: World) -> None:
    world.alarms.raise_("<script>alert(1)</script>", "<b>kind", Priority.HIGH)
    client = person("viewer").client
    for path in ("/", "/alarms", "/alarms/journal"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "<b>kind" not in text


def test_a_flood_of_alarms_is_cut_and_says_so(person: Callable[..., Person], world: World) -> None:
    for n in range(2000):
        world.alarms.raise_(f"C01-{n:04}", "battery_low", Priority.LOW)
    text = person("viewer").client.get("/alarms").text

    assert text.count("<tr data-alarm=") == 200
    assert "1803 more are active" in text


def test_without_a_bundle_pages_say_what_to_do(world: World, tmp_path: Path) -> None:
    text = create_app(world.services, assets=Assets(tmp_path)).test_client().get("/login").text

    assert "UI bundle missing, run make ui" in text


def test_an_empty_site_has_words_for_it(world: World, app: Flask, person: Callable[..., Person]) -> None:
    client = person("administrator").client
    world.registry.directory = Directory(Site())
    for path, said in (
        ("/", "No transformer"),
        ("/balance", "No balance group"),
        ("/dispatch", "No load group"),
        ("/meters", "Nothing found"),
    ):
        assert said in client.get(path).text


def test_collection_tells_missing_hours_from_given_up_ones_and_unknown_ones(person: Callable[..., Person]) -> None:
    """One hour of yesterday is missing, two long ago were given up; of C02 nothing is known, which is no 100 %."""
    client = person("viewer").client
    rows = {}
    for path in ("/collection", "/collection?concentrator=C01"):
        body = client.get(path).text.split("<tbody>")[1].split("</tbody>")[0]
        for row in body.split("</tr>")[:-1]:
            name = re.search(r">([^<]+)</a>", row)
            assert name
            rows[name.group(1)] = re.findall(r">(–|100 %|[▼✖] [\d.]+ %)<", row)
    hours = client.get("/collection?concentrator=C01&module=C01-001").text.split("<tbody>")[1].split("</tbody>")[0]

    assert (rows["C01"].count("▼ 97.9 %"), sum("✖" in one for one in rows["C01"])) == (1, 1)
    assert (rows["C01-001"].count("▼ 95.8 %"), sum("✖" in one for one in rows["C01-001"])) == (1, 1)
    assert set(rows["C01-002"]) == set(rows["C02"]) | {"100 %"} == {"–", "100 %"}
    assert (hours.count("▼"), hours.count("✖")) == (1, 2)
    assert client.get("/collection?concentrator=nobody").status_code == 404
    assert client.get("/collection?concentrator=C01&module=nobody").status_code == 404


def test_clocks_show_the_worst_first_and_what_is_beyond_tolerance(person: Callable[..., Person]) -> None:
    """Offsets with their sign; a step is marked, and of an unknown rate nothing is claimed."""
    body = person("viewer").client.get("/clocks").text
    concentrators, modules = (part.split("</tbody>")[0] for part in body.split("<tbody>")[1:3])

    assert "+1.250" in concentrators
    assert "▲ step" in concentrators
    assert modules.index("C01-005") < modules.index("C01-006")
    assert modules.count("▲ beyond tolerance") == 1
    assert "+410.0" in modules


def test_events_are_shown_of_a_device_and_of_a_group(person: Callable[..., Person]) -> None:
    """With words for kind and state; a doubtful time is said; a group nobody knows has none."""
    viewer = person("viewer")
    every, one, group, none = (
        viewer.client.get(f"/alarms/events{query}").text.partition("<table")[2].partition("</table>")[0]
        for query in ("", "?device=T01/loading", "?group=LG-boilers&kind=", "?group=nobody")
    )

    assert [name in every for name in ("C02-007", "C01-012.ch1", "T01/loading")] == [True] * 3
    assert "clock is not known to be right" in every
    assert ("93.2" in one, "C02-007" in one) == (True, False)
    assert ("C01-012.ch1" in group, "T01/loading" in group) == (True, False)
    assert "Nothing found." in none


def phase_study(**other: Any) -> PhaseStudy:
    """A week of three homes: one elsewhere than written, one to be moved."""
    start = (HOUR_S * (490_000 + np.arange(5))).astype(np.int64)
    one, gap = np.array([1000.0, 2000.0, 3000.0, 2500.0, 1500.0]), np.array([1200.0, np.nan, 3500.0, 2700.0, 1900.0])
    curves = PhaseCurves(start, 0.1 * one, 0.5 * one, 1.5 * one, 4 * one, gap, 0.87, 2.0, 0.31, 0.22)
    homes = tuple(
        ConsumerPhase(f"P-01-00{n}", f"Flat {n}", "L1", found, 0.8, found != "L1")
        for n, found in ((1, "L1"), (2, "L3"), (3, "L1"))
    )
    points = (PhasePoint(0, 1.0, 3000.0, 5000.0, 0.6, True), PhasePoint(1, 0.42, 1900.0, 3000.0, 0.3, True))
    values = {
        "consumers": homes, "points": points,
        "order": (PhaseMove(1, "P-01-002", "Flat 2", "L3", "L2", 0.42, True),),
        "splits": (PhaseSplit("P-01-003", "Flat 3", "L1L2", 0.1, 900.0, False),),
        "registered_position": 0.44, "uneven": {HOUR_S: curves}, "losses": {HOUR_S: curves}, "net": {HOUR_S: curves},
        **other,
    }
    return PhaseStudy("BG-T01", 490_000, 168, 160, 150, 0.013, values.pop("lacks", {}), **values)


def test_phases_say_who_hangs_elsewhere_whom_to_move_and_draw_a_gap_as_a_gap(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disagreement with its confidence, the curve, the sheet; the measured line is in two pieces."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(renamed=("L2", "L3", "L1")))
    text = person("viewer").client.get("/balance/BG-T01/phases").text

    assert re.search(r"P-01-002</a> Flat 2</td><td[^>]*>L1</td><td[^>]*><b>L3</b></td><td[^>]*>0.80", text)
    assert re.search(r"<td>P-01-002 Flat 2</td><td[^>]*>L3</td><td[^>]*><b>L2</b></td><td[^>]*>42</td><td>.*measure", text)
    assert re.search(r'class="cs-measured" d="M[^M]+M[^M]+"', text)
    assert all(f'class="cs-{name}"' in text for name in ("min", "max", "band"))
    assert "are L2, L3, L1 in the registry" in text
    assert "0.31" in text
    assert "another 10 % off. It is a small load" in text.replace("\n", " ")


def test_the_curves_are_laid_over_what_was_measured_where_that_is_asked(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rescaled by the factor for the unevenness; the imbalance has another unit, and always is."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study())
    client = person("viewer").client
    true, scaled, imbalance = (
        re.search(r'class="cs-max" d="([^"]+)"', client.get(f"/balance/BG-T01/phases?{query}").text)
        for query in ("", "scaled=1", "of=imbalance"))

    assert true
    assert scaled
    assert imbalance
    assert true.group(1) != scaled.group(1)
    assert scaled.group(1) == imbalance.group(1)


@pytest.mark.parametrize("lack", Lack)
def test_what_a_study_lacks_is_a_sentence(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch, lack: Lack
) -> None:
    """With its figures, and none left as a placeholder."""
    figures = {Lack.TOO_LARGE: (500, 400), Lack.FEW_HOURS: (3, 48), Lack.FEW_FEED_HOURS: (3, 48)}.get(lack, (7,))
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(lacks={lack: figures}))
    text = person("viewer").client.get("/balance/BG-T01/phases").text

    said = re.findall(r'<p class="note warn">([^<]+)</p>', text)
    assert len(said) == 1
    assert "%" not in said[0]
    assert all(str(figure) in said[0] for figure in figures if "%" in str(labels.PHASE_LACK[lack]))


@pytest.mark.parametrize(("mine", "said"), [(True, "checked by power flow"), (False, "Another study of phases")])
def test_a_study_in_the_works_shows_how_far_it_is_and_asks_again_by_itself(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch, mine: bool, said: str
) -> None:
    """Its own, or that of others; without any script."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: Working(mine, "checking", 3, 8))
    text = person("viewer").client.get("/balance/BG-T01/phases").text

    assert said in text
    assert '<progress value="3" max="8">' in text
    assert '<meta http-equiv="refresh"' in text


CHECKED = (
    PhasePoint(0, 1.0, 3000.0, 5000.0, 0.6, True, PhaseCheck(412.5, 21.3, 60.0, 214.6, 0)),
    PhasePoint(1, 0.42, 1900.0, 3000.0, 0.3, True, PhaseCheck(390.1, 12.2, 41.0, 219.9, 2)),
)


def test_points_checked_by_power_flow_have_kwh_neutral_current_and_voltage_and_others_say_why_not(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours without voltages and consumers without a node are said; where nothing is checked, that is."""
    client = person("viewer").client
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(points=CHECKED, outside=4))
    checked = client.get("/balance/BG-T01/phases").text
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(unchecked=Unchecked.NO_NETWORK))
    without = client.get("/balance/BG-T01/phases").text

    assert re.search(r"412.5</td><td[^>]*>21.3</td><td[^>]*>60.0</td><td[^>]*>214.6</td>", checked)
    assert "390.1" in checked
    assert "4 consumers have no node" in checked
    assert "2 hours are left out of the power flow" in checked
    assert "the transformer has no network in the registry" in without
    assert "Lost in lines" not in without


@pytest.mark.parametrize(("computed", "said"), [
    (160, "computed by power flow, and"), (40, "by power flow in 40 of 160 hours, in the others the normal share of"),
    (0, "no technical losses are computed for this group"),
])
def test_the_switch_says_which_losses_it_deducts(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch, computed: int, said: str
) -> None:
    """Computed ones, the normal share, or each in its hours; as it is, nothing is said."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(computed=computed))
    client = person("viewer").client

    assert said in client.get("/balance/BG-T01/phases?of=imbalance&net=1").text
    assert "Deducted" not in client.get("/balance/BG-T01/phases?of=imbalance").text


def test_a_work_order_is_kept_once_and_its_moves_are_looked_up_in_the_registry(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may not order does not; the page shows the promise, then who was there when, and what cannot be said yet."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study(points=CHECKED))
    engineer, viewer = person("engineer"), person("viewer")
    places = [engineer.post("/balance/BG-T01/phases/orders", days="7").headers["Location"] for _ in range(2)]
    refused = viewer.post("/balance/BG-T01/phases/orders", days="7")
    page = engineer.client.get(places[0]).text
    day = str(SiteTime("Europe/Chisinau").day_of(world.clock.now()))
    engineer.post(places[0], was="open", state="done", day=day, note="two ladders")
    done, listed = engineer.client.get(places[0]).text, viewer.client.get("/balance/BG-T01/phases").text

    assert places[0] == places[1]
    assert refused.status_code == 403
    assert "Nobody has said yet that the crew was there." in page
    assert "line loss 412.5 → 390.1 kWh" in page
    assert "two ladders" in done
    assert re.search(r"The registry has none of the moves|Too early to say", done)
    assert f"order done {day}" in listed
    assert [row.action for row in world.audit.rows][-2:] == ["phase_order.keep", "phase_order.settle"]


def test_an_achieved_gain_has_its_interval_and_one_around_nothing_says_so(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both ways."""
    monkeypatch.setattr(PhaseStudyService, "study", lambda *_: phase_study())
    engineer = person("engineer")
    place = engineer.post("/balance/BG-T01/phases/orders", days="7").headers["Location"]
    sure, none = MeasuredGain(0.31, 0.22, 0.39, 0.52, 400, 12), MeasuredGain(0.02, -0.04, 0.09, 0.01, 300, 112)
    monkeypatch.setattr(PhaseStudyService, "achieved", lambda _, order: Achieved(
        order.number, (MoveState.DONE,), None, (), 21, 17, 1.08, none, sure))
    text = engineer.client.get(place).text

    assert "31 % smaller" in text
    assert "(smaller by 22 to 39 %)" in text
    assert text.count("no gain is shown") == 1
    assert "108 %" in text


def test_losses_say_where_and_by_whom(person: Callable[..., Person], world: World) -> None:
    """Sections by what they lose, who makes it, who relieves it; the drawing has every section once."""
    text = person("engineer").client.get("/transformers/T01/losses").text

    assert re.findall(r"<tr><td>(S\d)</td>", text) == ["S1", "S2", "S3", "S4"]
    assert text.count("<path class=\"loss") == 4
    assert 'class="loss3"' in text
    assert '<span class="flag">relieves</span> -0.125' in text.replace("−", "-")
    assert "1 hours are left out" in text


def test_a_network_that_is_missing_or_wrong_or_not_known_says_so(person: Callable[..., Person], world: World) -> None:
    client = person("engineer").client
    assert "no sections" in client.get("/transformers/T02/losses").text
    assert client.get("/transformers/T99/losses").status_code == 404
    world.losses.known = False
    assert "no hour in this period" in client.get("/transformers/T01/losses").text
    world.losses.wrong = (Problem("sections of T01", "S7", "closes a loop"),)
    assert "sections of T01: S7: closes a loop" in client.get("/transformers/T01/losses").text
