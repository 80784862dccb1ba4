"""The guide to the site file names every kind and field with its default, and the example can be imported as it is."""

import re
from pathlib import Path

import pytest

from scada.cli.fit import misfits
from scada.registry.draft import put_into
from scada.registry.exchange import read
from scada.registry.kinds import KIND, KINDS, Kind
from scada.settings import load
from scada.site import Site

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs/guide/site-file.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^###|\Z)", GUIDE, re.DOTALL | re.MULTILINE))


def default_of(kind: Kind, field: str) -> str:
    if field not in kind.defaults:
        return "required"
    value, form = kind.defaults[field], kind.forms[field]
    if value is None or value == "" or value == ():
        return "nothing"
    return f"`{value:g}`" if isinstance(value, float) else f"`{form.text(value)}`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_guide_has_every_field_with_its_default_and_the_key(kind: Kind) -> None:
    """In the order in which the exporter writes them; whoever adds a field explains it."""
    section = SECTIONS[kind.name]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    (key,) = re.findall(r"^Key: (.+?)\.", section, re.MULTILINE)

    assert [(field, default) for field, default, _ in rows] == [(field, default_of(kind, field)) for field in kind.forms]
    assert tuple(re.findall(r"`(\w+)`", key)) == kind.key


def test_the_guide_names_no_kind_that_is_not() -> None:
    assert list(SECTIONS) == list(KIND)


def test_the_example_fits_the_example_configuration() -> None:
    """Every kind is in it; no error, no warning."""
    config = ROOT / "config" / "scada.example.yaml"
    outcome = put_into(read(ROOT / "config" / "site.example.yaml"), Site())

    assert outcome.warnings == ()
    assert misfits(config, load(config), outcome.site) == []
    assert all(outcome.added.values())
