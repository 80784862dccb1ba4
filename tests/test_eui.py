"""The number on a module's label: typed, scanned, or wrong in a way that is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.eui import check_digit, read_eui, with_check

NUMBER = 0x00124B00000003E9
euis = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("text", [
    "00124B00000003E9", "00124b00000003e9", " 00-12-4B-00-00-00-03-E9 ", "00:12:4b:00:00:00:03:e9", "0012 4B00 0000 03E9",
    "EUI: 00124B00000003E9", "DevEUI=00124B00000003E9", "EUI-64: 00124B00000003E9", "ID 00124B00000003E9",
    "https://example.test/m?eui=00124B00000003E9", "https://example.test/m/00124B00000003E9", "00124B00000003E99",
])
def test_a_number_is_read_however_the_label_groups_it(text: str) -> None:
    assert read_eui(text) == NUMBER


@pytest.mark.parametrize(("text", "said"), [
    ("", "expected the module's number"),
    ("00124B00000003E", "15 digits: expected 16"),
    ("00124B00000003E9991", "19 digits: expected 16"),
    ("00124BO0000003E9", "'O' at place 7 is no hexadecimal digit (0-9, A-F); perhaps 0"),
    ("00124BX0000003E9", "'X' at place 7 is no hexadecimal digit (0-9, A-F)"),
    ("00124B00000003E98", "the check digit does not fit"),
])
def test_a_wrong_number_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_eui(text)

    assert str(refused.value).startswith(said)


@given(euis)
def test_a_label_is_read_as_it_was_made(eui: int) -> None:
    assert read_eui(with_check(eui)) == eui


@given(euis, st.integers(0, 15), st.integers(1, 15))
def test_one_wrong_digit_is_always_found(eui: int, place: int, off: int) -> None:
    """The reason for a check digit."""
    text = f"{eui:016X}"
    wrong = f"{(int(text[place], 16) + off) % 16:X}"
    changed = text[:place] + wrong + text[place + 1:]

    assert check_digit(changed) != check_digit(text)
