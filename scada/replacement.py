"""What the time of a meter's replacement is reckoned to be, as values for pages and commands."""

from enum import StrEnum

import attrs

from scada.site import MeterTerms


class AgeFrom(StrEnum):
    """Where a meter's age is known from."""

    VERIFIED = "verified"               # its registry says when it was made or last verified
    INSTALLED = "installed"             # only since when it hangs here: it may be older


class NotReckoned(StrEnum):
    """Why a meter is not in the list."""

    NO_TERMS = "no_terms"               # nobody entered what meters of its medium cost
    NO_QUANTITY = "no_quantity"         # what passes it in a year is not known
    YOUNG = "young"                     # it hangs there for less than the shortest period


@attrs.frozen
class Replaceable:
    """One meter and what replacing it now is worth; money of the site's currency."""

    point: str
    serial: str
    medium: str
    gain: float                         # a year, of replacing it now [money/a]
    loss: float                         # expected in the next year [money/a]
    bearable: float                     # what a meter in this place may lose in a year [money/a]
    interval: float                     # age of least mean cost [a]
    paid: float                         # age at which it has lost what replacing costs [a]; inf = never
    age: float                          # [a]
    age_from: AgeFrom
    yearly: float                       # what passes it [unit/a]
    unit: str
    over_days: int                      # that the yearly quantity is from
    suspect: float                      # share that a case says it does not register [1]; NaN = no case


@attrs.frozen
class Left:
    """Meters of a medium that are not reckoned, by why."""

    medium: str
    why: NotReckoned
    count: int
    some: tuple[str, ...]               # the first few points


@attrs.frozen
class ReplacementList:
    """A page of the list, the largest gain first."""

    day: str                            # site day that quantities and ages are of; "" = not worked out yet
    total: int                          # meters that were reckoned
    worth: int                          # of them those with a gain
    gain: float                         # of all of those together [money/a]
    rows: tuple[Replaceable, ...]
    left: tuple[Left, ...]


def costs(terms: MeterTerms) -> float:
    """What the replacement of a meter costs, with the verification that it begins with. [money]"""
    return terms.verification + terms.replacement
