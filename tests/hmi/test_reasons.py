"""The desk's English reaches people in their language, and nothing of it is lost on the way."""

import ast
from pathlib import Path

import pytest
from flask import Flask, g

from hmi.reasons import PATTERNS, in_words

GUARDS = Path(__file__).parents[2] / "scada" / "dr_dispatch" / "guards.py"


def said_by_the_guards() -> list[str]:
    """Every sentence a guard can yield, with its values replaced by a stand-in."""
    tree = ast.parse(GUARDS.read_text(encoding="utf-8"))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    texts = []
    for value in found:
        if isinstance(value, ast.Constant):
            texts.append(str(value.value))
        elif isinstance(value, ast.JoinedStr):
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "X1" for part in value.values))
    return texts


def test_every_sentence_of_the_guards_is_known() -> None:
    """A refusal in a language the dispatcher does not read is half a refusal."""
    said = said_by_the_guards()

    assert len(said) >= 18
    assert [text for text in said if not any(pattern.fullmatch(text) for pattern, _ in PATTERNS)] == []


@pytest.mark.parametrize(
    ("reason", "romanian"),
    [
        ("red load in the group: C01-004, C02-004", "sarcină roșie în grup: C01-004, C02-004"),
        ("3 of 22 members: module lost", "3 din 22 membri: modul pierdut"),
        ("by expiry; must be switched on by hand", "la expirare; trebuie pornit manual"),
        ("something nobody has said before", "something nobody has said before"),
    ],
)
def test_a_reason_is_read_in_the_language_of_the_page(app: Flask, reason: str, romanian: str) -> None:
    with app.test_request_context():
        g.language = "ro"

        assert in_words(reason) == romanian
