"""What the server must show, as text that people write and machines check: `dmesh.dropped_replay >= 1`. Pure."""

import operator
import re
from collections.abc import Mapping
from typing import Final

import attrs

OPERATORS: Final = {">=": operator.ge, "<=": operator.le, "==": operator.eq}
_FORM: Final = re.compile(r"\s*([a-z_]+(?:\.[A-Za-z_]+)+)\s*(>=|<=|==)\s*(\d+)\s*")
FORM: Final = "NAME >= NUMBER (or <=, ==), such as dmesh.dropped_replay >= 1"


@attrs.frozen
class Expectation:
    """
    One thing to be seen at the server, as a change since the fault began.

    Names begin with where one looks: `dmesh.` and `historian.` figures of health; `event.CODE` events raised;
    `member.STATE` and `refused.CODE` members of group commands; `link.ups` sessions; `flagged.STATUS` hours with a status
    bit; `firmware.STATE` and `firmware.failed_CODE` modules of a firmware campaign, `firmware.tripped`;
    `hours.missing`, `hours.zero`; `pulses.more`, `pulses.fewer` than the meters gave; `tree.moved` parents,
    `tree.at_limit` looks at a tree that is as deep as one may be, `trouble.NAME` looks at which the network page shows it;
    `outage.SCOPE` outages, over or not, `outage.any` of every scope;
    `archive.minutes_behind` in which records waited to be acknowledged; `time.beyond`, `time.slewed` minutes in which a
    module's clock was beyond tolerance, a concentrator's far off was being slewed.
    """

    name: str
    operator: str
    number: int

    @classmethod
    def read(cls, text: str) -> "Expectation":
        """Raises `ValueError` with a sentence."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r}; expected {FORM}")
        return cls(found[1], found[2], int(found[3]))

    def holds(self, seen: Mapping[str, float]) -> bool:
        return bool(OPERATORS[self.operator](seen.get(self.name, 0), self.number))

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.number}"
