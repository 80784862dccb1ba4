"""How long a year of losses takes, and the same cases in power-grid-model."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import DEFAULTS, Network, feeder, losses, powers, solve
from scada.balancing.network.engine import of_network
from scada.balancing.network.meshed import TOLERANCE, update
from scada.bench import Figure
from scada.bench.balance.shared import Feeder
from scada.errors import ScadaError


def speed(best: Feeder, year: int, batch: int) -> list[Figure]:
    """Hours and cases are minutes of its day, drawn at random; results are compared, too."""
    rng = np.random.default_rng(1)
    network, rows = best.network, rng.integers(0, len(best.used), year)
    active = best.used[rows]
    size = f"{best.name}, {len(network.points)} loads x {len(network.sections)} sections"

    def ours(hours: int) -> NDArray[np.float64]:
        model = feeder(network)
        form = DEFAULTS[60] if hours == year else None
        section = losses(model, solve(model, powers(network, active[:hours])), form, table=True).section
        assert section is not None
        return section

    ours(min(year, 24))                         # numpy's own first time
    took, used, _ = _timed(lambda: ours(year), 3)
    of_batch, used_batch, table = _timed(lambda: ours(batch), 5)
    power = powers(network, active[:batch])
    alone, threads = (_timed(partial(_power_grid_model, network, power, threading), 1) for threading in (-1, 0))
    if not np.allclose(table, alone[2], rtol=1e-5, atol=1e-4):
        raise ScadaError("our losses are not those of power-grid-model")
    their = min(alone[0], threads[0])
    return [
        Figure("loss_year_s", f"{size} x {year} h: model, flow, table of hours and sections, quickest of 3", took, "s"),
        Figure("loss_year_cpu_s", "processor time of that", used, "s"),
        Figure("loss_pgm_s", f"{size} x {batch} cases in power-grid-model, the quicker of 1 and all threads", their, "s"),
        Figure("loss_ratio_to_pgm", "the same cases, times as long as ours, ours the quickest of 5", their / of_batch, "x"),
        Figure("loss_ratio_to_pgm_cpu", "the same by processor time, one thread", alone[1] / used_batch, "x"),
    ]


def _timed(what: Callable[[], NDArray[np.float64]], times: int) -> tuple[float, float, NDArray[np.float64]]:
    """Seconds and seconds of the processor, the least of some runs, and what came out."""
    took, used = [], []
    for _ in range(times):
        began, busy = time.perf_counter(), time.process_time()
        found = what()
        took.append(time.perf_counter() - began)
        used.append(time.process_time() - busy)
    return min(took), min(used), found


def _power_grid_model(network: Network, power: NDArray[np.complex128], threading: int) -> NDArray[np.float64]:
    """Losses of sections by one batch."""
    from power_grid_model import PowerGridModel

    model: Any = PowerGridModel(of_network(network), system_frequency=50.0)
    line = model.calculate_power_flow(
        symmetric=False, calculation_method="iterative_current", error_tolerance=TOLERANCE, max_iterations=100,
        update_data={"asym_load": update(network, power)}, threading=threading,
        output_component_types={"line": ["p_from", "p_to"]},
    )["line"]
    return np.asarray((line["p_from"] + line["p_to"]).sum(axis=2)[:, :-1])
