"""Hours with a magnet, a doubtful clock or a loss of power: summed, and named as what they are."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scada.balancing.compute import DAY_S
from scada.balancing.versions import versioned
from scada.cli.balance import print_balance
from scada.clock import HOUR_S
from scada.intervals import IntervalStatus
from scada.ports import BALANCE_COLUMNS, ResultTable
from scada.tags import Quality
from tests.balancing.test_durable import NOW, by_points
from tests.balancing.test_service import hour_passes
from tests.balancing.world import World, estate
from tests.metering.world import HOUR

FIRST = HOUR - 900


def test_a_doubtful_hour_is_in_the_balance_and_its_share_beside_it() -> None:
    """A thief with a magnet keeps no balance incomplete; of a feed with one the whole hour is in doubt."""
    world = World(by_points(), timezone="UTC", start=NOW * HOUR_S).start()
    world.intervals.deliver(1, 0, FIRST, [100] * 24)
    world.intervals.deliver(2, 0, FIRST, [200] * 24)
    world.intervals.deliver(3, 0, FIRST, [400] * 24)
    world.intervals.deliver(2, 0, FIRST + 2, [150], IntervalStatus.MAGNET)
    world.intervals.deliver(3, 0, FIRST + 3, [400], IntervalStatus.CLOCK_INVALID)
    world.settle(8)
    rows = world.table()
    day = next(one for start, one in world.table(DAY_S).items() if start <= FIRST < start + 24)

    assert [rows[FIRST + n]["doubtful"] for n in range(1, 5)] == [0.0, 0.5, 1.0, 0.0]
    assert rows[FIRST + 2]["imbalance"] == pytest.approx(1.5)
    assert (rows[FIRST + 2]["completeness"], rows[FIRST + 2]["estimated"]) == (1.0, 0.0)
    assert day["doubtful"] == pytest.approx(1 / 24)                     # of the feed's hours; of the members' 1 of 48


def test_what_is_published_is_uncertain_where_more_than_a_twentieth_is_in_doubt() -> None:
    """What rests on the members, until an hour without doubt is there; the feed is as it was read."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    world.until(world.clock.hour() + 1, -1)
    world.read(1010.0)
    world.until(world.clock.hour() + 1, 1)
    world.read(1010.0)
    world.intervals.deliver(1, 0, HOUR + 1, [5000])
    world.intervals.deliver(2, 0, HOUR + 1, [4000], IntervalStatus.MAGNET)
    world.settle()
    doubted = {name: world.tag(f"BG-1/{name}")[1] for name in ("feed", "members", "imbalance", "imbalance_percent")}
    world.intervals.deliver(2, 0, HOUR + 1, [4000])                     # the same figures, and no magnet after all
    world.settle()

    assert doubted == {
        "feed": Quality.GOOD, "members": Quality.UNCERTAIN_LAST_KNOWN, "imbalance": Quality.UNCERTAIN_LAST_KNOWN,
        "imbalance_percent": Quality.UNCERTAIN_LAST_KNOWN,
    }
    assert world.tag("BG-1/imbalance")[1] is Quality.GOOD
    assert world.table()[HOUR + 1]["version"] == 2.0


def test_one_doubtful_member_of_forty_leaves_the_published_balance_good() -> None:
    """2.5 %: it is in the column."""
    world = World(estate(40)).start()
    hour_passes(world, 1000.0, (0,) * 40)
    world.until(HOUR + 2, -1)
    world.read(1010.0)
    world.until(HOUR + 2, 1)
    world.read(1010.0)
    for n in range(40):
        world.intervals.deliver(n + 1, 0, HOUR + 1, [200], IntervalStatus.MAGNET if n == 7 else 0)
    world.settle()

    assert world.table()[HOUR + 1]["doubtful"] == pytest.approx(0.025)
    assert world.tag("BG-1/imbalance")[1] is Quality.GOOD


@pytest.mark.parametrize(("share", "news"), [(0.0, 0), (0.2, 1)])
def test_a_row_from_before_shares_of_doubt_were_kept_is_news_only_where_there_is_one(share: float, news: int) -> None:
    columns = {name: np.array([1.0]) for name in BALANCE_COLUMNS[:-1]} | {"doubtful": np.array([share])}
    before = {**columns, "version": np.array([3.0])}
    del before["doubtful"]
    found = versioned(np.array([7]), columns, ResultTable(np.array([7]), before))

    assert len(found.start) == news
    assert found.columns["version"].tolist() == [4.0] * news


@pytest.mark.parametrize("doubtful", [0.0, 0.2])
def test_people_read_a_column_of_doubt_only_where_there_is_some(
    capsys: pytest.CaptureFixture[str], doubtful: float
) -> None:
    """The table is wide enough as it is."""
    columns = {name: np.array([1.0]) for name in BALANCE_COLUMNS} | {"doubtful": np.array([doubtful])}
    print_balance(ResultTable(np.array([0]), columns), "BG-1", "kWh", ZoneInfo("UTC"), as_json=False)
    text = " ".join(capsys.readouterr().out.split())

    assert ("doubtful" in text) is (doubtful > 0)
    assert ("20.0" in text) is (doubtful > 0)
