"""YAML as people write it: where a key stands, keys that stand twice, and a model's findings as sentences for people."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

MOST_REPAIRS: Final = 500
Model = TypeVar("Model", bound=BaseModel)


def line_of(node: yaml.Node | None, location: tuple[Any, ...]) -> int | None:
    """The line of a key in a composed YAML document, or of the nearest parent that exists (1-based)."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def repeated_keys(node: yaml.Node | None, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Keys that stand twice in one mapping, with the line of the later one: YAML takes it silently, a person means both."""
    if isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*at, key.value), key.start_mark.line + 1
            seen.add(key.value)
            yield from repeated_keys(value, (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, one in enumerate(node.value):
            yield from repeated_keys(one, (*at, position))


def sound_part(model: type[Model], data: Any, stand_in: dict[str, Any] | None = None) -> Model | None:
    """
    What a model makes of a document without everything that is wrong in it, so that the rest can be looked at too.

    An item of a list that lacks something is left out; keys missing at the top are taken from `stand_in`.
    """
    data = deepcopy(data)
    for _ in range(MOST_REPAIRS):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            last = error.errors()[-1]               # the last one, so that places in lists stay right
        location = last["loc"][:-1] if last["type"] == "missing" else last["loc"]
        if not location:
            name = str(last["loc"][0]) if last["loc"] else ""
            if not isinstance(data, dict) or name in data or name not in (stand_in or {}):
                return None
            data[name] = (stand_in or {})[name]
        elif not _take_out(data, location):
            return None
    return None


def _take_out(data: Any, location: tuple[Any, ...]) -> bool:
    for part in location[:-1]:
        data = data[part]
    try:
        del data[location[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def sentence(error: Any) -> str:
    """pydantic's finding, said to a person who does not know the model."""
    about = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return "unknown key; expected one of the keys in the reference (docs/reference/settings.md)"
        case "missing":
            return "missing; this key is required"
        case "value_error":
            return str(about["error"])
        case "string_pattern_mismatch":
            expected = 'a name without "/" that does not begin with a space'
        case "string_type":
            expected = "text (in quotes, if it looks like a number)"
        case "model_type" | "model_attributes_type" | "dict_type":
            expected = "a mapping of keys"
        case "tuple_type" | "list_type":
            expected = 'a list (every item begins with "- ")'
        case "bool_type" | "bool_parsing":
            expected = "true or false"
        case "int_type" | "int_parsing" | "int_from_float":
            expected = "a whole number"
        case "float_type" | "float_parsing":
            expected = "a number"
        case "greater_than_equal":
            expected = f"at least {about['ge']:g}"
        case "less_than_equal":
            expected = f"at most {about['le']:g}"
        case "greater_than":
            expected = f"more than {about['gt']:g}"
        case "literal_error":
            expected = about["expected"]
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"
    return f"expected {expected}, found {error['input']!r}"
