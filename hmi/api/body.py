"""Reads a JSON body the way a person's form is read: every problem named, nothing trusted."""

from collections.abc import Mapping
from typing import Any, Final

from flask import request
from werkzeug.exceptions import BadRequest

MOST_NAMES: Final = 5000


def fields(**types: type) -> dict[str, Any]:
    """The named fields of the JSON body, each of its type; anything else is a 400 that names the fields."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadRequest("expected a JSON object")
    wrong = [
        f"{name}: expected {kind.__name__}" for name, kind in types.items()
        if not isinstance(body.get(name), kind) or isinstance(body.get(name), bool)
    ]
    if wrong:
        raise BadRequest("; ".join(wrong))
    return {name: body[name] for name in types}


def optional(name: str, default: str = "") -> str:
    """An optional text field of the JSON body."""
    body = request.get_json(silent=True)
    found = body.get(name, default) if isinstance(body, dict) else default
    return found if isinstance(found, str) else default


def whole(name: str, default: int, low: int, high: int) -> int:
    """An integer of the query string within its bounds; a 400 names them."""
    text = request.args.get(name, "")
    if not text:
        return default
    try:
        value = int(text) if len(text) < 20 else low - 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise BadRequest(f"{name}: expected a whole number from {low} to {high}")
    return value


def names(body: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """An optional list of names of the JSON body."""
    found = body.get(what, [])
    if not isinstance(found, list) or len(found) > MOST_NAMES or not all(isinstance(one, str) for one in found):
        raise BadRequest(f"{what}: expected a list of at most {MOST_NAMES} names")
    return tuple(found)


def numbers(body: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    """Those of the named numbers that the JSON body has; a whole one serves where a fraction may stand."""
    found = {name: body[name] for name in kinds if name in body}
    wrong = [
        f"{name}: expected {'a whole number' if kinds[name] is int else 'a number'}" for name, value in found.items()
        if isinstance(value, bool) or not isinstance(value, int if kinds[name] is int else (int, float))
    ]
    if wrong:
        raise BadRequest("; ".join(wrong))
    return found
