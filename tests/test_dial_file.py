"""Dial readings and installations as CSV: what is written is read again, and every wrong line is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import NS
from scada.dial import DialReading, DialSource, Shown, read_dial
from scada.dial_file import dial_text, read_installations, read_readings, time_of, written
from scada.site import Directory, Medium, MeterPeriod, Module, ModuleState, Point, Site

H = 490_000
AT = H * 3600 * NS
SITE = Directory(Site(
    modules=(Module(0xA1, "m", "C", 1, ModuleState.ACTIVE, 2),),
    points=(Point("P1", Medium.ELECTRICITY), Point("P2", Medium.WATER), Point("P3", Medium.WATER)),
    meters=(
        MeterPeriod("S-old", "P1", 0xA1, 0, 1000.0, H - 100, H - 10), MeterPeriod("S1", "P1", 0xA1, 0, 1000.0, H - 10),
        MeterPeriod("S2", "P2", 0xA1, 1, 10.0, H - 10), MeterPeriod("S2", "P3", 0xA2, 0, 10.0, H - 10),
    ),
))


def read(text: str) -> tuple[list[DialReading], list[str]]:
    found, problems = read_readings(text, "w.csv", SITE, "ana", DialSource.WALK_BY, AT + NS)
    return found, [str(one) for one in problems]


def test_a_meter_is_named_by_its_point_its_module_or_its_serial() -> None:
    """Each finds the meter that hung there then; who read it and how stands in the line, or is what was said for all."""
    time = "2025-11-24T16:00:00Z"
    found, problems = read(
        "time;dial;point;eui;channel;serial;source;by\n"
        f"{time};01234,5;P1;;;;inspection;ion\n{time};12.5;;00000000000000A1;1;;;\n{time};7;;;;S1;;\n"
    )

    assert problems == []
    assert [(one.point, one.serial, one.source.value, one.by) for one in found] == [
        ("P1", "S1", "inspection", "ion"), ("P2", "S2", "walk-by", "ana"), ("P1", "S1", "walk-by", "ana"),
    ]
    assert found[0].shown == Shown(1234.5, 5, 1)
    assert found[0].at == AT


def test_every_line_that_cannot_be_used_is_named_with_what_is_wrong() -> None:
    text = (
        "time,dial,point,serial\n"
        "2025-11-24T16:00,1,P1,\n2025-11-24T16:00Z,x,P1,\n2025-11-24T16:00Z,1,P9,\n2025-11-24T16:00Z,1,P1,S9\n"
        "2025-11-24T16:00Z,1,,S2\n2025-11-24T16:00Z,1,,S9\n2025-11-24T16:00Z,1,,\n,1,P1,\n2035-01-01T00:00Z,1,P1,\n"
    )
    found, problems = read(text)

    assert found == []
    assert [one.partition(": ")[2] for one in problems] == [
        "line 2: expected a time with its zone, as 2026-01-31T14:05Z, found '2025-11-24T16:00'",
        "line 3: 'x': expected the dial as it stands, as 01234.5",
        "line 4: there is no metering point P9",
        "line 5: meter S1 hung at P1 then, not S9",
        "line 6: several meters have this serial number: name the point",
        "line 7: no meter has this serial number",
        "line 8: expected a point, an eui with its channel, or a serial",
        "time: missing",
        "line 10: the time is still to come",
    ]


@pytest.mark.parametrize(("column", "cell", "said"), [
    ("source", "neighbour", "expected one of installer, walk-by, inspection, subscriber as the source"),
    ("photo", "../x.jpg", "expected the name of a stored photo"), ("by", "x" * 201, "at most 200 printable characters"),
])
def test_what_a_line_says_besides_is_looked_at_too(column: str, cell: str, said: str) -> None:
    _found, problems = read(f"time,dial,point,{column}\n2025-11-24T16:00Z,1,P1,{cell}\n")

    assert said in problems[0]


def test_a_channel_is_one_of_a_module() -> None:
    _found, problems = read("time,dial,eui,channel\n2025-11-24T16:00Z,1,00000000000000A1,first\n")

    assert "channel: expected 0 to 7, found 'first'" in problems[0]


def test_a_file_with_other_columns_is_refused_with_those_that_are_expected() -> None:
    _found, problems = read("time,reading\n2025-11-24T16:00Z,1\n")

    assert len(problems) == 1
    assert "reading, dial: expected the columns time, dial, and if wanted point, eui" in problems[0]


def test_installations_have_a_key_of_their_own_and_name_their_line() -> None:
    """So the same file again is the same installations."""
    text = "eui,serial,constant,dial,time,photo\n00-00-00-00-00-00-00-A1,S7,1000,00012.3,2025-11-24T16:00Z,a.jpg\n"
    (once,), problems = read_installations(text, "i.csv")
    (twice,), _ = read_installations(text, "i.csv")
    _none, wrong = read_installations(text.replace("1000", "many").replace("A1", "A1Z"), "i.csv")

    assert problems == []
    assert once[0] == 2
    assert (once[1].eui, once[1].channel, once[1].pulses_per_unit, once[1].photo) == (0xA1, 0, 1000.0, "a.jpg")
    assert once[1].key == twice[1].key == f"csv:00000000000000A1:0:{AT // NS}"
    assert len(wrong) == 1


def test_a_cell_that_a_spreadsheet_would_run_is_written_as_text() -> None:
    reading = DialReading("=cmd", "S", AT, Shown(1, 1, 0), DialSource.SUBSCRIBER, "@ana")

    assert ",'=cmd,S,subscriber,'@ana," in written([reading])


@given(st.integers(0, 999_999_999), st.integers(0, 4), st.integers(1, 9))
def test_a_dial_is_written_as_it_was_read(digits: int, decimals: int, whole: int) -> None:
    """With its zeros: they say where it rolls over, and how fine it is."""
    shown = read_dial(f"{digits % 10**whole:0{whole}}" + (f".{digits % 10**decimals:0{decimals}}" if decimals else ""))

    assert read_dial(dial_text(shown)) == shown


@given(st.integers(0, 4_000_000_000))
def test_what_is_exported_is_imported_again(seconds: int) -> None:
    reading = DialReading("P1", "S", seconds * NS, read_dial("00123.40"), DialSource.INSPECTION, "ana")
    line = written([reading]).splitlines()[1].split(",")

    assert time_of(line[0]) == reading.at
    assert read_dial(line[1]) == reading.shown
