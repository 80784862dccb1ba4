"""Column types that keep our values exact in any database."""

from enum import Enum
from typing import Any

from sqlalchemy import CHAR, String, Text
from sqlalchemy import Enum as EnumColumn
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

NAME_LENGTH = 64
TEXT_LENGTH = 200


class Hex(TypeDecorator[int]):
    """An unsigned number as hexadecimal text of fixed length.

    SQLite and PostgreSQL have signed 64-bit integers only, so an EUI from 2**63 on would come back negative or
    not at all. Text of fixed length keeps every bit, sorts in the order of the number, and is what people see.
    """

    impl = CHAR
    cache_ok = True

    def __init__(self, digits: int) -> None:
        self.digits = digits
        super().__init__(digits)

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else f"{value:0{self.digits}X}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value, 16)


class Reference(TypeDecorator[str]):
    """The name of something else, or nothing: "" in our values is NULL in the database, as a foreign key needs it."""

    impl = String
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(NAME_LENGTH)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value or None

    def process_result_value(self, value: str | None, dialect: Dialect) -> str:
        return value or ""


class Numbers(TypeDecorator[tuple[float, ...]]):
    """A short list of numbers, as text with blanks between them; every one comes back as it was."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[float, ...] | None, dialect: Dialect) -> str:
        return " ".join(map(repr, value or ()))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[float, ...]:
        return tuple(map(float, (value or "").split()))


def named(values: type[Enum]) -> EnumColumn:
    """An enumeration, stored as the lower-case name of its member; readable, and a new member needs no migration."""
    return EnumColumn(
        values, native_enum=False, create_constraint=False, length=16, values_callable=_names, validate_strings=True
    )


def _names(values: Any) -> list[str]:
    return [one.name.lower() for one in values]
