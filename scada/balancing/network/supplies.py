"""The transformer and the network behind it from nameplate figures, seen from the low-voltage side."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from scada.balancing.network.model import Supply
from scada.errors import Problem

# The last of each are of no account here: a delta keeps the zero sequence of the network behind it away.
KNOWN: Final = {
    "source": ("base_kv", "u_pu", "isc3_A", "x1_r1", "bus", "isc1_A", "x0_r0"),
    "transformer": (
        "vector_group", "hv_kv", "lv_kv", "s_kva", "uk_percent", "load_loss_kw", "x_percent", "r_percent_total",
        "r0_percent", "x0_percent", "no_load_loss_kw",
    ),
    "system": ("frequency_hz",),
}


def supply(
    hv_volt: float, lv_volt: float, rated: float, r_percent: float, x_percent: float, *, volt_pu: float = 1.0,
    short_circuit_ampere: float = math.inf, x_to_r: float = 10.0, zero_percent: complex | None = None,
    no_load_loss: float = 0.0,
) -> Supply:
    """
    Return a supply from nameplate figures.

    Parameters
    ----------
    hv_volt, lv_volt : float
        Rated voltages between phases. [V]
    rated : float
        [VA]
    r_percent, x_percent : float
        Parts of the short-circuit voltage.
    volt_pu : float
        Voltage of the medium-voltage network over its rated one.
    short_circuit_ampere, x_to_r : float
        Three-phase short-circuit current of that network, and X/R of its impedance.
    zero_percent : complex, optional
        Zero-sequence impedance of the transformer, as its positive one if it is not given, which is near it for Dyn.
    no_load_loss : float
        [W]
    """
    base = lv_volt**2 / rated
    impedance = complex(r_percent, x_percent) / 100 * base
    size = lv_volt**2 / (math.sqrt(3) * hv_volt * short_circuit_ampere)
    return Supply(
        voltage=volt_pu * lv_volt / math.sqrt(3), rated=rated,
        grid=size / math.hypot(1, x_to_r) * complex(1, x_to_r), impedance=impedance,
        zero_impedance=impedance if zero_percent is None else zero_percent / 100 * base, no_load_loss=no_load_loss,
    )


def read_supply(rows: Iterable[Mapping[str, str]], where: str, problems: list[Problem]) -> tuple[Supply, str]:
    """
    Return the supply, and the node it feeds ("" if not said), from rows of item, parameter and value.

    `source`: base_kv, u_pu, isc3_A, x1_r1, bus. `transformer`: vector_group, hv_kv, lv_kv, s_kva, no_load_loss_kw,
    x_percent with r_percent_total or uk_percent with load_loss_kw, and r0_percent with x0_percent where the zero sequence
    is another. """
    said = {(row.get("item", ""), row.get("parameter", "")): row.get("value", "") for row in rows}
    problems += [
        Problem(where, f"{item} {name}", f"is not known; expected one of {', '.join(KNOWN.get(item, KNOWN))}")
        for item, name in said if name not in KNOWN.get(item, ())
    ]

    def number(item: str, name: str, otherwise: float | None = None, above: float = 0.0) -> float:
        text = said.get((item, name), "")
        if not text and otherwise is not None:
            return otherwise
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= above and (value > 0 or otherwise is not None)):
            expected = f"{text!r}; expected a number above 0" if text else "is missing"
            problems.append(Problem(where, f"{item} {name}", expected))
            return 1.0
        return value

    rated, hv, lv = (1e3 * number("transformer", name) for name in ("s_kva", "hv_kv", "lv_kv"))
    if ("transformer", "uk_percent") in said:
        whole = number("transformer", "uk_percent")
        r = min(whole, 100 * 1e3 * number("transformer", "load_loss_kw", 0.0) / rated)
        x = math.sqrt(whole**2 - r**2)
    else:
        x, r = number("transformer", "x_percent"), number("transformer", "r_percent_total", 0.0)
    group = said.get(("transformer", "vector_group"), "Dyn")
    zero = None
    if said.keys() & {("transformer", "x0_percent"), ("transformer", "r0_percent")}:
        zero = complex(number("transformer", "r0_percent", r), number("transformer", "x0_percent"))
    elif not blocks(group):
        problems.append(Problem(
            where, "transformer vector_group",
            f"{group!r} lets the zero sequence through: expected r0_percent and x0_percent, seen from low voltage",
        ))
    made = supply(
        hv, lv, rated, r, x, volt_pu=number("source", "u_pu", 1.0) * number("source", "base_kv", hv / 1e3) * 1e3 / hv,
        short_circuit_ampere=number("source", "isc3_A", math.inf) if ("source", "isc3_A") in said else math.inf,
        x_to_r=number("source", "x1_r1", 10.0), zero_percent=zero,
        no_load_loss=1e3 * number("transformer", "no_load_loss_kw", 0.0),
    )
    return made, said.get(("source", "bus"), "")


def blocks(group: str) -> bool:
    """A delta keeps the zero sequence away from the network behind, and leaves it the short-circuit impedance."""
    return not group.strip() or group.strip().startswith("D")
