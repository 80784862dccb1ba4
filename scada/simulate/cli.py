"""`scada simulate`: a district that speaks the real protocols, as a process of its own."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from scada.simulate.options import Options, read_server, read_start

PANEL = Path("field-panel.json")


@click.group(invoke_without_command=True)
@click.option("--server", default="127.0.0.1:20202", show_default=True, metavar="HOST:PORT",
              help="Where the concentrators call (DMLP).")
@click.option("--listen", "listen_port", type=click.IntRange(1, 65000), metavar="PORT",
              help="The concentrators wait for the server's call (dmesh.call), on PORT and the ports after it.")
@click.option("--tls", type=click.Path(path_type=Path), nargs=3, metavar="CERTIFICATE KEY CA",
              help="The concentrators call with TLS (dmesh.tls); three PEM files.")
@click.option("--serial", metavar="DEVICE",
              help="The concentrators speak on this serial port (dmesh.serial), instead of TCP.")
@click.option("--baud", type=click.IntRange(1200, 921600), default=9600, show_default=True, help="Speed of that port.")
@click.option("--pty", type=click.Path(path_type=Path), metavar="NAME",
              help="The same on a pseudo-terminal that is made here; NAME is what the server opens (dmesh.serial.device).")
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
@click.option("--concentrators", type=click.IntRange(2, 40), default=2, show_default=True,
              help="So many buildings with one each; the server's site file must be of the same.")
@click.option("--modules", type=click.IntRange(60, 240), default=60, show_default=True, help="Of each concentrator.")
@click.option("--history", "history_hours", type=click.IntRange(0, 24 * 62), default=0, show_default=True,
              help="Hours before the first start that the modules' archives already hold.")
@click.option("--write-site", "site_file", type=click.Path(path_type=Path),
              help="Write the district's site file and end.")
@click.option("--scenario", "scenario_file", type=click.Path(path_type=Path),
              help="Faults along a time line (docs/guide/simulator.md); checked before anything starts.")
@click.option("--judge", "judged", is_flag=True,
              help="Live through --scenario in virtual time against a head-end in this process; print what was expected "
                   "and what was seen. Exit status 1 where they differ.")
@click.option("--json", "as_json", is_flag=True, help="The judgement as JSON.")
@click.option("--panel", "panel_file", type=click.Path(path_type=Path),
              help="Open the fault panel on loopback, and leave its address and token in this file (0600).")
@click.option("--panel-port", type=click.IntRange(0, 65535), default=0, help="Port of the panel.  [default: any free one]")
@click.option("--record", "record_file", type=click.Path(path_type=Path),
              help="Record what goes over every concentrator's wire, for `scada simulate replay`.")
@click.option("--firmware-key", "firmware_keys", multiple=True, type=click.Path(path_type=Path),
              help="Public key (Ed25519) of a maker whose firmware the modules take; may be given again.")
@click.option("--verbose", is_flag=True, help="Say on standard error when a concentrator's link comes and goes.")
@click.pass_context
def simulate(
    context: click.Context, /, server: str, start: str | None, judged: bool, as_json: bool, **given: Any
) -> None:
    """Simulate a district: D-Mesh concentrators that call the server, and a Modbus meter at the transformer."""
    if context.invoked_subcommand is not None:
        return
    host, port = read_server(server)
    options = Options(host=host, port=port, start_s=read_start(start, datetime.now(UTC)), **given)
    if judged or as_json:
        _judge(options, judged=judged, as_json=as_json)
        return
    from scada.simulate.app import run_simulation  # installs a reactor, so only when it is wanted

    run_simulation(options)


def _judge(options: Options, *, judged: bool, as_json: bool) -> None:
    """What `--judge` does."""
    import tempfile

    from scada.cli.output import print_json
    from scada.simulate.judge import judge

    if not judged or options.scenario_file is None:
        raise click.UsageError("--judge belongs to --scenario, and --json to --judge")
    tell = (lambda said: click.echo(said, err=True)) if options.verbose else (lambda said: None)
    with tempfile.TemporaryDirectory(prefix="scada-judge-") as folder:
        found = judge(
            options.scenario_file, Path(folder), seed=options.seed, start_s=options.start_s, truth=options.truth_file,
            record=options.record_file, tell=tell,
        )
    if as_json:
        print_json(found.told())
    for line in () if as_json else found.lines():
        click.echo(line)
    if not found.met:
        raise SystemExit(1)


@simulate.command()
@click.option("--json", "as_json", is_flag=True, help="The catalogue as JSON.")
def faults(as_json: bool) -> None:
    """List the faults: what each does, and what the server must show for it."""
    from scada.cli.output import print_json
    from scada.simulate.faults import CATALOGUE

    if as_json:
        print_json([
            {"name": one.name, "kind": one.kind.value, "does": one.does, "shows": one.shows,
             "needs": one.needs, "expect": [str(wanted) for wanted in one.expect]}
            for one in CATALOGUE.values()
        ])
        return
    for one in CATALOGUE.values():
        click.echo(f"{one.name} ({one.kind})\n  {one.does}\n  Must show: {one.shows}")
        if one.needs:
            click.echo(f"  {one.needs}")


@simulate.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a scenario FILE; names every problem with its line."""
    from scada.simulate.scenario import clock, read

    scenario = read(file)
    for step in scenario.steps:
        lasts = "until the end" if step.duration_s is None else f"for {clock(step.duration_s)}"
        click.echo(f"{clock(step.at_s)} {step.fault} on {step.target} {lasts}")


