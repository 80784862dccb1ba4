"""A history whose blocks were spoilt, without any replica: the field is asked again and gives back what it holds."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from scada.simulate.truth import read_truth

from .harness import PASSWORD, Site, wait_for
from .test_nothing_lost import Key, everything_acknowledged, stored

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_what_damaged_blocks_lost_is_asked_for_in_the_field(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands a person types: repair, start, ask-again; each hour is asked for once, and what comes is as it was."""
    monkeypatch.setenv("SCADA_PASSWORD", PASSWORD)
    site = make_site(
        speed=600.0, field=("--history", "96"), changes={"dmesh": {"collection": {"depth_days": 1}}},
    ).start()
    site.add_user("eva", "engineer")
    wait_for(lambda: everything_acknowledged(site), "the whole archive to be acknowledged")
    assert site.server is not None
    assert site.server.stop() == 0
    history = site.folder / "data" / "history"
    known = read_truth(site.truth_file).acknowledged()
    before = stored(history, list(known))
    day = int(max(hour for _, _, hour in before)) // 24 - 2    # beyond the depth: the server does not ask by itself
    for month in history.glob("intervals-????-??.sqlite"):
        with closing(sqlite3.connect(month)) as database, database:
            database.execute("UPDATE block SET crc = crc + 1 WHERE day = ?", (day,))
    repaired = site.scada("historian", "repair", str(site.config))
    lost = before.keys() - stored(history, list(known)).keys()
    site.start_server()

    asked: set[str] = set()

    def all_asked() -> bool:
        """Refused while the server is still looking at what it holds, of one concentrator after the other."""
        done = site.scada("historian", "ask-again", str(site.config), "-u", "eva", "--json", check=False)
        asked.update(one["concentrator"] for one in json.loads(done.stdout)["asked"])
        return len(asked) == 2

    wait_for(all_asked, "both concentrators to be asked", every=2.0)

    def back() -> set[Key]:
        return stored(history, list(known)).keys() & lost

    wait_for(lambda: len(back()) >= 1_000, "lost hours to come from the field", every=2.0)
    held = stored(history, list(known))

    assert len(lost) > 3_000
    assert "scada historian ask-again" in repaired.stdout
    assert {key: held[key] for key in held.keys() & lost} == {key: before[key] for key in held.keys() & lost}
