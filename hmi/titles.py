"""Titles of tags in the language of the page: the server has a finite set of them, devices of one's own have others.

`tests/hmi/test_reasons.py` reads the source and the device templates, and fails for a title that is missing here.
"""

import re
from typing import Final

from hmi.i18n import _


def _l(text: str) -> str:
    """Marks a text for the catalogues; it is translated when it is shown."""
    return text


TITLES: Final = (
    _l("Members"),
    _l("Meters whose dial agrees with the count"),
    _l("Meters whose dial differs a little"),
    _l("Meters whose dial does not agree with the count"),
    _l("Dial readings whose hours have not come"),
    _l("Meters whose dial is due to be read soon"),
    _l("Meters whose dial is overdue to be read"),
    _l("Meters whose dial nobody has read"),
    _l("Register, read on demand"),
    _l("Supply: 0 not known, 1 on, 2 off"),
    _l("Who hold the supply off"),
    _l("Switch waits for a second person"),
    _l("Let go; somebody on site must switch"),
    _l("Pulses: 0 nothing to confirm, 1 waiting, 2 stopped, 3 still counting"),
    _l("Switched on site alone"),
    _l("Hot spot of the winding"),
    _l("Top oil"),
    _l("Ageing over normal ageing"),
    _l("Time the present load can be carried, two days at most"),
    _l("Loading of the most loaded phase"),
    _l("Temperature around the transformer, as reckoned with"),
    _l("Voltage %(phase)s, mean of ten minutes (RMS)"),
    _l("Voltage unbalance, negative over positive sequence"),
    _l("Voltage unbalance U2/U1 of ten minutes"),
    _l("Active power"),
    _l("Apparent power"),
    _l("Frequency"),
    _l("Fed in"),
    _l("Imbalance"),
    _l("Technical loss of the newest complete hour"),
    _l("Technical loss, share of what was taken"),
    _l("Unevenness of the feed: 0 best split, 1 all on one phase"),
    _l("Unevenness of consumers spread at random"),
    _l("Share of the feed with no member"),
    _l("Consumers on another phase than registered"),
    _l("Unevenness that the moves would leave"),
    _l("Simultaneity of all consumers"),
    _l("Simultaneity of very many consumers"),
    _l("Voltage %(phase)s"),
    _l("Current %(phase)s"),
    _l("Active power %(phase)s"),
    _l("Apparent power %(phase)s"),
    _l("Reactive power %(phase)s"),
    _l("Power factor %(phase)s"),
    _l("Energy imported"),
    _l("Energy exported"),
    _l("Neutral current"),
    _l("Monitor-only: nothing is sent"),
    _l("Commands not closed"),
    _l("Members that could be shed now"),
    _l("Members off, or perhaps off"),
    _l("Rated power of the members that could be shed now"),
    _l("Members that executed the last shed"),
    _l("Members that refused the last shed"),
    _l("Members without an answer to the last shed"),
    _l("Power the last shed took off, as measured"),
    _l("Uncertainty of that power"),
    _l("Longest turn of the main loop in the last second"),
    _l("Processor time of that turn"),
    _l("Turns over %(limit)s ms since start"),
    _l("Turns with over %(limit)s ms of processor time since start"),
    _l("Turns since start"),
    _l("Resident memory of the main process"),
    _l("Values published since start"),
    _l("Lines that wait in the spool"),
    _l("Blocks of intervals that are not sent yet"),
    _l("Age of the oldest line in the spool"),
    _l("Filling of the spool"),
    _l("Lines sent in a second"),
    _l("Lines dropped in the last hour"),
    _l("Lines in dead letters"),
    _l("1 while the destination refuses what it is sent"),
    _l("Share of the blocks of intervals that the destination has"),
    _l("Share of the earlier live values that the destination has"),
    _l("Major version of the destination, 0 while it is not known"),
    _l("Definitions and batches refused since start"),
    _l("Batches dropped for slow listeners since start"),
    _l("Sum of the members"),
    _l("Imbalance, share of the feed"),
    _l("Uncertainty of the imbalance (half-width)"),
    _l("Completeness of the latest closed hour"),
    _l("Loading against the nameplate"),
    _l("Current imbalance, negative over positive sequence"),
    _l("Current imbalance, largest deviation from the mean"),
    _l("Neutral current, sum of the phase currents"),
    _l("Conditions that hold"),
    _l("Alarms that wait for acknowledgement"),
    _l("Alarms of high priority, not normal"),
    _l("Alarms of medium priority, not normal"),
    _l("Alarms of low priority, not normal"),
    _l("Alarms suppressed by design, because another one says more"),
    _l("Outages that go on"),
    _l("Consumers in outages that go on"),
    _l("Modules in outages that go on"),
    _l("1 while a condition holds"),
    _l("1 while an alarm waits for acknowledgement"),
    _l("Worst priority: 3 high, 2 medium, 1 low, 0 none"),
    _l("Code of the worst alarm's kind, 0 none"),
    _l("Signal at the module"),
    _l("Signal at its parent"),
    _l("Packets delivered"),
    _l("Relay level"),
    _l("Battery under load"),
    _l("Packets relayed today"),
    _l("Travel time to the concentrator"),
    _l("Link up"),
    _l("Modules in the subnet"),
    _l("Packets delivered, mean of the modules"),
    _l("Age of the newest interval held here"),
    _l("Concentrator's clock against the server's"),
    _l("Rate of the concentrator's clock"),
    _l("Largest offset of a module's clock"),
    _l("Largest rate of a module's clock"),
    _l("Modules whose clock is beyond tolerance"),
    _l("Times its clock was stepped since start"),
    _l("Hours held of today, as far as they are due"),
    _l("Hours held of yesterday"),
    _l("Hours held of the last 7 days"),
    _l("Hours held of the last 30 days"),
    _l("Hours of channels that are missing and still asked for"),
    _l("Hours of channels given up in the last week"),
    _l("Age of the oldest missing hour"),
    _l("Largest share of the subnet behind one module"),
    _l("Modules without which others have no way"),
    _l("Packets delivered over the weakest link"),
    _l("Modules that relay more than their battery allows"),
    _l("Modules whose battery will not last"),
    _l("Modules without a way to the concentrator"),
    _l("Modules that keep changing their parent"),
    _l("Modules that another concentrator hears"),
    _l("Firmware campaigns under way"),
    _l("Firmware campaigns that are paused"),
    _l("Firmware campaigns that paused by themselves"),
    _l("Modules to be updated"),
    _l("Modules that run the new firmware"),
    _l("Modules whose update failed"),
    _l("Modules whose update is under way"),
    _l("Energy of the last delivered hour"),
    _l("Volume of the last delivered hour"),
    _l("Register at the end of that hour"),
    _l("Status bits of that hour"),
    _l("Mean power of that hour"),
)
PLACES: Final = {"phase": r"L\d(?:-N|-L\d)?", "limit": r"\d+"}


def _pattern(title: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", title)
    return re.compile("".join(f"(?P<{part}>{PLACES[part]})" if n % 2 else re.escape(part) for n, part in enumerate(parts)))


PLAIN: Final = frozenset(title for title in TITLES if "%(" not in title)
PATTERNS: Final = tuple((_pattern(title), title) for title in TITLES if "%(" in title)


def in_words(title: str) -> str:
    """A tag's title in the language of this request; one that is not ours is shown as it is."""
    if title in PLAIN:
        return _(title)
    for pattern, known in PATTERNS:
        if found := pattern.fullmatch(title):
            return _(known, **found.groupdict())
    return title
