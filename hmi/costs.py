"""What meters cost and how they fail, as a form: read with every mistake named at once, in words for people."""

import math
from collections.abc import Mapping
from typing import Final

from hmi.i18n import _
from scada.site import Medium, MeterTerms

MOST_POINTS: Final = 40
MORE_POINTS: Final = 3                  # empty lines for new ones
PERCENT: Final = 100.0


class CostsError(ValueError):
    """Everything that is wrong with the form."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def terms_from(form: Mapping[str, str], medium: Medium) -> MeterTerms:
    """The form as the registry has it; per cent become shares, points are put in the order of their ages."""
    mistakes: list[str] = []
    names = {
        "tariff": _("Tariff"), "verification": _("Verification"), "replacement": _("Replacement"),
        "lost": _("A failed meter does not register"), "noticed": _("A failure is noticed"), "drift": _("Drift"),
    }
    limits = {"lost": 100.0, "noticed": 1000.0, "drift": 100.0}
    values = {name: _number(form.get(name, ""), title, limits.get(name, 1e9), mistakes) for name, title in names.items()}
    if values["replacement"] == 0:
        mistakes.append(_("%(what)s: expected more than 0.", what=names["replacement"]))
    points = []
    for line in range(MOST_POINTS):
        age, rate = form.get(f"age-{line}", "").strip(), form.get(f"rate-{line}", "").strip()
        if not age and not rate:
            continue
        where = _("Point %(n)s of the curve", n=line + 1)
        if not age or not rate:
            mistakes.append(_("%(what)s: expected an age and a rate, or neither.", what=where))
            continue
        points.append((_number(age, where, 100.0, mistakes), _number(rate, where, 1000.0, mistakes)))
    points.sort()
    ages, rates = tuple(age for age, _rate in points), tuple(rate / PERCENT for _age, rate in points)
    if not mistakes and points and (len(points) < 2 or ages[0] != 0 or len(set(ages)) < len(ages)):
        mistakes.append(_("The curve: expected two points or more, the first at age 0, each age once."))
    if mistakes:
        raise CostsError(mistakes)
    return MeterTerms(
        medium, values["tariff"], values["verification"], values["replacement"], values["lost"] / PERCENT,
        values["noticed"] / PERCENT, values["drift"] / PERCENT, ages, rates,
    )


def shown_terms(terms: MeterTerms | None, ages: tuple[float, ...], rates: tuple[float, ...]) -> dict[str, str]:
    """What stands in the form: what the registry holds, else the example with nothing where money belongs."""
    fields: dict[str, str] = {}
    if terms is not None:
        fields = {name: _plain(getattr(terms, name)) for name in ("tariff", "verification", "replacement")}
    example = MeterTerms(Medium.WATER, 0.0, 0.0, 1.0)
    for name in ("lost", "noticed", "drift"):
        fields[name] = _plain(PERCENT * getattr(terms or example, name))
    for line, (age, rate) in enumerate(zip(ages, rates, strict=True)):
        fields[f"age-{line}"], fields[f"rate-{line}"] = _plain(age), _plain(PERCENT * rate)
    return fields


def lines_of(fields: Mapping[str, str]) -> int:
    """Lines of the curve that the form shows."""
    used = [line for line in range(MOST_POINTS) if fields.get(f"age-{line}") or fields.get(f"rate-{line}")]
    return min((used[-1] + 1 if used else 0) + MORE_POINTS, MOST_POINTS)


def _plain(value: float) -> str:
    return f"{value:.6g}"


def _number(text: str, what: str, most: float, mistakes: list[str]) -> float:
    try:
        value = float(text.strip().replace(" ", "").replace("\u00a0", "").replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not 0 <= value <= most:
        mistakes.append(_("%(what)s: expected a number from 0 to %(most)s, not “%(text)s”.", what=what,
                          most=f"{most:g}" if most < 1e9 else "10⁹", text=text.strip()[:20]))
        return 0.0
    return value
