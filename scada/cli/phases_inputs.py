"""What `scada balance phases` and `scada balance simultaneity` read: a group's period, with a bar for people."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import attrs
from rich.progress import TaskProgressColumn

from scada.balancing.phases.gather import Sources, gathered
from scada.balancing.phases.inputs import Given
from scada.cli.balance import find_group
from scada.cli.history_folder import bar
from scada.cli.periods import period
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.clock import DAY_H, HOUR_S
from scada.errors import ConfigError, Problem
from scada.phase_study import FormUsed, Lack, Unchecked
from scada.settings import Settings, load
from scada.site import Directory

USUAL_DAYS: Final = 14
MOST_DAYS: Final = 92
SAID: Final = {
    Lack.NOT_ELECTRICITY: "the group is not of electricity: there are no phases",
    Lack.NO_CONSUMERS: "no member of the group has one phase and was there all the time",
    Lack.TOO_LARGE: "{} members or more are too many for one study; at most {}, as of one transformer",
    Lack.FEW_HOURS: "members are known in {} hours of the period only; at least {} are needed, a week or two is better",
    Lack.NO_FEED: "no three-phase feed: the group is not fed by a meter whose powers by phase are known (feed_tag), so "
                  "nobody's phase can be found; moves go by the registry alone",
    Lack.FEW_FEED_HOURS: "powers of the feed's phases are kept for {} hours of the period; at least {} are needed to find "
                         "phases, and moves go by the registry alone",
    Lack.SILENT: "left out, because too few of their hours have come: {} members",
    Lack.UNKNOWN_PHASE: "left out of the moves, because nobody knows where they hang: {} members",
    Lack.THREE_PHASE: "members of several phases, taken as even and never moved: {}",
    Lack.EXACT_TOO_LARGE: "{} consumers are too many for the exact solver; at most {}, and the moves were searched",
    Lack.NO_SOLVER: "no exact solver: scipy is not installed (pip install 'scada[exact]'), and the moves were searched",
    Lack.NO_ANSWER: "the exact solver found nothing in {} s, and the moves were searched",
    Lack.PASSING: "members that came or went within the period, counted while they were there and never moved: {}",
    Lack.GENERATION: "members that generate, counted negatively on their phase and never moved: {}",
}
UNCHECKED: Final = {
    Unchecked.NO_NETWORK: "the group's transformer has no network in the registry (sections and nodes)",
    Unchecked.WRONG_NETWORK: "the network of the group's transformer is wrong; scada balance losses CONFIG says what",
    Unchecked.OUTSIDE: "none of the consumers has a node in the transformer's network",
    Unchecked.COLLAPSED: "no voltages were found: more is asked of the network in the registry than it can carry",
}

FORMS: Final = {
    FormUsed.SHIPPED: "with the form factor that is shipped",
    FormUsed.FITTED: "with the form factor of the transformer's own consumers",
    FormUsed.NONE: "without form factor, for the network has loops",
}


@attrs.frozen(eq=False)
class Asked:
    """A group's period, and what was found in the stores."""

    group: str
    first_hour: int
    hours: int
    zone: ZoneInfo
    given: Given


def asked(config: Path, group: str, first: str | None, last: str | None) -> Asked:
    """Read what the command line asks for; a period beyond `MOST_DAYS` is refused."""
    settings = load(config)
    zone, now = ZoneInfo(settings.site.timezone), make_clock(config, settings).seconds()
    start, end = period(first, last, zone, now, USUAL_DAYS * DAY_H)
    hour, hours = start // HOUR_S, -(-end // HOUR_S) - start // HOUR_S
    if hours > MOST_DAYS * DAY_H + 1:
        said = f"a study is of at most {MOST_DAYS} days; found {hours // DAY_H}"
        raise ConfigError([Problem("argument", "--from", said)])
    directory, one = find_group(settings, group)
    with sources_of(settings, directory, now // HOUR_S) as sources, \
            bar("reading", 3 * -(-hours // DAY_H), TaskProgressColumn()) as advance:
        given = gathered(directory, one, hour, hours, zone, sources, lambda tag: advance(tag, 1))
    return Asked(group, hour, hours, zone, given)


@contextmanager
def sources_of(settings: Settings, directory: Directory, hour: int) -> Iterator[Sources]:
    """Where studies read, from the stores."""
    from scada.balancing.compute import KIND
    from scada.balancing.technical import KIND as LOSSES
    from scada.historian.queries import tag_steps
    from scada.historian.service import open_reader
    from scada.metering.hourly import consumption

    reader = open_reader(history_dir(settings))
    try:
        yield Sources(
            lambda points, first_hour, count: consumption(directory, reader.intervals, points, first_hour, count, hour),
            lambda tag, edges, how: tag_steps(reader.live, tag, edges, how),
            partial(reader.results.get, KIND), partial(reader.results.get, LOSSES),
        )
    finally:
        reader.close()


def lacking(lacks: Mapping[Lack, tuple[int, ...]]) -> list[str]:
    """Each lack as a sentence."""
    return [SAID[lack].format(*figures) for lack, figures in lacks.items()]