@simulate.command()
@click.argument("name", required=False)
@click.option("--target", help="Concentrator, or concentrator/module index (C01/17).")
@click.option("--for", "duration", metavar="HH:MM:SS", help="Site time it lasts; without it, until --end.")
@click.option("--end", "number", type=int, help="End the fault of this number instead.")
@click.option("--panel", "panel_file", type=click.Path(path_type=Path), default=PANEL, show_default=True,
              help="The file that the simulator left.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def fault(
    name: str | None, target: str | None, duration: str | None, number: int | None, panel_file: Path, as_json: bool
) -> None:
    """Let the fault NAME begin in a simulator that runs with --panel; without NAME, list what is on."""
    from scada.cli.output import print_json
    from scada.simulate.remote import Remote
    from scada.simulate.scenario import seconds

    if name is not None and target is None:
        raise click.UsageError("--target is missing; expected a concentrator such as C01, or a module such as C01/17")
    if name is not None and number is not None:
        raise click.UsageError("NAME begins a fault and --end ends one; expected one of them")
    try:
        lasts = None if duration is None else seconds(duration)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from None
    remote = Remote(panel_file)
    if number is not None:
        remote.ask("/end", {"number": number})
        return
    if name is not None:
        begun = remote.ask("/faults", {"fault": name, "target": target, "duration_s": lasts})
        if as_json:
            print_json(begun)
        else:
            click.echo(f"number {begun['number']}; the server must show {', '.join(begun['expect'])}")
        return
    running = remote.ask("/faults")["running"]
    if as_json:
        print_json(running)
    for one in () if as_json else running:
        click.echo(f"{one['number']}  {one['fault']} on {one['target']}")


@simulate.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keys", "keys_file", type=click.Path(path_type=Path, exists=True), required=True,
              help="Link keys of the recorded concentrators, as `scada simulate` made them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def replay(file: Path, keys_file: Path, as_json: bool) -> None:
    """Replay a recorded wire FILE through the codec: every message, and everything that had to be dropped."""
    import json

    from scada.simulate.keys import link_keys, secret_of
    from scada.simulate.wire_log import read
    from scada.simulate.wire_replay import replay as through_the_codec

    pieces = read(file)
    keys = link_keys(keys_file, sorted({one.link_id for one in pieces}))
    for one in through_the_codec(pieces, {link: secret_of(key) for link, key in keys.items()}):
        click.echo(json.dumps(one.told()) if as_json else str(one))
