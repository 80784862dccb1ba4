"""The simulated concentrator answers for itself as docs/dmlp.md says: whole changes or none, discovery that ends."""

from typing import Any

import pytest

from scada.drivers.dmesh.messages import (
    Discovery,
    GetInfo,
    GetParam,
    Info,
    Param,
    ParamMessage,
    Reboot,
    Result,
    SetParam,
)
from scada.drivers.dmesh.numbers import Code, Parameter
from scada.drivers.dmesh.simulator.answers import answers
from scada.drivers.dmesh.simulator.parameters import Configuration
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY

NOON = 1_767_268_800.0


@pytest.fixture
def state() -> ConcentratorState:
    """Module 2 announces itself a minute after noon."""
    made = ConcentratorState(
        LINK_ID, LINK_KEY, (SimModule(1, 0xA1, 1), SimModule(2, 0xA2, 1, joins_at=NOON + 60)), started=NOON, archive_id=7,
        boot_id=1,
    )
    made.configuration = Configuration(lambda: state_time[0])
    return made


state_time = [0.0]


@pytest.fixture(autouse=True)
def at_once() -> None:
    state_time[0] = 0.0


def asked(state: ConcentratorState, message: Any, now: float = NOON) -> Any:
    (answer,) = answers(state, message, now)
    return answer


def set_(state: ConcentratorState, base: int, *params: tuple[int, int | str]) -> Any:
    return asked(state, SetParam(base, tuple(Param(*one) for one in params)))


def test_parameters_are_told_and_a_change_takes_a_new_version(state: ConcentratorState) -> None:
    """INFO and PARAM say the same version; numbers that are not known are left out; there is one page."""
    before = asked(state, GetParam())
    changed = set_(state, 1, (Parameter.RADIO_CHANNEL, 7))
    one = asked(state, GetParam((int(Parameter.RADIO_CHANNEL), 5000)))

    assert isinstance(before, ParamMessage)
    assert (before.version, changed) == (1, ParamMessage(2, 0, 1, (Param(5, 7),)))
    assert one == ParamMessage(2, 0, 1, (Param(5, 7),))
    assert asked(state, GetParam((), 1)) == Result(Code.UNKNOWN)
    info = asked(state, GetInfo())
    assert isinstance(info, Info)
    assert info.configuration == 2


@pytest.mark.parametrize(("base", "params", "code"), [
    (2, ((5, 7),), Code.INTERLOCK),
    (1, ((5, 7), (5, 8)), Code.BAD_ARGUMENT),
    (1, ((5, 7), (5000, 1)), Code.BAD_ARGUMENT),
    (1, ((5, 7), (8, 2)), Code.BAD_ARGUMENT),
    (1, ((5, 7), (1, 3)), Code.BAD_ARGUMENT),
    (1, ((5, "x"),), Code.BAD_ARGUMENT),
])
def test_a_change_is_whole_or_not_at_all(state: ConcentratorState, base: int, params: Any, code: Code) -> None:
    assert set_(state, base, *params).code == code
    assert state.configuration.values[Parameter.RADIO_CHANNEL] == 3
    assert state.configuration.version == 1


def test_newcomers_join_always_as_it_comes_from_the_factory(state: ConcentratorState) -> None:
    state.join(NOON + 61)

    assert [one.index for one in state.modules] == [1, 2]


def test_without_discovery_nobody_joins_and_with_it_for_as_long_as_was_asked(state: ConcentratorState) -> None:
    """Real time; each request replaces the time left, 0 ends it, and so does a restart."""
    set_(state, 1, (Parameter.DISCOVER_ALWAYS, 0))
    state.join(NOON + 61)
    kept_out = [one.index for one in state.modules]
    asked(state, Discovery(600))
    open_, state_time[0] = state.configuration.discovers, 600.0
    over = state.configuration.discovers
    asked(state, Discovery(600))
    asked(state, Discovery(0), NOON + 30)
    ended = state.configuration.discovers
    asked(state, Discovery(600), NOON + 30)
    state.restart(NOON + 31)
    restarted = state.configuration.discovers
    asked(state, Discovery(600), NOON + 61)

    assert kept_out == [1]
    assert [open_, over, ended, restarted] == [True, False, False, False]
    assert [one.index for one in state.modules] == [1, 2]


def test_only_a_module_that_is_there_is_rebooted(state: ConcentratorState) -> None:
    assert [asked(state, Reboot(0, index)).code for index in (0, 1, 9)] == [Code.ACCEPTED, Code.ACCEPTED, Code.UNKNOWN]
