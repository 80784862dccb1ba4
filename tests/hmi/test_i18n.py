"""Every text of the pages exists in every language."""

import re
from io import StringIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

from hmi.i18n import TRANSLATIONS, catalog, po_file, ui_strings

ROOT = Path(__file__).parents[2]
METHODS = [("ui/src/**.ts", "javascript"), ("templates/**.html", "jinja2"), ("**.py", "python")]
KEYWORDS = {"_": None, "_l": None, "gettext": None}


def texts() -> set[str]:
    """Every marked text in the sources, found by the extractor itself."""
    found = extract_from_dir(
        ROOT / "hmi", METHODS, keywords=KEYWORDS, directory_filter=lambda path: "node_modules" not in path
    )
    return {message for _file, _line, message, _comments, _context in found if isinstance(message, str)}


@pytest.mark.parametrize("language", ["ro", "ru"])
def test_no_text_is_missing_fuzzy_or_unused(language: str) -> None:
    """A page half in English is a page nobody proofread."""
    known = {message.id: message for message in catalog(language) if message.id}
    used = texts()

    assert len(used) > 200
    assert sorted(used - known.keys()) == []
    assert sorted(known.keys() - used) == []
    assert [text for text, message in known.items() if not message.string or message.fuzzy] == []


@pytest.mark.parametrize("language", ["ro", "ru"])
def test_every_placeholder_survives_translation(language: str) -> None:
    """A lost %(n)s is a lost number."""
    pattern = re.compile(r"%\(\w+\)s")
    for message in catalog(language):
        if message.id:
            assert sorted(pattern.findall(message.id)) == sorted(pattern.findall(message.string)), message.id


def test_romanian_uses_comma_below_never_cedilla() -> None:
    text = po_file("ro").read_text(encoding="utf-8")

    assert not set(text) & set("şţŞŢ")
    assert {"ș", "ț", "ă", "â", "î"} <= set(text)


def test_russian_is_written_in_cyrillic() -> None:
    """Apart from names and units no Russian text is Latin."""
    latin = [m.id for m in catalog("ru") if m.id and not re.search("[а-яА-Я]", re.sub(r"%\(\w+\)s", "", m.string))]

    assert latin == []


@pytest.mark.parametrize("language", ["ro", "ru"])
def test_the_browser_gets_exactly_the_texts_of_its_sources(language: str) -> None:
    """Locations in the catalogue decide what is sent: they must be up to date."""
    wanted = {
        message
        for _file, _line, message, _c, _x in extract_from_dir(
            ROOT / "hmi" / "ui" / "src", [("**.ts", "javascript")], keywords=KEYWORDS
        )
        if isinstance(message, str)
    }

    assert set(ui_strings(language)) == wanted


def test_a_text_inside_a_template_literal_is_not_lost() -> None:
    """The extractor does not look into `${…}`: no translated text may stand there."""
    hidden = StringIO()
    for path in sorted((ROOT / "hmi" / "ui" / "src").glob("*.ts")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"\$\{[^}]*gettext\(", line):
                hidden.write(f"{path.name}: {line.strip()}\n")

    assert hidden.getvalue() == ""


def test_there_are_no_leftover_catalogues() -> None:
    assert sorted(path.name for path in TRANSLATIONS.iterdir() if path.is_dir()) == ["ro", "ru"]
