"""Technical losses: right against OpenDSS, fast against power-grid-model, and what hourly means hide put back."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import DEFAULTS, FormFactor, Network, calibrate, feeder, losses, node_voltages, powers, solve
from scada.bench import Figure
from scada.bench.balance.feeders import KINDS, loads, made
from scada.bench.balance.loss_speed import speed
from scada.bench.balance.opendss import OpenDss
from scada.bench.balance.shared import Feeder, european, generated

YEAR: Final = 8760
BATCH: Final = 1440                         # cases for power-grid-model
DRAWS: Final = 40
MINUTE: Final = 565                         # row of minute 566, whose loss is known
EVERY: Final = 16                           # minutes between two that OpenDSS is asked for
ALLOWED_W, ALLOWED_SHARE = 0.01, 0.001      # what the loss of a section may differ


def measure(year: int = YEAR, batch: int = BATCH, draws: int = DRAWS) -> list[Figure]:
    """All figures; those of the shared feeder only where its folder is named."""
    shared = european()
    best = shared or generated()
    return [
        *_errors("", "20 generated feeders, 1 to 3 phases, four wires", _own()),
        *(_of_shared(shared) if shared else ()),
        *speed(best, year, batch), *_bias(best, DEFAULTS[60] if shared else calibrate(best.used), draws),
    ]


Compared = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _own() -> Iterator[Compared]:
    for kind in KINDS:
        for seed in range(5):
            network = made(kind, 30, 14, seed)
            yield _compare(network, powers(network, loads(network, 4, seed) / 2), 4)


def _compare(network: Network, power: NDArray[np.complex128], wires: int) -> Compared:
    """Section losses and voltages, ours and theirs."""
    model = feeder(network)
    flow = solve(model, power)
    answer = OpenDss(network, wires).run(power)
    section = losses(model, flow, table=True).section
    assert section is not None
    return section, answer.section, np.abs(node_voltages(model, flow)), answer.voltage


def _errors(suffix: str, of: str, compared: Iterator[Compared]) -> list[Figure]:
    total = watts = share = volts = 0.0
    for ours, theirs, our_volts, their_volts in compared:
        total = max(total, float(np.abs(ours.sum(axis=1) / theirs.sum(axis=1) - 1).max()))
        apart = np.abs(ours - theirs)
        watts = max(watts, float(apart.max()))
        share = max(share, float((apart / (ALLOWED_W + ALLOWED_SHARE * np.abs(theirs))).max()))
        volts = max(volts, float(np.abs(our_volts - their_volts).max()))
    return [
        Figure(f"loss_error{suffix}", f"{of}: line loss against OpenDSS, largest difference", 100 * total, "%"),
        Figure(f"loss_error_section{suffix}", f"{of}: loss of a section, largest difference", watts, "W"),
        Figure(f"loss_error_section_share{suffix}", f"{of}: the same as a share of 0.01 W + 0.1 %", share, "1"),
        Figure(f"loss_error_voltage{suffix}", f"{of}: voltage at a node, largest difference", 1000 * volts, "mV"),
    ]


def _of_shared(shared: Feeder) -> list[Figure]:
    """Three wires for OpenDSS: some of these cables have a zero sequence below the positive one, which no neutral makes."""
    network, power = shared.network, powers(shared.network, shared.used)
    model = feeder(network)
    lost = losses(model, solve(model, power)).lines.sum(axis=1)
    rows = np.union1d(np.arange(0, len(power), EVERY), [MINUTE])
    return [
        *_errors("_shared", f"{shared.name}, {len(rows)} minutes", iter([_compare(network, power[rows], 3)])),
        Figure("loss_shared_kw", f"{shared.name}: line loss at minute 566", lost[MINUTE] / 1e3, "kW"),
        Figure("loss_shared_kwh", f"{shared.name}: line loss of the day", lost.sum() / 60e3, "kWh"),
    ]


def _bias(best: Feeder, form: FormFactor, draws: int) -> list[Figure]:
    """Other consumers than those of the calibration, on service points by lot; the day's loss, by hours and by minutes."""
    rng = np.random.default_rng(40)
    model, points = feeder(best.network), len(best.network.points)
    plain, better, hourly = [], [], []
    for _ in range(draws):
        active = np.zeros((len(best.spare), points))
        active[:, rng.permutation(points)[:best.spare.shape[1]]] = best.spare[:, rng.permutation(best.spare.shape[1])]
        truth = _hours(losses(model, solve(model, powers(best.network, active))).lines.sum(axis=1))
        flow = solve(model, powers(best.network, _hours(active)))
        plain.append(losses(model, flow).lines.sum() / truth.sum() - 1)
        found = losses(model, flow, form).lines.sum(axis=1)
        better.append(found.sum() / truth.sum() - 1)
        hourly.append(np.abs(found / truth - 1).mean())
    of = f"{best.name}, consumers that the factor does not know, mean of {draws} draws"
    return [
        Figure("hourly_bias", f"{of}: loss of the day from hourly means with form factor, size of its error",
               100 * float(np.abs(better).mean()), "%"),
        Figure("hourly_bias_signed", f"{of}: the same with its sign", 100 * float(np.mean(better)), "%"),
        Figure("hourly_bias_sd", f"{of}: spread (one sigma) over the draws", 100 * float(np.std(better)), "%"),
        Figure("hourly_bias_hour", f"{of}: size of the error of single hours", 100 * float(np.mean(hourly)), "%"),
        Figure("hourly_bias_without", f"{of}: error without the factor", 100 * float(np.mean(plain)), "%"),
    ]


def _hours(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(minutes.reshape(-1, 60, *minutes.shape[1:]).mean(axis=1))
