"""One-time messages for the page after a redirect, kept in the server-side session (no cookie that grows)."""

from typing import Final

from flask import g

MOST: Final = 5


def notice(text: str, kind: str = "done") -> None:
    """Say `text` on the next page; kind "done" or "error"."""
    g.session.notices.append((kind, text))
    del g.session.notices[:-MOST]


def take() -> list[tuple[str, str]]:
    """The waiting messages, once."""
    session = g.get("session")
    if session is None:
        return []
    waiting, session.notices = session.notices, []
    return list(waiting)
