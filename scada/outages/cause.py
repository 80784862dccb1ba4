"""A likely cause of what is out. A value."""

import attrs

from scada.outage import Scope


@attrs.frozen
class Cause:
    scope: Scope
    subject: str
    members: frozenset[str]             # modules that are out because of it
    posts: frozenset[str]               # concentrators that are
    since: int                          # ns
    confidence: float
    sentence: str
    evidence: tuple[str, ...]
    also: tuple[str, ...] = ()
