"""The integrator's page says what the code does."""

import re
from pathlib import Path

import pytest
from asyncua import ua

from scada.commands import CommandState
from scada.opcua_server import doorman, methods, process, security, units
from scada.tags import OPCUA_STATUS, Quality

PAGE = (Path(__file__).parents[2] / "docs" / "opcua.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("quality", list(Quality))
def test_every_status_of_a_value_is_explained(quality: Quality) -> None:
    """One row a quality."""
    assert f"\n| `{ua.StatusCode(OPCUA_STATUS[quality]).name}` |" in PAGE


@pytest.mark.parametrize("signature", methods.SIGNATURES, ids=lambda one: one.name)
def test_every_method_stands_there_with_its_arguments(signature: methods.Signature) -> None:
    """Names and types, inputs and outputs, in their order."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{signature.name}` |"))
    _, _, inputs, outputs, _ = row.split("|")

    def named(cell: str) -> list[tuple[str, str]]:
        return re.findall(r"`(\w+)` (\w+)", cell)

    assert named(inputs) == [(name, kind.name) for name, kind, _ in signature.inputs]
    assert named(outputs) == [(name, kind.name) for name, kind, _ in signature.outputs]


def test_every_unit_in_the_table_has_the_number_the_server_sends() -> None:
    """Code and UnitId of each."""
    rows = re.findall(r"\| (\S+) \| (\w{2,3}) \| (\d+) \|", PAGE)

    assert len(rows) == 12
    assert [(symbol, units.CEFACT[symbol][0], str(units.unit_id(symbol))) for symbol, _, _ in rows] == rows


def test_every_policy_that_is_offered_is_named_and_no_other() -> None:
    """The three of the table."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| security policies |"))
    named = {name.replace("_", "") for name in re.findall(r"`(\w+)`", row)}

    assert named == {one.name.split("_")[0] for one in process.POLICIES}


def test_the_limits_are_the_ones_that_hold() -> None:
    """Numbers in prose."""
    for sentence in (
        f"{security.MAX_CONNECTIONS} connections", f"{security.MAX_SUBSCRIPTIONS} subscriptions",
        f"requests of {security.MAX_MESSAGE >> 20} MB", f"{security.MAX_QUEUE:,} queued values",
        f"no answer in {process.ANSWER_WITHIN_S:.0f} s", f"a text over {methods.MAX_TEXT} characters",
    ):
        assert sentence in PAGE
    assert (doorman.MAX_FAILURES, doorman.MAX_FAILURES_PEER, doorman.WINDOW_S) == (5, 20, 60.0)
    assert all(f"`{state.value}`" in PAGE for state in CommandState)


def test_every_status_a_call_may_end_with_is_one_of_the_standard() -> None:
    """No invented names in the table."""
    table = PAGE[PAGE.index("| status of the call |"):PAGE.index("Clients that hide")]

    assert all(hasattr(ua.StatusCodes, name) for name in re.findall(r"`(Bad\w+)`", table))
