"""What the server says, in the language of the page: programs, logs and the audit get its English, people read it here.

A sentence that nobody translated yet is shown as it came: a reason is never lost.
"""

import re
from typing import Any, Final

from hmi.i18n import _
from hmi.sentences import CODES, MEMBER, SENTENCES

PLACE: Final = re.compile(r"%\((\w+)\)s")
SPEAKING: Final = frozenset({"why", "what", "loads"})       # values that are sentences, or lists, themselves
LONGEST: Final = 600                    # characters that are looked at as one: a peer may have had a say in them
APART: Final = "; "                     # between sentences that came together


def _pattern(sentence: str) -> re.Pattern[str]:
    """Values do not reach over the end of a sentence, save a reason given in full."""
    parts = PLACE.split(sentence.replace("%%", "%"))
    values = {part: ".+?" if part == "why" else "(?:(?!; ).)+?" for part in parts[1::2]}
    return re.compile(
        "".join(f"(?P<{part}>{values[part]})" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.DOTALL
    )


def _literal(sentence: str) -> int:
    return len(PLACE.sub("", sentence))


PLAIN: Final = frozenset(sentence for sentence in SENTENCES if not PLACE.search(sentence))
# The most telling first: "%(name)s not connected" would take what a longer sentence says better.
PATTERNS: Final = tuple(
    (_pattern(sentence), sentence) for sentence in sorted(SENTENCES, key=_literal, reverse=True) if PLACE.search(sentence)
)


def in_words(reason: str) -> str:
    """A reason, warning, result or health text in the language of this request."""
    if len(reason) > LONGEST:
        parts = reason.split(APART)
        return APART.join(map(in_words, parts)) if len(parts) > 1 else reason
    return reason if (said := _translated(reason)) is None else said


def known(reason: str) -> bool:
    """Whether every part of a text is one of ours; before a colon a name may stand."""
    if reason in PLAIN or reason in CODES or any(pattern.fullmatch(reason) for pattern, _sentence in PATTERNS):
        return True
    first, separator, rest = reason.partition(APART)
    if separator:
        return known(first) and known(rest)
    first, separator, rest = reason.partition(": ")
    return bool(separator) and (" " not in first or known(first)) and known(rest)


def _translated(reason: str) -> str | None:
    if reason in PLAIN:
        return _(reason)
    if reason in CODES:
        return f"{_(CODES[reason])} ({reason})"
    for pattern, sentence in PATTERNS:
        if found := pattern.fullmatch(reason):
            values = {name: in_words(value) if name in SPEAKING else value for name, value in found.groupdict().items()}
            return _(sentence, **values)
    for apart in (APART, ": "):         # sentences that came together; a peer, and what is the matter with it
        first, separator, rest = reason.partition(apart)
        if separator and (said := _translated(rest)) is not None:
            return f"{in_words(first)}{separator}{said}"
        if separator and (said := _translated(first)) is not None:
            return f"{said}{separator}{in_words(rest)}"
    return None


def for_browser() -> dict[str, Any]:
    """Results of modules, that arrive live: texts as they are, and patterns where there is something to fill in."""
    plain = {sentence: _(sentence) for sentence in MEMBER if not PLACE.search(sentence)}
    plain |= {code: in_words(code) for code in CODES}
    patterns = [[_for_javascript(one), _translations(one)] for one in MEMBER if PLACE.search(one)]
    return {"plain": plain, "patterns": patterns}


def _for_javascript(sentence: str) -> str:
    parts = PLACE.split(sentence)
    return "^" + "".join(f"(?<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)) + "$"


def _translations(sentence: str) -> str:
    """A sentence in the language of this request, its places left open."""
    return _(sentence, **{name: f"%({name})s" for name in PLACE.findall(sentence)})
