"""`scada simulate`: a district that speaks the real protocols, as a process of its own."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from scada.simulate.options import Options, read_server, read_start


@click.command()
@click.option("--server", default="127.0.0.1:20202", show_default=True, metavar="HOST:PORT",
              help="Where the concentrators call (DMLP).")
@click.option("--listen", "listen_port", type=click.IntRange(1, 65000), metavar="PORT",
              help="The concentrators wait for the server's call (dmesh.call), on PORT and the ports after it.")
@click.option("--tls", type=click.Path(path_type=Path), nargs=3, metavar="CERTIFICATE KEY CA",
              help="The concentrators call with TLS (dmesh.tls); three PEM files.")
@click.option("--serial", metavar="DEVICE",
              help="The concentrators speak on this serial port (dmesh.serial), instead of TCP.")
@click.option("--baud", type=click.IntRange(1200, 921600), default=9600, show_default=True, help="Speed of that port.")
@click.option("--modbus-port", type=click.IntRange(0, 65535), default=15020, show_default=True,
              help="Port of the Modbus TCP meter at the transformer; 0 lets the system choose, and says which.")
@click.option("--modbus-host", default="127.0.0.1", show_default=True, help="Address the meter listens on.")
@click.option("--ct-ratio", type=click.FloatRange(1.0), default=40.0, show_default=True,
              help="Current transformer before the meter (40 = 200/5 A); the server's device must have the same ct_ratio.")
@click.option("--clock", "clock_file", type=click.Path(path_type=Path),
              help="Site clock shared with the server; made there if it does not exist.")
@click.option("--speed", type=click.FloatRange(1, 600), default=1.0, show_default=True,
              help="Site time per real time, for a clock that is made here.")
@click.option("--start", metavar="ISO-8601", help="Site time of the start, for a clock that is made here; default: now.")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), default=Path("field-keys.json"), show_default=True,
              help="Link keys: JSON of link id to key, both in hex, mode 0600; made there if it does not exist.")
@click.option("--state", "state_file", type=click.Path(path_type=Path),
              help="What the field remembers over a restart.  [default: field-state.json beside --clock]")
@click.option("--truth", "truth_file", type=click.Path(path_type=Path),
              help="Write what really happened, one line of JSON per fact.")
@click.option("--profiles", type=click.Path(path_type=Path), help="Minute × kW profiles of real consumers (with --loads).")
@click.option("--loads", type=click.Path(path_type=Path),
              help="Which consumer has which profile and phase (with --profiles).")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed lives the same days.")
@click.option("--history", "history_hours", type=click.IntRange(0, 24 * 62), default=0, show_default=True,
              help="Hours before the first start that the modules' archives already hold.")
@click.option("--write-site", "site_file", type=click.Path(path_type=Path),
              help="Write the district's site file and end.")
@click.option("--verbose", is_flag=True, help="Say on standard error when a concentrator's link comes and goes.")
def simulate(server: str, start: str | None, **given: Any) -> None:
    """Simulate a district: two D-Mesh concentrators that call the server, and a Modbus meter at the transformer."""
    host, port = read_server(server)
    options = Options(host=host, port=port, start_s=read_start(start, datetime.now(UTC)), **given)
    from scada.simulate.app import run_simulation  # installs a reactor, so only when it is wanted

    run_simulation(options)
