"""What of a balance is beyond the losses that are to be expected: one judgement for alarms, messages and pages. Pure."""

from collections.abc import Mapping

import attrs

from scada.site import BalanceGroup


@attrs.frozen
class Beyond:
    """Of one interval of a group."""

    percent: float                      # of the feed; negative where members register more than was fed; NaN = unknown
    over: bool                          # beyond the limit, and its doubt does not reach back to it


def beyond(group: BalanceGroup, row: Mapping[str, float]) -> Beyond:
    """
    Return how a balance is to be judged.

    Own consumption of the metering is taken off, and what the network loses: the technical loss where it is computed, else
    up to the loss that is normal in the group. A group that loses less than is normal is not in surplus.

    Parameters
    ----------
    group : BalanceGroup
    row : mapping of str to float
        `BALANCE_COLUMNS` of one interval; what a former version did not store may be missing.
    """
    nan = float("nan")
    imbalance, feed = row.get("imbalance", nan), abs(row.get("feed", nan))
    if not feed > 0 or imbalance != imbalance:
        return Beyond(nan, False)
    technical, own, doubt = (row.get(name, nan) for name in ("technical", "own", "uncertainty"))
    rest = imbalance - (own if own == own else 0.0)
    if technical == technical:
        rest -= technical
    elif rest > 0:
        rest = max(rest - group.normal_share * feed, 0.0)
    limit = group.limit / 100.0 * feed
    return Beyond(100.0 * rest / feed, abs(rest) - (doubt if doubt == doubt else 0.0) > limit)
