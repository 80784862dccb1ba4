"""A maker's key that is withdrawn while a campaign runs: nothing more of what it signed goes out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scada.firmware.service import TRUST_S
from scada.firmware.store import FILE, FirmwareStore
from scada.rollout import CampaignState
from tests import firmware_maker as maker
from tests.simulate.stand import Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    made.prepare_campaigns()
    yield made
    made.close()


def withdraw(folder: Path) -> None:
    """As `scada firmware trust --remove` does it, from another process."""
    store = FirmwareStore(folder / FILE)
    store.open()
    assert store.distrust(maker.PUBLIC)
    store.close()


def test_a_campaign_pauses_by_itself_when_its_maker_is_not_trusted_any_more(stand: Stand, tmp_path: Path) -> None:
    """And says why; it goes on when somebody tells it to, which takes the trust."""
    stand.campaign()
    assert stand.firmware is not None
    stand.reactor.advance(2 * TRUST_S)
    stand.settle()
    trusted = stand.firmware.campaign(1)
    withdraw(tmp_path)
    stand.reactor.advance(2 * TRUST_S)
    stand.settle()
    found = stand.firmware.campaign(1)
    (health,) = stand.firmware.health()

    assert trusted is not None
    assert trusted.state is CampaignState.CANARY
    assert found is not None
    assert found.state is CampaignState.PAUSED
    assert "not made with a trusted key" in found.why
    assert not health.ok
    assert "campaign 1 has paused by itself" in health.text
