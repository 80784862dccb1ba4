"""Dead letters as rows of a spool's file: lines a destination never will store, each with its reason, at most so many.

A letter is one line, or a whole body where nobody could say which of its lines is bad. Beyond the bound the oldest go, and
their lines count as dropped.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

DEAD_MOST: Final = 1000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dead(number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, reason TEXT NOT NULL,
    body TEXT NOT NULL);
"""
_LINES: Final = "length(body) - length(replace(body, char(10), '')) + (substr(body, -1) <> char(10))"       # of a letter
Dead = Sequence[tuple[str, str]]                    # (line or body, reason)


def lines_in(dead: Dead) -> int:
    """How many lines they are."""
    return sum(len(body.splitlines()) for body, _ in dead)


def count(database: sqlite3.Connection) -> tuple[int, int]:
    """(letters, lines in them); reads all of them."""
    letters, lines = database.execute(f"SELECT count(*), coalesce(sum({_LINES}), 0) FROM dead").fetchone()
    return letters, lines


def bury(database: sqlite3.Connection, dead: Dead, at: int) -> None:
    """Keep some, inside a transaction."""
    database.executemany("INSERT INTO dead(at, reason, body) VALUES (?,?,?)", [(at, why, line) for line, why in dead])


def forget_oldest(database: sqlite3.Connection) -> tuple[int, int]:
    """Let go what is beyond the bound, inside a transaction: (letters, lines in them). Others may have dropped some."""
    letters = max(database.execute("SELECT count(*) FROM dead").fetchone()[0] - DEAD_MOST, 0)
    oldest = "number IN (SELECT number FROM dead ORDER BY number LIMIT ?)"
    (lines,) = database.execute(f"SELECT coalesce(sum({_LINES}), 0) FROM dead WHERE {oldest}", (letters,)).fetchone()
    database.execute(f"DELETE FROM dead WHERE {oldest}", (letters,))
    return letters, lines
