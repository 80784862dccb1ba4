"""Losses that a power flow knows are taken off before anybody is blamed for them."""

from datetime import date
from functools import cache

import attrs
import numpy as np

from scada.balancing.answers import examined
from scada.balancing.examination import Inquiry, Period, Sources, _feed_and_loss
from scada.balancing.network import DEFAULTS, feeder, losses, network_of, powers, solve
from scada.bench.balance.feeders import tables
from scada.clock import HOUR_S
from scada.ports import ResultTable
from scada.site import Medium
from tests.bench import meters
from tests.bench.households import make

HOMES, DAYS = 40, 20
LONGER = {7: 1.615, 8: 1.805}           # seeds, and how much longer their lines are: some 5 to 6 % are lost
PERIOD = Period(490_896, DAYS, date(2026, 1, 1))


@cache
def street(seed):
    """Honest homes on a weak line: fed, registered, and lost as the power flow of the registry says."""
    rng = np.random.default_rng(seed)
    written = tables("star", 60, HOMES, seed)
    phases = tuple(f"L{one % 3 + 1}" for one in rng.permutation(HOMES))
    network = network_of(attrs.evolve(written, points=attrs.evolve(written.points, phases=phases)))
    network = attrs.evolve(
        network, phase_ohm=LONGER[seed] * network.phase_ohm, neutral_ohm=LONGER[seed] * network.neutral_ohm)
    model, homes = feeder(network), make(HOMES, DAYS, rng, day_of_year=60)
    fine = losses(model, solve(model, powers(network, 2000 * homes.energy(30).T))).total       # half hours, by the truth
    lost = fine.reshape(-1, 2).sum(axis=1) / 2000
    true = homes.energy()
    seen = true * meters.gains(rng, HOMES)[:, None]
    feed = (true.sum(axis=0) + lost) * meters.gains(rng, 1, meters.FEEDER_SD)
    fed, counted = (meters.counted(rng, energy, meters.RESOLUTION) for energy in (feed[None], seen))
    flow = solve(model, powers(network, 1000 * counted.T))                                     # hours, by the meters
    return fed[0], counted, losses(model, flow, DEFAULTS[60]).total / 1000


def blamed(technical):
    """How many honest members are suspected in both streets together."""
    of = [street(seed) for seed in LONGER]
    members = tuple(f"P{n}" for n in range(HOMES))
    inquiry = Inquiry(
        PERIOD, ("BG-7", "BG-8"), (Medium.ELECTRICITY,) * 2, (members,) * 2,
        tuple(one[0] for one in of), tuple(one[1] for one in of),
        np.full((2, HOMES), meters.RESOLUTION), *np.zeros((2, 2, HOMES, DAYS), dtype=np.bool_),
        tuple(one[2] for one in of) if technical else (),
    )
    return sum(one.suspect for one in examined(inquiry).suspicions)


def test_homes_at_the_end_of_a_weak_line_are_not_blamed_for_what_the_line_lost():
    """Without the power flow the square of the load takes the whole for alike, and who is far away looks guilty."""
    before, after = blamed(technical=False), blamed(technical=True)

    assert before >= 2
    assert after == 0


def sources(technical):
    hours = np.arange(PERIOD.hours, dtype=np.int64)
    columns = {"feed": np.full(PERIOD.hours, 5.0), "technical": technical}
    table = ResultTable((PERIOD.first + hours) * HOUR_S, columns)
    return Sources(lambda *_: None, lambda *_: table, None)


def test_losses_that_are_known_for_half_of_the_days_only_are_left_to_the_square_of_the_load():
    """Or the day on which they begin would look like a theft's; a few hours without one are left out."""
    whole = np.full(PERIOD.hours, 0.3)
    few, half = whole.copy(), whole.copy()
    few[:20], half[:240] = np.nan, np.nan
    found = [_feed_and_loss(sources(one), "BG", PERIOD)[1] for one in (whole, few, half)]

    assert (found[0] == 0.3).all()
    assert np.isnan(found[1]).sum() == 20
    assert (found[2] == 0.0).all()
