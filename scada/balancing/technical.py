"""Technical losses of a transformer's network from stored hours: one series an hour, and all of a period. Blocking."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import (
    Feeder,
    Network,
    Period,
    feeder,
    losses,
    of_hours,
    over,
    powers,
    solve,
    solve_meshed,
)
from scada.balancing.network.of_site import Known, networks
from scada.clock import HOUR_S
from scada.ports import LOSS_COLUMNS, Metering, Registry, ResultTable
from scada.site import BalanceGroup, Directory, Medium
from scada.tags import BAD

KIND: Final = "losses"
MOST_KEPT: Final = 64                   # networks whose matrices are kept


@attrs.frozen(eq=False)
class Taken:
    """What the service points of a network took."""

    watts: NDArray[np.float64]          # (h, p); NaN where it is not known, or not to be believed
    known: NDArray[np.float64]          # (h,) share of service points [1]


def taken(metering: Metering, network: Network, first: int, count: int, *, validated: bool = False) -> Taken:
    """Return what was taken in `count` hours from `first` [h since 1970]; `validated`: with estimates."""
    if not network.points:
        return Taken(np.zeros((count, 0)), np.ones(count))
    found = metering.hourly(list(network.points), first, count, validated=validated)
    # What a dead line counted is evidence, not consumption.
    watts = np.where(found.quality < BAD, found.values, np.nan).T * 1000
    return Taken(watts, np.isfinite(watts).mean(axis=1))


def hourly(network: Network, from_meters: Taken) -> dict[str, NDArray[np.float64]]:
    """
    Return the losses of hours, in `LOSS_COLUMNS` but for the version.

    Parameters
    ----------
    network : Network
    from_meters : Taken
        h hours.

    Returns
    -------
    columns : dict of str to ndarray of float64, shape (h,)
        Energies; NaN in an hour in which a service point is not known, or the network cannot carry the load. In a network
        with loops nothing is added for what means over an hour hide, and its uncertainty is NaN. [kWh]
    """
    watts, form = from_meters.watts, of_hours(network.form)
    power = powers(network, watts)
    if network.looped:                      # nobody is behind a section of a loop: what means hide of it is not known
        meshed = solve_meshed(network, power, strict=False)
        lost, converged, doubt = meshed.losses, meshed.converged, np.full(len(watts), np.nan)
    else:
        model = _model(network)
        flow = solve(model, power, strict=False)
        lost, converged = losses(model, flow, form), flow.converged
        doubt = (lost.total - losses(model, flow).total) * form.doubt
    phases, neutral = lost.lines[:, :-1].sum(axis=1), lost.lines[:, -1]
    columns = {
        "technical": lost.total, "phases": phases, "neutral": neutral, "transformer": lost.transformer,
        "uncertainty": doubt, "taken": watts.sum(axis=1),
    }
    good = converged & np.isfinite(lost.total)
    found = {name: np.where(good, column, np.nan) / 1000 for name, column in columns.items()}
    return {**found, "completeness": from_meters.known}


def technical(metering: Metering, directory: Directory, transformer: str, first: int, count: int) -> NDArray[np.float64]:
    """
    Return the technical loss of `count` hours from `first`, (count,): what a balance deducts. [kWh]

    NaN where it is not known: no network, a wrong one, or an hour that is not complete. Computed from the same hours as the
    balance itself, estimates of what is missing among them, not read from what was stored, so that neither waits for the
    other.
    """
    network = known(directory).networks.get(transformer)
    if network is None:
        return np.full(count, np.nan)
    return hourly(network, taken(metering, network, first, count, validated=True))["technical"]


def of_groups(registry: Registry, metering: Metering) -> Callable[[str, int, int], NDArray[np.float64]]:
    """
    Return what the balances ask: (group, first hour, hours) -> (hours,), what is deducted from its imbalance. [kWh]

    Only a group that is fed through its transformer's meter deducts the losses of the transformer's network: behind it are
    all lines. Of a house or a street no more than a part is lost, and which is not known: NaN.
    """
    def lost(name: str, first: int, count: int) -> NDArray[np.float64]:
        directory = registry.directory
        group = directory.balance_group.get(name)
        transformer = deducted_from(directory, group) if group is not None else ""
        return technical(metering, directory, transformer, first, count) if transformer else np.full(count, np.nan)

    return lost


def deducted_from(directory: Directory, group: BalanceGroup) -> str:
    """The transformer whose network's losses a group's balance deducts; "" if it deducts none."""
    transformer = directory.transformer.get(group.transformer)
    fed = group.feed_tag.partition("/")[0] if group.medium is Medium.ELECTRICITY else ""
    return transformer.name if transformer is not None and fed and fed == transformer.meter else ""


def digest_of(directory: Directory, group: BalanceGroup) -> str:
    """What stands for the network whose losses a group deducts: the same where it has the same losses; "" without one."""
    transformer = deducted_from(directory, group)
    network = known(directory).networks.get(transformer) if transformer else None
    return "" if network is None else _digest(network)


@lru_cache(maxsize=MOST_KEPT)
def _digest(network: Network) -> str:
    found = hashlib.sha256()
    for name in attrs.fields_dict(Network):
        value = getattr(network, name)
        if value is None:                   # nothing of its own: what stood for it before there was such a thing still does
            continue
        found.update(f"{name}:".encode())
        found.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return found.hexdigest()[:16]


def period(metering: Metering, network: Network, first: int, count: int) -> tuple[Period, Taken]:
    """Return the losses of all of a period, by section and service point, and what they were worked out from."""
    found = taken(metering, network, first, count)
    return over(network, found.watts, 60.0, of_hours(network.form), meshed=network.looped), found


def news(start: NDArray[np.int64], columns: dict[str, NDArray[np.float64]], before: ResultTable) -> ResultTable:
    """Rows that are new or differ from what is stored, with their version; hours nobody knows of are left out."""
    names = LOSS_COLUMNS[:-1]
    old, version = np.full((len(start), len(names)), np.nan), np.zeros(len(start))
    if len(before.start):
        place = np.minimum(np.searchsorted(before.start, start), len(before.start) - 1)
        stored = before.start[place] == start
        old[stored] = np.column_stack([before.columns[name] for name in names])[place[stored]]
        version[stored] = before.columns["version"][place[stored]]
    new = np.column_stack([columns[name] for name in names])
    same = np.isclose(new, old, rtol=1e-9, atol=0.0, equal_nan=True).all(axis=1) & (version > 0)
    keep = ~same & ((version > 0) | (columns["completeness"] > 0))
    return ResultTable(start[keep], {**{name: columns[name][keep] for name in names}, "version": version[keep] + 1})


def hours(first: int, count: int) -> NDArray[np.int64]:
    """Starts of hours. [s since 1970]"""
    return (first + np.arange(count, dtype=np.int64)) * HOUR_S


def known(directory: Directory) -> Known:
    """The networks of a registry; those of the last one asked for are kept."""
    return _known(_Same(directory))


@lru_cache(maxsize=2)
def _known(key: "_Same") -> Known:
    return networks(key.directory)


@lru_cache(maxsize=MOST_KEPT)
def _model(network: Network) -> Feeder:
    return feeder(network)


class _Same:
    """A directory as a key: the same where nothing that a network is made of has changed."""

    def __init__(self, directory: Directory) -> None:
        self.directory, site = directory, directory.site
        self._parts = (
            site.transformers, site.feeders, site.linecodes, site.sections, site.consumers, site.points,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and all(
            mine is theirs for mine, theirs in zip(self._parts, other._parts, strict=True)
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._parts)))
