"""The pages of recalibration: meters by money, and what they cost, entered by an administrator alone."""

import csv
import io
from collections.abc import Callable

import pytest

from hmi.costs import CostsError, terms_from
from scada.site import Medium
from tests.hmi.conftest import Person
from tests.hmi.fakes import World

COSTS = {"tariff": "12,5", "verification": "50", "replacement": "1 200", "lost": "40", "noticed": "20", "drift": "0.05"}


def test_meters_are_listed_by_gain_in_the_currency_of_the_site_and_the_rest_is_said(person: Callable[..., Person]) -> None:
    text = person("engineer").client.get("/recalibration").text

    assert "MDL/a" in text
    assert text.index("W-01-010") < text.index("W-01-005")  # a suspect first
    assert "suspect: 33 % not registered" in text
    assert "nobody has entered what meters of this medium cost" in text
    assert "electricity" in text


@pytest.mark.parametrize(("language", "said"), [("en", "Best replaced at"), ("ro", "Reverificare"), ("ru", "Поверка")])
def test_it_is_in_the_language_of_the_page(person: Callable[..., Person], language: str, said: str) -> None:
    for path in ("/recalibration", "/recalibration/water"):
        text = person("engineer", language).client.get(path).text

        assert said in text or path.endswith("water")
        assert ("Recalibration" in text) is (language == "en")


def test_an_administrator_enters_costs_and_a_curve_and_the_list_follows(
    person: Callable[..., Person], world: World
) -> None:
    """Per cent become shares; lines of the curve may stand in any order."""
    admin = person("administrator")
    before = world.replacements.page((Medium.ELECTRICITY,)).total
    answer = admin.client.post("/recalibration/electricity", data={
        "csrf": admin.token, **COSTS, "age-0": "0", "rate-0": "1", "age-1": "20", "rate-1": "30", "age-3": "10",
        "rate-3": "2",
    }, follow_redirects=True)
    terms = world.registry.directory.terms_of_medium[Medium.ELECTRICITY]

    assert before == 0
    assert "is changed" in answer.text
    assert (terms.tariff, terms.verification, terms.replacement) == (12.5, 50.0, 1200.0)
    assert (terms.lost, terms.noticed, terms.drift) == (0.4, 0.2, 0.0005)
    assert (terms.ages, terms.rates) == ((0.0, 10.0, 20.0), (0.01, 0.02, 0.3))
    assert world.replacements.page((Medium.ELECTRICITY,)).total > 0


def test_every_mistake_is_named_at_once_and_what_was_typed_stays(person: Callable[..., Person], world: World) -> None:
    admin = person("administrator")
    answer = admin.client.post("/recalibration/gas", data={
        "csrf": admin.token, **COSTS, "tariff": "free", "lost": "140", "age-0": "1", "rate-0": "1", "age-1": "2",
    })

    assert answer.status_code == 422
    for said in ("Tariff: expected a number", "does not register: expected a number from 0 to 100", "Point 2 of the curve"):
        assert said in answer.text
    assert 'value="free"' in answer.text
    assert Medium.GAS not in world.registry.directory.terms_of_medium


def test_nobody_else_may_change_what_meters_cost_and_everybody_reads_it(person: Callable[..., Person]) -> None:
    engineer = person("engineer")
    shown = engineer.client.get("/recalibration/water").text

    assert "<input id=" not in shown
    assert "28.5" in shown
    assert "example" in shown
    assert engineer.client.post("/recalibration/water", data={"csrf": engineer.token, **COSTS}).status_code == 403
    assert engineer.client.get("/recalibration/steam").status_code == 404


def test_the_work_order_holds_meters_with_a_gain_alone(person: Callable[..., Person], world: World) -> None:
    answer = person("engineer").client.get("/recalibration.csv?medium=water")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))

    assert len(rows) == world.replacements.page((Medium.WATER,)).worth > 0
    assert all(float(row["gain_a_year"]) > 0 for row in rows)
    assert next(row for row in rows if row["point"] == "W-01-010")["not_registered"] == "0.333"


def test_before_the_registers_are_read_the_page_says_so(person: Callable[..., Person], world: World) -> None:
    world.replacements.known = False

    assert "The registers have not been read since" in person("engineer").client.get("/recalibration").text


@pytest.mark.parametrize(("wrong", "said"), [
    ({"age-0": "0", "rate-0": "1"}, "two points or more"),
    ({"age-0": "0", "rate-0": "1", "age-1": "0", "rate-1": "2"}, "each age once"),
    ({"replacement": "0"}, "expected more than 0"), ({"drift": ""}, "expected a number"),
])
def test_a_form_that_cannot_be_is_refused_in_words(app: object, wrong: dict[str, str], said: str) -> None:
    with app.test_request_context("/"), pytest.raises(CostsError, match=said):  # type: ignore[attr-defined]
        terms_from({**COSTS, **wrong}, Medium.GAS)
