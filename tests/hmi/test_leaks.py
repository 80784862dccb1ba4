"""The pages of leaks: the list with its little pictures, evidence, decisions, the crew's sheet; three languages."""

import csv
import io
import math
from collections.abc import Callable

import attrs
import pytest

from hmi.lines import lines
from hmi.sparks import spark
from scada.leaks import LeakNight, LeakState
from scada.ports import Health
from tests.hmi.conftest import Person
from tests.hmi.fakes import World


def test_the_list_has_flow_beginning_and_amount_and_says_what_could_not_be_told(person: Callable[..., Person]) -> None:
    text = person("engineer").client.get("/leaks").text

    assert "18.3 l/h" in text
    assert "± 2.5 l/h" in text
    assert "1.2 m³/h" in text
    assert "≤ 2026-02-21" in text
    assert "310 W" in text
    assert "a count of its register is too large" in text
    assert "100 l" in text
    assert text.count('class="spark"') == 3
    assert "W-02-010" not in text                           # it is over


@pytest.mark.parametrize(("language", "said"), [("en", "Never below"), ("ro", "Scurgeri"), ("ru", "Утечки")])
def test_it_is_in_the_language_of_the_page(person: Callable[..., Person], language: str, said: str) -> None:
    text = person("engineer", language).client.get("/leaks").text

    assert said in text
    assert ("Never below" in text) is (language == "en")


def test_a_leak_has_its_nights_and_a_person_says_what_became_of_it(person: Callable[..., Person], world: World) -> None:
    """With a note, in the audit; who saw an older state is told; the nights are a chart and a table."""
    dispatcher = person("dispatcher")
    dispatcher.post("/leaks/1", was="new", state="told", note="<b>rang</b>")
    stale = dispatcher.client.post(
        "/leaks/1", data={"csrf": dispatcher.token, "was": "new", "state": "crew"}, follow_redirects=True
    ).text
    found = world.leaks.one(1)

    assert found is not None
    assert found.state is LeakState.TOLD
    assert "leak 1 is told by now: look again" in stale
    assert "&lt;b&gt;rang&lt;/b&gt;" in stale
    assert "2026-03-05" in stale
    assert 'href="/supplies/W-01-005"' in stale             # a valve that can be closed
    assert [(row.actor, row.action, row.target) for row in world.audit.rows][-1] == ("dispatcher", "leak.decide", "1")


def test_only_who_may_decide_has_the_buttons_and_what_is_over_has_none(person: Callable[..., Person], world: World) -> None:
    over = world.leaks.find((LeakState.OVER,))[0][0]
    viewer = person("viewer")

    assert 'name="state"' in person("engineer").client.get("/leaks/1").text
    assert 'name="state"' not in viewer.client.get("/leaks/1").text
    assert viewer.client.post("/leaks/1", data={"csrf": viewer.token, "was": "new", "state": "told"}).status_code == 403
    assert 'name="state"' not in person("engineer").client.get(f"/leaks/{over.number}").text
    assert viewer.client.get("/leaks/99").status_code == 404


def test_the_crew_gets_a_sheet_of_what_is_chosen(person: Callable[..., Person]) -> None:
    answer = person("engineer").client.get("/leaks.csv?medium=water")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))

    assert answer.mimetype == "text/csv"
    assert "leaks-2026-03-12.csv" in answer.headers["Content-Disposition"]
    assert [(row["point"], row["consumer"], row["module"], row["serial"]) for row in rows] == [
        ("W-01-005", "ap. 5", "C01-005", "W100005")
    ]


def test_the_meter_says_that_it_never_stops(person: Callable[..., Person]) -> None:
    client = person("engineer").client

    assert "never below 18.3 l/h since 2026-03-05" in client.get("/meters/W-01-005").text
    assert 'href="/leaks/' not in client.get("/meters/W-02-010").text


def test_before_the_first_night_and_after_one_that_failed_the_page_says_so(
    person: Callable[..., Person], world: World
) -> None:
    world.leaks.night = lambda: LeakNight("")
    world.services.leaks.find = lambda *_: ((), 0)
    world.services.leaks.counts = dict
    world.more_health.append(Health("leaks", False, "the search for leaks failed; it is tried again"))
    empty = person("engineer").client.get("/leaks").text
    russian = person("engineer", "ru").client.get("/leaks").text

    assert "No night has been examined yet" in empty
    assert "No leak here." in empty
    assert "the search for leaks failed" in empty
    assert "the search for leaks failed" not in russian


def test_a_list_is_cut_into_pages(person: Callable[..., Person], world: World) -> None:
    more = [attrs.evolve(world.leaks.flows[0], point=f"X{n}", weight=100.0 + n) for n in range(60)]
    world.leaks.book.enter(more, LeakNight("2026-03-13"), 1)
    first = person("engineer").client.get("/leaks?medium=water").text
    second = person("engineer").client.get("/leaks?medium=water&page=2").text

    assert ">X59<" in first
    assert ">X0<" not in first
    assert ">X0<" in second
    assert "medium=water&amp;page=1" in second or "page=1&amp;" in second


def test_a_picture_breaks_where_nothing_is_known_and_one_night_alone_is_a_dot() -> None:
    nan = math.nan
    drawn = spark([nan, 1.0, nan, 2.0, 3.0], 1.0)
    empty = spark([], 0.0)

    assert drawn.path.count("M") == 2
    assert len(drawn.dots) == 1
    assert 0 <= drawn.limit <= drawn.zero
    assert empty.path == ""
    assert lines([[nan]], ["a"]).paths == ("",)


def test_the_page_of_a_meter_says_what_is_always_on_there(person: Callable[..., Person]) -> None:
    client = person("engineer").client

    assert "<b>310</b> W" in client.get("/meters/P-01-003").text
    assert "Always on" not in client.get("/meters/P-01-005").text
