"""`scada balance --as-of`: a balance as it was known at an instant, by hours and by months."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.clock import NS
from scada.historian.database import transaction
from scada.historian.results import RESULT_FILE, open_results, store_many
from scada.ports import BALANCE_COLUMNS, ResultRows, ResultTable

MIDNIGHT = 1_767_218_400                # 2026-01-01T00:00+02:00
DAY = 86_400


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A day in which 5 m³ were fed in as far as was known on the second of January, and 3 since the third."""
    path, history = tmp_path / "scada.yaml", tmp_path / "data" / "history"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    (tmp_path / "site.yaml").write_text("balance_groups: [{name: BG, medium: water}]\n", encoding="utf-8")
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    history.mkdir(parents=True)
    with closing(open_results(history / RESULT_FILE)) as database:
        for day, feed in ((1, 5.0), (2, 3.0)):
            columns = {name: np.array([feed]) for name in BALANCE_COLUMNS}
            rows = ResultRows(("BG",), np.zeros(1, np.int64), ResultTable(np.array([MIDNIGHT]), columns))
            for span in (3600, DAY):
                with transaction(database):
                    store_many(database, "balance", span, rows, (MIDNIGHT + day * DAY) * NS)
    return path


def shown(config: Path, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["balance", str(config), "BG", "--from", "2026-01-01", "--to", "2026-02-01", "--json", *options]
    )


@pytest.mark.parametrize("span", [[], ["--daily"], ["--monthly"]])
def test_a_balance_is_shown_as_it_was_known(config: Path, span: list[str]) -> None:
    """What was reported then, though it was computed anew since."""
    then, now = shown(config, *span, "--as-of", "2026-01-02T12:00"), shown(config, *span)

    assert [row["feed"] for row in json.loads(then.output)["rows"]] == [5.0]
    assert [row["feed"] for row in json.loads(now.output)["rows"]] == [3.0]


def test_an_instant_of_which_nothing_is_kept_is_refused_in_a_sentence(config: Path) -> None:
    """With the first one of which something is."""
    done = shown(config, "--as-of", "2026-01-01T12:00")

    assert done.exit_code == 2
    assert "how balances were known is kept from 2026-01-02 00:00:00+02:00 on" in done.stderr
