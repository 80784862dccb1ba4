"""The number on a module's label as people type and scan it: read leniently, refused with what is wrong."""

import re
from typing import Final

DIGITS: Final = 16
_APART: Final = re.compile(r"[\s:.\-]+")
_PREFIX: Final = re.compile(r"^(?:.*[?&/=])?(?:(?:dev)?eui(?:-?64[:=\s])?|id)?[:=]?\s*", re.IGNORECASE)
_WRONG: Final = re.compile(r"[^0-9A-Fa-f]")
_LIKE: Final = {"O": "0", "I": "1", "L": "1", "S": "5", "G": "6"}


def check_digit(digits: str) -> str:
    """The 17th digit of a label: Luhn's sum to the base 16, which finds one wrong digit and most that changed places."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit, 16) * (2 - position % 2)
        total += doubled // 16 + doubled % 16
    return f"{-total % 16:X}"


def read_eui(text: str) -> int:
    """
    Return the EUI that a text says; raises ValueError with what is wrong with it.

    Groups may be set apart by spaces, colons, dots or hyphens, and a label may say "EUI" first or be an address that
    ends with the number. Of 17 digits the last one is the label's check digit.
    """
    found = _APART.sub("", _PREFIX.sub("", text.strip(), count=1))
    if not found:
        raise ValueError("expected the module's number, 16 hexadecimal digits")
    if wrong := _WRONG.search(found):
        like = _LIKE.get(wrong[0].upper())
        hint = f"; perhaps {like}" if like else ""
        raise ValueError(f"{wrong[0]!r} at place {wrong.start() + 1} is no hexadecimal digit (0-9, A-F){hint}")
    if len(found) == DIGITS + 1:
        if check_digit(found[:DIGITS]) != found[DIGITS].upper():
            raise ValueError("the check digit does not fit: one of the digits is wrong, or two have changed places")
        return int(found[:DIGITS], 16)
    if len(found) != DIGITS:
        raise ValueError(f"{len(found)} digits: expected 16, or 17 with the check digit")
    return int(found, 16)


def with_check(eui: int) -> str:
    """An EUI as a label shows it: 16 digits and the check digit."""
    return f"{eui:016X}{check_digit(f'{eui:016X}')}"
