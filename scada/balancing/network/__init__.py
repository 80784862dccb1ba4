"""
A low-voltage network, its power flow and its technical losses: pure functions on arrays. Explained in docs/losses.md.

    network = read_network(folder)                  # or network_of(Tables(...)); every mistake at once as ConfigError
    network = networks(directory).networks["T01"]   # as the registry has it
    model = feeder(network)                         # once; network.on_phases(...) and once more for other phases
    flow = solve(model, powers(network, watts))     # all hours at once: currents (h, k) and voltages (h, k) of connections
    lost = losses(model, flow, DEFAULTS[60])        # per section, conductor, transformer; with what hourly means hide
    lines, transformer = contributions(model, flow, DEFAULTS[60])       # (h, p) per service point; sums to the losses
    volts = node_voltages(model, hours_of(flow, slice(0, 24)))          # (h, n, 3)

h hours (or minutes, or cases), n nodes, s sections, p service points, k one-phase connections: the (point, phase) pairs of
`connections(network)`. Powers in W and VA, positive to the customer; ohm, V, A. Meshed networks: `solve_meshed`. All of a
period at once, as energies: `over`.
"""

from scada.balancing.network.checks import network_of
from scada.balancing.network.flow import Flow, NoConvergence, solve
from scada.balancing.network.folder import read_network
from scada.balancing.network.form import DEFAULTS, FormFactor, calibrate, for_means, of_hours
from scada.balancing.network.meshed import Meshed, solve_meshed
from scada.balancing.network.model import Network, Supply, connections, powers
from scada.balancing.network.of_site import Known, networks
from scada.balancing.network.period import Period, filled, over
from scada.balancing.network.shares import contributions
from scada.balancing.network.solver import Feeder, feeder
from scada.balancing.network.supplies import supply
from scada.balancing.network.tables import Linecodes, Sections, ServicePoints, Tables
from scada.balancing.network.technical import Losses, losses
from scada.balancing.network.voltages import hours_of, node_voltages

__all__ = [
    "DEFAULTS", "Feeder", "Flow", "FormFactor", "Known", "Linecodes", "Losses", "Meshed", "Network", "NoConvergence",
    "Period", "Sections", "ServicePoints", "Supply", "Tables", "calibrate", "connections", "contributions", "feeder",
    "filled", "for_means", "hours_of", "losses", "network_of", "networks", "node_voltages", "of_hours", "over",
    "powers", "read_network", "solve", "solve_meshed", "supply",
]
