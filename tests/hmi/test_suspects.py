"""The pages of suspects: cases with reasons in the language of the page, the chart of evidence, decisions of engineers."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from hmi.lines import lines
from scada.cases import CaseState
from scada.ports import Health
from tests.hmi.conftest import Person
from tests.hmi.fakes import World


def test_a_case_shows_its_reason_its_evidence_and_the_table_behind_it(person: Callable[..., Person]) -> None:
    """Forecast blue, consumption yellow, imbalance red; a day that is not known breaks the line and is a dash."""
    listed = person("engineer").client.get("/suspects").text
    text = person("engineer").client.get("/suspects/1").text

    assert "P-01-003" in listed
    assert "118 ± 9 kWh" in listed
    assert "BG-house" in listed
    assert "not enough data" in listed
    assert "its profile explains 31 % of the imbalance since 2026-03-03" in text
    assert [text.count(f'stroke="{colour}"') for colour in ("#1f6fd0", "#c99700", "#d0312d")] == [2, 2, 2]
    assert "2026-02-24" in text
    assert "–" in text


DOES_NOT_DECIDE = {"en": "It does not decide", "ro": "Nu ea hotărăște", "ru": "Решает не она"}
NOBODY = {
    "en": "no member explains it: perhaps a connection without a meter",
    "ro": "niciun membru nu îl explică: poate un racord fără contor",
    "ru": "ни один участник этого не объясняет: возможно, подключение без счётчика",
}


@pytest.mark.parametrize("language", ["en", "ro", "ru"])
def test_profile_and_imbalance_lie_over_each_other_with_the_correlation_that_does_not_decide(
    person: Callable[..., Person], world: World, language: str
) -> None:
    """The mean day of both in one chart and one table; cases from before it was kept have none of it."""
    day = tuple(0.1 * n for n in range(24))
    shown = attrs.evolve(
        world.cases.suspicion, member="P-01-004", mean_registered=day, mean_imbalance=(*day[:-1], float("nan")),
        resemblance=0.74,
    )
    world.cases.book.enter([shown], "2026-03-12", 1)
    text, older = (person("engineer", language).client.get(f"/suspects/{n}").text for n in (2, 1))
    number = "0.74" if language == "en" else "0,74"

    assert DOES_NOT_DECIDE[language] in text
    assert number in text
    assert [text.count(f'stroke="{colour}"') for colour in ("#1f6fd0", "#c99700", "#d0312d")] == [2, 4, 4]
    assert "<td>23</td>" in text
    assert DOES_NOT_DECIDE[language] not in older


@pytest.mark.parametrize("language", ["en", "ro", "ru"])
def test_a_case_of_a_whole_group_is_decided_like_any_other_and_names_no_member(
    person: Callable[..., Person], world: World, language: str
) -> None:
    """State, note, evidence day by day, outcome."""
    world.cases.book.enter([attrs.evolve(
        world.cases.suspicion, member="BG-T01", cause="unmetered", forecast=(), registered=(), unassigned=(1.5,) * 20,
        reason="no member explains it: perhaps a connection without a meter; unassigned are 25 % of the imbalance since "
        "2026-03-03; 79 ± 16 kWh",
    )], "2026-03-12", 1)
    engineer = person("engineer", language)
    listed, text = (engineer.client.get(f"/suspects{which}").text for which in ("", "/2"))
    engineer.post("/suspects/2", was="new", state="confirmed", note="a kiosk")
    found = world.cases.one(2)

    assert NOBODY[language] in listed
    assert NOBODY[language] in text
    assert ("unassigned are" in text) is (language == "en")
    assert [text.count(f'stroke="{colour}"') for colour in ("#1f6fd0", "#d0312d", "#6b46c1")] == [0, 2, 2]
    assert "/meter/BG-T01" not in text
    assert found is not None
    assert (found.state, found.changes[-1].note) == (CaseState.CONFIRMED, "a kiosk")


@pytest.mark.parametrize(("language", "said"), [
    ("en", "it began when a magnet was reported"), ("ro", "Suspecți"), ("ru", "Подозрения"),
])
def test_the_reason_is_said_in_the_language_of_the_page(
    person: Callable[..., Person], language: str, said: str
) -> None:
    text = person("engineer", language).client.get("/suspects/1").text

    assert said in text
    assert ("it began when" in text) is (language == "en")
    assert "118 ± 9" in text


def test_an_engineer_decides_and_who_saw_an_older_state_is_told(person: Callable[..., Person], world: World) -> None:
    """The decision is in the case, with its note, and in the audit; a stale form changes nothing."""
    engineer = person("engineer")
    engineer.post("/suspects/1", was="new", state="inspection", note="<b>crew 2</b>")
    stale = engineer.client.post(
        "/suspects/1", data={"csrf": engineer.token, "was": "new", "state": "cleared"}, follow_redirects=True
    ).text
    found = world.cases.one(1)

    assert found is not None
    assert found.state is CaseState.INSPECTION
    assert "case 1 is inspection by now: look again" in stale
    assert "&lt;b&gt;crew 2&lt;/b&gt;" in stale
    assert [(row.actor, row.action, row.target) for row in world.audit.rows][-1] == ("engineer", "case.decide", "1")


def test_only_who_may_decide_has_the_buttons_and_a_form_without_token_is_refused(
    person: Callable[..., Person], world: World
) -> None:
    viewer, engineer = person("dispatcher"), person("engineer")
    answer: Any = viewer.post("/suspects/1", was="new", state="cleared")
    bare = engineer.client.post("/suspects/1", data={"was": "new", "state": "cleared"})
    odd: Any = engineer.post("/suspects/1", was="new", state="guilty")
    found = world.cases.one(1)

    assert 'name="note"' not in viewer.client.get("/suspects/1").text
    assert 'name="note"' in engineer.client.get("/suspects/1").text
    assert (answer.status_code, bare.status_code, odd.status_code) == (403, 403, 400)
    assert found is not None
    assert found.state is CaseState.NEW


def test_decided_cases_leave_the_list_and_are_found_by_their_state(person: Callable[..., Person], world: World) -> None:
    engineer = person("engineer")
    engineer.post("/suspects/1", was="new", state="cleared", note="")

    assert "No case here." in engineer.client.get("/suspects").text
    assert "P-01-003" in engineer.client.get("/suspects?which=cleared").text
    assert engineer.client.get("/suspects?which=nonsense&page=-3").status_code == 200
    assert engineer.client.get("/suspects/99").status_code == 404
    assert engineer.client.get(f"/suspects/{2**70}").status_code == 404


def test_long_lists_come_a_page_at_a_time(person: Callable[..., Person], world: World) -> None:
    more = [attrs.evolve(world.cases.suspicion, member=f"X{n}", score=n) for n in range(60)]
    world.cases.book.enter(more, "2026-03-13", 1)
    first = person("engineer").client.get("/suspects").text
    second = person("engineer").client.get("/suspects?page=2").text

    assert first.count("/suspects/") == 50
    assert ">X59<" in first
    assert ">X0<" in second
    assert ">P-01-003<" in second


def test_a_failed_examination_and_an_unreadable_file_are_said(person: Callable[..., Person], world: World) -> None:
    world.more_health.append(Health("suspects", False, "the examination of balance groups failed; it is tried again"))
    warned = person("engineer", "ru").client.get("/suspects").text
    world.cases.book.close()
    gone = person("engineer").client.get("/suspects")

    assert "проверка балансных групп не удалась" in warned
    assert gone.status_code == 503
    assert "the file of cases is closed" in gone.text


def test_a_line_breaks_where_nothing_is_known_and_an_empty_chart_has_an_axis() -> None:
    drawn = lines([[1.0, float("nan"), 2.0, 3.0], [-1.0, 0.0, 0.0, 0.0]], ["a", "b", "c", "d"])
    empty = lines([[float("nan")]], ["a"])

    assert (drawn.paths[0].count("M"), drawn.paths[0].count("L")) == (2, 1)
    assert drawn.ticks[0].value == -1.0
    assert drawn.zero < drawn.bottom
    assert empty.paths == ("",)
    assert len(empty.ticks) > 1
