"""Every state that can be shown has its word."""

from enum import Enum

import pytest

from hmi import labels

TABLES = {
    name: value for name, value in vars(labels).items()
    if isinstance(value, dict) and value and all(isinstance(key, Enum) for key in value)
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_member_of_an_enumeration_is_without_its_word(name: str) -> None:
    """A new action, say, would break the page that lists it."""
    kind = type(next(iter(TABLES[name])))

    assert set(TABLES[name]) == set(kind)
