"""The simulated module with a whole supply: what docs/dmlp.md says of COMMAND, rule by rule, in any order."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.commands import Action
from scada.drivers.dmesh.messages import Command, signed
from scada.drivers.dmesh.numbers import Code, Holder
from scada.drivers.dmesh.simulator.supply import SupplyActuator

KEY, EUI, NOW = b"k" * 16, 0xD1, 1000.0
OFF, ON = Action.SUPPLY_OFF, Action.SUPPLY_ON
holders = st.sampled_from([Holder.DEBT, Holder.DANGER, Holder.LOCKOUT])


def command(number: int, action: Action = OFF, holder: Holder = Holder.DEBT, **changes: object) -> Command:
    made = Command(number.to_bytes(16, "big"), 1, EUI, action, 2000, number, holder)
    return signed(attrs.evolve(made, **changes), KEY)


def hear(module: SupplyActuator, one: Command, now: float = NOW) -> Code:
    return module.hear(one, EUI, (KEY,), now)


@given(st.lists(st.tuples(st.sampled_from([OFF, ON]), holders), max_size=12), st.booleans())
def test_it_is_on_only_while_nobody_holds_it_and_a_valve_never_opens_by_itself(
    orders: list[tuple[Action, Holder]], manual: bool
) -> None:
    module, held, closed = SupplyActuator(manual=manual), set(), False
    for number, (action, holder) in enumerate(orders, 1):
        assert hear(module, command(number, action, holder)) is Code.OK
        (held.add if action is OFF else held.discard)(holder)
        closed = closed or action is OFF
        assert module.holders == held
        assert module.supplied == (not held and not (manual and closed))


@pytest.mark.parametrize(("module", "one", "code"), [
    (SupplyActuator(), attrs.evolve(command(1), mac=b"x" * 8), Code.CRYPTO),
    (SupplyActuator(), command(1, eui=0xD2), Code.INTERLOCK),
    (SupplyActuator(), command(1, not_after=999), Code.EXPIRED),
    (SupplyActuator(), command(1, holder=Holder.NONE), Code.BAD_ARGUMENT),
    (SupplyActuator(), command(1, off_for_s=60), Code.BAD_ARGUMENT),
    (SupplyActuator(), command(1, Action.RESTORE, Holder.NONE), Code.DENIED),
    (SupplyActuator(never=True), command(1), Code.DENIED),
    (SupplyActuator(never=True), command(1, holder=Holder.DANGER), Code.OK),
    (SupplyActuator(clock_valid=False), command(1), Code.INTERLOCK),
    (SupplyActuator(clock_valid=False), command(1, ON, not_after=999), Code.OK),
])
def test_every_rule_of_the_module(module: SupplyActuator, one: Command, code: Code) -> None:
    assert hear(module, one) is code
    assert module.supplied == (code is not Code.OK or one.action is ON)


def test_a_command_heard_twice_is_executed_once_and_an_older_one_not_at_all() -> None:
    """The repeat of a SUPPLY_ON after somebody else has switched off must not bring the supply back."""
    module = SupplyActuator()
    on = command(2, ON)
    hear(module, command(1))
    hear(module, on)
    hear(module, command(3, OFF, Holder.LOCKOUT))

    assert hear(module, on) is Code.OK                      # the answer of the first time
    assert not module.supplied
    assert hear(module, command(2, ON, Holder.LOCKOUT, command_id=b"z" * 16)) is Code.DENIED
    assert not module.supplied


def test_a_power_cut_takes_no_holder_away() -> None:
    module, after = SupplyActuator(), SupplyActuator()
    hear(module, command(7, OFF, Holder.LOCKOUT))
    after.recall(module.memory())

    assert (after.supplied, after.holders) == (False, {Holder.LOCKOUT})
    assert hear(after, command(7, ON, Holder.LOCKOUT)) is Code.DENIED
