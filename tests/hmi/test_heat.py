"""The heat map of completeness: every cell has its grade and its words; the page works by keyboard and without."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from flask import Flask, g

from hmi.heat import Days, heat
from tests.hmi.conftest import Person
from tests.hmi.test_api import bearer

DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]


@pytest.mark.parametrize(
    ("due", "lacking", "gone", "css", "says"),
    [
        (24, 0, False, "g0", "complete"), (2400, 1, False, "g1", "99.9 % held, 1 h of channels missing"),
        (1000, 20, False, "g2", "98.0 %"), (100, 20, False, "g3", "80.0 %"), (100, 26, False, "g4", "74.0 %"),
        (100, 1, True, "gone", "1 h of channels given up"), (0, 0, False, "none", "nothing due"),
    ],
)
def test_every_day_has_its_grade_and_a_sentence(
    app: Flask, due: int, lacking: int, gone: bool, css: str, says: str
) -> None:
    """An hour of thousands is never shown as 100 %."""
    row = Days("C01", np.full(30, due), np.full(30, lacking), np.full(30, gone))
    with app.test_request_context():
        g.language = "en"
        made = heat([row], DAYS)

    assert {cell.css for cell in made.rows[0].cells} == {css}
    assert says in made.rows[0].cells[0].title
    assert made.rows[0].cells[0].title.startswith("C01, 2026-11-01: ")
    assert made.days[-1][1] == "30.11"


def test_the_page_has_the_map_and_the_table_for_concentrators_groups_and_modules(person: Callable[..., Person]) -> None:
    """One cell a day and row; 30 days in the map, 14 in the table."""
    client = person("viewer").client
    for path, rows in (("/collection", 2), ("/collection?by=group", 1), ("/collection?concentrator=C01", 13)):
        body = client.get(path).text
        drawn = body.split('<svg class="heat"')[1].split("</svg>")[0]

        assert drawn.count("<rect class=\"g") + drawn.count('<rect class="none"') >= 30 * rows
        assert "<title>" in drawn
        assert body.count("<th class=\"num\">") == 14
        assert "Ask again" not in body                      # a viewer may not


def test_a_gap_is_asked_for_again_on_the_page_and_stands_there(person: Callable[..., Person]) -> None:
    """By a dispatcher; what was refused says why."""
    someone = person("dispatcher")
    form = {"csrf": someone.token, "concentrator": "C01", "module": "C01-001", "first": "2026-11-20", "last": "2026-11-21"}
    asked = someone.client.post("/collection/ask", data=form, follow_redirects=True).text
    refused = someone.client.post("/collection/ask", data=form | {"concentrator": "C02"}, follow_redirects=True).text

    assert "C01-001 is asked again for what is missing." in asked
    assert "waits for its turn" in asked.split("Asked again by people")[1]
    assert "nothing is missing at C02" in refused


def test_programs_see_the_same_and_ask_too(app: Flask) -> None:
    """Worst first, sums of days, modules of one concentrator; a wrong wish is named."""
    client = app.test_client()
    headers = bearer(client)
    get = lambda path: client.get(f"/api/v1/collection{path}", headers=headers)     # noqa: E731
    (row,) = get("").json["rows"]
    modules = get("?by=module&concentrator=C01").json["rows"]
    days = get("?by=day").json["rows"]
    wish = {"concentrator": "C01", "modules": ["C01-001"], "first_hour": 490_000, "hours": 24}
    asked = client.post("/api/v1/collection/ask", json=wish, headers=headers)

    assert (row["name"], row["missing"], row["packets"], row["budget"]) == ("C01", 1, 12, 500)
    assert (modules[0]["name"], modules[0]["missing"], modules[0]["given_up"]) == ("C01-001", 1, 2)
    assert sum(one["lacking"] for one in days) == 3
    assert get("?by=group").json["rows"][0]["name"] == "BG-T01"
    assert [get(path).status_code for path in ("?by=moon", "?by=module", "?concentrator=X")] == [400, 400, 404]
    assert (asked.status_code, asked.json["state"]) == (202, "waiting")
    assert get("/asked").json["asked"][0]["by"] == "dispatcher"
    assert client.post("/api/v1/collection/ask", json=wish | {"modules": 3}, headers=headers).status_code == 400
    assert client.post("/api/v1/collection/ask", json=wish, headers=bearer(client, "viewer")).status_code == 403
