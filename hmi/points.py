"""The point names the pages look for on the bus: those of a transformer's meter, and those computed for the transformer."""

from typing import Final

PHASES: Final = ("L1", "L2", "L3")
VOLTAGE: Final = ("voltage_l1_n", "voltage_l2_n", "voltage_l3_n")
SIDES: Final = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")
CURRENT: Final = ("current_l1", "current_l2", "current_l3")
POWER: Final = ("power_active_l1", "power_active_l2", "power_active_l3")
REACTIVE: Final = ("power_reactive_l1", "power_reactive_l2", "power_reactive_l3")
APPARENT: Final = ("power_apparent_l1", "power_apparent_l2", "power_apparent_l3")
POWER_FACTOR: Final = ("power_factor_l1", "power_factor_l2", "power_factor_l3")
POWER_TOTAL: Final = "power_active_total"
FREQUENCY: Final = "frequency"
ENERGY_IMPORT: Final = "energy_import"
ENERGY_EXPORT: Final = "energy_export"
NEUTRAL_MEASURED: Final = "current_neutral"

# Computed by `balancing`, on the transformer's own device.
LOADING: Final = "loading"
UNBALANCE: Final = "imbalance_i2_i1"                        # negative over positive sequence of the currents
DEVIATION: Final = "imbalance_max_deviation"                # of a phase current from their mean
NEUTRAL: Final = "current_neutral_calc"

# Computed by the watch, on devices of its own behind the transformer's name.
HOT_SPOT: Final = ".thermal/hot_spot"
TOP_OIL: Final = ".thermal/top_oil"
AGEING: Final = ".thermal/ageing_rate"
MINUTES_LEFT: Final = ".thermal/minutes_left"
LOADING_PHASE: Final = ".thermal/loading_phase"
AMBIENT: Final = ".thermal/ambient"
VOLTAGE_UNBALANCE: Final = ".unbalance/voltage_unbalance"   # U₂/U₁, from the sides of the triangle
