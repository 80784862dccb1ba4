"""Languages: English is the source; Romanian and Russian come from the .po files, read as they are.

There is no compile step to forget: a catalogue is parsed once, at its first use. The strings of the TypeScript part
stand in the same catalogues; their locations (`hmi/ui/src/…`) tell which ones the browser needs.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, g
from flask_babel import Babel, Domain, get_locale, gettext

LANGUAGES: Final = {"en": "English", "ro": "Română", "ru": "Русский"}
TRANSLATIONS: Final = Path(__file__).parent / "translations"
UI_SOURCES: Final = "hmi/ui/src/"


def po_file(language: str) -> Path:
    return TRANSLATIONS / language / "LC_MESSAGES" / "messages.po"


@lru_cache
def catalog(language: str) -> Catalog:
    """The messages of one language; English has none, its texts are the keys."""
    if language == "en":
        return Catalog(locale="en")
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


@lru_cache
def translations(language: str) -> Any:
    if language == "en":
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalog(language))
    compiled.seek(0)
    return Translations(compiled, domain="messages")


@lru_cache
def ui_strings(language: str) -> dict[str, str]:
    """What the browser's part says, by its English text."""
    return {
        message.id: message.string
        for message in catalog(language)
        if isinstance(message.id, str) and isinstance(message.string, str)
        and any(place.startswith(UI_SOURCES) for place, _ in message.locations)
    }


class PoDomain(Domain):
    """Flask-Babel's domain, fed from .po files."""

    def get_translations(self) -> Any:
        return translations(str(get_locale() or "en"))


def install(app: Flask, timezone: str) -> None:
    babel = Babel()
    babel.domain_instance = PoDomain()
    babel.init_app(app, locale_selector=lambda: g.get("language", "en"), timezone_selector=lambda: timezone)


def _(message: str, **values: Any) -> str:
    """A text in the language of this request (Flask-Babel's `gettext`, with its type)."""
    return str(gettext(message, **values))
