"""What a simulation is told, and the reading of what people type."""

from datetime import UTC, datetime
from pathlib import Path

import attrs

from scada.errors import ConfigError, Problem
from scada.simulate.district import BUILDINGS, MODULES, MODULES_PER_CONCENTRATOR, MOST, Customer, District, make_district


@attrs.frozen(kw_only=True)
class Options:
    """Everything `scada simulate` can be told."""

    host: str = "127.0.0.1"                 # of the server
    port: int = 20202
    listen_port: int | None = None          # concentrators wait to be called, on this port and those after it
    serial: str | None = None               # a serial port on which they speak instead of TCP
    baud: int = 9600
    pty: Path | None = None                 # a name for the server's end of a pseudo-terminal that is made here
    tls: tuple[Path, Path, Path] | None = None      # certificate, key, authority
    modbus_host: str = "127.0.0.1"
    modbus_port: int = 15020
    ct_ratio: float = 40.0
    clock_file: Path | None = None
    speed: float = 1.0
    start_s: int                            # site time for a clock that is made here [s since 1970]
    keys_file: Path = Path("field-keys.json")
    truth_file: Path | None = None
    state_file: Path | None = None          # None: beside the clock, if that is a file
    profiles: Path | None = None
    loads: Path | None = None
    seed: int = 1
    concentrators: int = BUILDINGS[0]
    modules: int = MODULES_PER_CONCENTRATOR
    history_hours: int = 0
    site_file: Path | None = None
    scenario_file: Path | None = None
    panel_file: Path | None = None
    panel_port: int = 0
    record_file: Path | None = None
    firmware_keys: tuple[Path, ...] = ()    # public keys of makers whose images the modules take
    verbose: bool = False

    def __attrs_post_init__(self) -> None:
        ways = {"--serial": self.serial, "--listen": self.listen_port, "--pty": self.pty}
        chosen = [name for name, given in ways.items() if given is not None]
        if len(chosen) > 1:
            raise ConfigError([Problem("command line", chosen[0], f"expected one of {', '.join(chosen)}")])
        if (self.profiles is None) != (self.loads is None):
            given, wanted = ("--profiles", "--loads") if self.loads is None else ("--loads", "--profiles")
            raise ConfigError([Problem("command line", given, f"expected {wanted} with it")])
        if self.concentrators * self.modules > MOST:
            found = f"{self.concentrators * self.modules:,} modules"
            raise ConfigError([Problem("command line", "--modules", f"{found}; expected at most {MOST:,} in all")])
        larger = {"--concentrators": self.concentrators != BUILDINGS[0], "--modules": self.modules != MODULES[0]}
        if self.profiles is not None and any(larger.values()):
            wrong = next(name for name, is_larger in larger.items() if is_larger)
            raise ConfigError([Problem("command line", wrong, "consumers of --loads live in two buildings of 60 modules")])

    def district(self, customers: tuple[Customer, ...] = ()) -> District:
        """What is simulated."""
        return make_district(self.seed, customers, buildings=self.concentrators, modules=self.modules)

    @property
    def on_a_line(self) -> bool:
        """Whether the concentrators share a serial line, of whichever kind."""
        return self.serial is not None or self.pty is not None

    @property
    def memory_file(self) -> Path | None:
        """Where the field's memory lies: the field lives as long as its clock."""
        if self.state_file is None and self.clock_file is not None:
            return self.clock_file.with_name("field-state.json")
        return self.state_file


def read_server(text: str) -> tuple[str, int]:
    """(host, port) of "host:port"; IPv6 addresses stand in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError([Problem("command line", "--server", f"{text!r}; expected HOST:PORT")])
    return host.strip("[]"), int(port)


def read_start(text: str | None, now: datetime) -> int:
    """Seconds since 1970 of an ISO-8601 time; UTC where it names no zone."""
    if text is None:
        return int(now.timestamp())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = f"{text!r}; expected a time such as 2026-03-01T06:00Z"
        raise ConfigError([Problem("command line", "--start", expected)]) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
