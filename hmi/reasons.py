"""What the desk says, in the language of the page: it speaks English to programs, logs and the audit; people read it here.

A sentence that nobody translated yet is shown as it came: a reason is never lost. `tests/hmi/test_reasons.py` reads the
guards' source and fails for a sentence that is missing here.
"""

import re
from typing import Final

from hmi.i18n import _


def _l(text: str) -> str:
    """Marks a text for the catalogues; it is translated when it is shown."""
    return text


SENTENCES: Final = (
    # refusals
    _l("%(who)s may not command in area %(area)s, where members of %(group)s are"),
    _l("%(who)s may not command in area %(area)s"),
    _l("%(who)s is %(role)s; only dispatchers and administrators may command"),
    _l("there is no load group %(group)s"),
    _l("%(group)s has no members"),
    _l("%(group)s has number %(number)s; the radio knows groups 1 to 255"),
    _l("%(group)s is a red group: red loads are never switched off"),
    _l("red load in the group: %(loads)s"),
    _l("no load in the registry, so its class is not known: %(loads)s"),
    _l("marked as never to be switched off: %(loads)s"),
    _l("protected consumer in the group: %(loads)s"),
    _l("consumer not in the registry, so not known to be unprotected: %(loads)s"),
    _l("load of another class than %(class)s in the group: %(loads)s"),
    _l("off for %(time)s s: expected more than 0, a shed without an end is never sent"),
    _l("off for %(time)s s is more than the %(limit)s s allowed for %(group)s"),
    _l("off already, or perhaps off, by another command: %(loads)s"),
    _l("back on too recently, minimum on-time until %(time)s: %(loads)s"),
    _l("with this shed off for more than %(limit)s s within %(window)s s: %(loads)s"),
    _l("the server's clock is not synchronised: timed commands are not sent; loads return by themselves"),
    _l("the server's clock is not synchronised: timed commands are not sent"),
    _l("transformer %(name)s: its meter %(meter)s has never been heard of"),
    _l("transformer %(name)s: data of %(meter)s is not good (%(tags)s)"),
    _l("transformer %(name)s: data of %(meter)s is %(age)s s old"),
    _l("no such command"),
    _l("only a shed can be restored"),
    _l("the command is %(state)s: nothing is off any more"),
    _l("a restore of this command is under way"),
    # what a reviewer should know
    _l("monitor-only: nothing will be sent"),
    _l("%(n)s of %(all)s members: %(why)s"),
    _l("%(n)s loads must be switched on by hand afterwards"),
    _l("transformer %(name)s has no meter: the effect will not be seen"),
    _l("module lost"),
    _l("%(name)s not connected"),
    # results of single modules
    _l("by expiry"),
    _l("must be switched on by hand"),
    _l("monitor-only"),
    _l("expired before it could leave"),
    _l("restored by %(who)s"),
    _l("never reached the concentrator"),
)


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", sentence)
    return re.compile("".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))


PATTERNS: Final = tuple((_pattern(sentence), sentence) for sentence in SENTENCES)


def in_words(reason: str) -> str:
    """A reason of the desk in the language of this request."""
    for pattern, sentence in PATTERNS:
        if found := pattern.fullmatch(reason):
            values = found.groupdict()
            return _(sentence, **values | ({"why": in_words(values["why"])} if "why" in values else {}))
    first, separator, rest = reason.partition("; ")
    return f"{in_words(first)}; {in_words(rest)}" if separator else reason


def for_browser() -> dict[str, str]:
    """The sentences without anything to fill in, for results that arrive live."""
    return {sentence: _(sentence) for sentence in SENTENCES if "%(" not in sentence}
