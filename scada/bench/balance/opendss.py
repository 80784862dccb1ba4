"""The same network in OpenDSS, an engine of others: true four wires, a load each connection, constant power."""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, connections
from scada.errors import ScadaError

MUTUAL: Final = 0.3j                        # ohm/km between any two wires; it cancels, for their currents sum to zero
HV_KV: Final = 10.0


@attrs.frozen(eq=False)
class Answer:
    """What OpenDSS says of h cases; s sections, n nodes."""

    section: NDArray[np.float64]            # (h, s) [W]
    voltage: NDArray[np.float64]            # (h, n, 3) phase to neutral [V]
    transformer: NDArray[np.float64]        # (h,) without no-load loss [W]


class OpenDss:
    """One circuit, solved again and again."""

    def __init__(self, network: Network, wires: int = 4) -> None:
        """`wires` is 4, or 3 where Zn is no wire's but half of a zero sequence's (it may then be negative)."""
        try:
            from dss import DSS
        except ImportError:
            raise ScadaError("OpenDSS is needed for this: pip install dss-python") from None
        self.network, self.wires = network, wires
        self.engine: Any = DSS.NewContext()
        self.engine.AllowForms = False
        self.circuit: Any = None
        self._make()

    def _make(self) -> None:
        network, supply = self.network, self.network.supply
        kv = supply.voltage * 3**0.5 / 1000
        percent = supply.impedance / (kv**2 / (supply.rated / 1e6)) * 100
        grid = supply.grid * (HV_KV / kv)**2
        self.engine.ClearAll()
        self._do(
            f"new circuit.c basekv={HV_KV} pu=1 phases=3 bus1=mv "
            + " ".join(f"{name}=[{grid.real:.12g} {grid.imag:.12g}]" for name in ("z1", "z0"))
        )
        self._do(
            f"new transformer.t phases=3 windings=2 buses=[mv n{network.root}.1.2.3.0] conns=[delta wye] "
            f"kvs=[{HV_KV} {kv:.15g}] kvas=[{supply.rated / 1e3} {supply.rated / 1e3}] xhl={percent.imag:.15g} "
            f"%rs=[{percent.real / 2:.15g} {percent.real / 2:.15g}] %noloadloss=0 %imag=0 ppm_antifloat=0"
        )
        for section, (one, other) in enumerate(network.ends):
            self._line(section, int(one), int(other))
        self.point, self.phase = connections(network)
        back = ".4" if self.wires == 4 else ""
        for index, (point, phase) in enumerate(zip(self.point, self.phase, strict=True)):
            node = network.point_node[point]
            neutral = (".0" if node == network.root else back) if back else ""
            self._do(
                f"new load.c{index} phases=1 bus1=n{node}.{phase + 1}{neutral} kv={supply.voltage / 1000:.12g} kw=0 kvar=0 "
                "model=1 conn=wye vminpu=0.05 vmaxpu=20"           # else loads turn into impedances at unusual voltages
            )
        self._do(f"set voltagebases=[{HV_KV} {kv}]")
        self._do("calcvoltagebases")
        self._do("set tolerance=1e-9 maxiterations=200 controlmode=off")
        self.circuit = self.engine.ActiveCircuit

    def _line(self, section: int, one: int, other: int) -> None:
        network = self.network
        zp, zn = network.phase_ohm[section], network.neutral_ohm[section]
        if self.wires == 4:
            matrix = np.full((4, 4), MUTUAL * network.length[section] / 1000) + np.diag([zp, zp, zp, zn])
        else:
            matrix = np.full((3, 3), zn) + np.diag([zp] * 3)
        text = {
            name: "|".join(" ".join(f"{value:.15g}" for value in row[:index + 1]) for index, row in enumerate(part))
            for name, part in (("rmatrix", matrix.real), ("xmatrix", matrix.imag), ("cmatrix", 0 * matrix.real))
        }
        # At the transformer the neutral is earth itself.
        wires = [".1.2.3" + (".0" if node == network.root else ".4") if self.wires == 4 else "" for node in (one, other)]
        ends = [f"n{node}{wire}" for node, wire in zip((one, other), wires, strict=True)]
        self._do(
            f"new line.s{section} bus1={ends[0]} bus2={ends[1]} phases={self.wires} length=1 units=none "
            + " ".join(f"{name}=[{value}]" for name, value in text.items())
        )

    def _do(self, text: str) -> None:
        self.engine.Text.Command = text
        if self.engine.Text.Result:
            raise ScadaError(f"OpenDSS: {self.engine.Text.Result}")

    def run(self, power: NDArray[np.complex128]) -> Answer:
        """Solve one case after the other; power per connection, (h, k). [VA]"""
        circuit, network = self.circuit, self.network
        section, voltage = np.empty((len(power), len(network.sections))), np.empty((len(power), len(network.nodes), 3))
        transformer = np.empty(len(power))
        for case, each in enumerate(power):
            for index, value in enumerate(each):
                circuit.Loads.idx = index + 1
                circuit.Loads.kW, circuit.Loads.kvar = value.real / 1000, value.imag / 1000
            circuit.Solution.Solve()
            if not circuit.Solution.Converged:
                raise ScadaError(f"OpenDSS did not converge in case {case}")
            found = dict(zip(circuit.AllNodeNames, np.asarray(circuit.AllBusVolts).view(complex), strict=True))
            for node in range(len(network.nodes)):
                earth = found.get(f"n{node}.4", 0.0)
                voltage[case, node] = [abs(found[f"n{node}.{phase}"] - earth) for phase in (1, 2, 3)]
            for index in range(len(network.sections)):
                circuit.SetActiveElement(f"line.s{index}")
                section[case, index] = circuit.ActiveCktElement.Losses[0]
            circuit.SetActiveElement("transformer.t")
            transformer[case] = circuit.ActiveCktElement.Losses[0]
        return Answer(section, voltage, transformer)
