"""Every state that can be shown has its word, and the operator's guide explains the marks that the pages really show."""

import re
from enum import Enum
from pathlib import Path

import pytest

from hmi import labels
from hmi.labels import QUALITY, QUALITY_SYMBOL
from scada.tags import Quality

TABLES = {
    name: value for name, value in vars(labels).items()
    if isinstance(value, dict) and value and all(isinstance(key, Enum) for key in value)
}
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operator.md"


@pytest.mark.parametrize("name", sorted(TABLES.keys() - {"HELD_STATE"}))    # that one says only what differs
def test_no_member_of_an_enumeration_is_without_its_word(name: str) -> None:
    """A new action, say, would break the page that lists it."""
    kind = type(next(iter(TABLES[name])))

    assert set(TABLES[name]) == set(kind)


def test_the_legend_of_the_guide_is_the_one_of_the_pages() -> None:
    """A row for each quality, with its own mark and word, and none that no page shows."""
    table = GUIDE.read_text(encoding="utf-8").split("| mark | meaning |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(.)` \| (.+) \|$", table, re.MULTILINE)
    words = {quality: text._args[0] for quality, text in QUALITY.items()}

    assert len(rows) == len(Quality) == 11
    assert sorted(rows) == sorted((QUALITY_SYMBOL[quality], words[quality]) for quality in Quality)
