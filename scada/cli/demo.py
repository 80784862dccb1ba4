"""`scada demo`: the server with a simulated district beside it, each a process of its own, as `make run` starts them."""

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click
import yaml

from scada.clock import TimeMap
from scada.errors import ConfigError, Problem, ScadaError, StartError
from scada.settings import Settings, load

STOP_LIMIT_S: Final = 30.0
BEAT_S: Final = 5.0
HISTORY_H: Final = 72
PORT: Final = click.IntRange(1, 65535)
Location = tuple[str | int, ...]        # of a key in the configuration


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("demo-data"), show_default=True,
              help="Where the demo keeps its configuration and data.")
@click.option("--speed", type=click.FloatRange(1, 600), default=60.0, show_default=True, help="Site time per real time.")
@click.option("--hmi-port", type=PORT, help="Port of the web pages.  [default: 8080]")
@click.option("--opcua-port", type=PORT, help="Port of OPC UA.  [default: 4840]")
@click.option("--dmlp-port", type=PORT, help="Port the concentrators call.  [default: 20202]")
@click.option("--modbus-port", type=PORT, help="Port of the simulated Modbus meter.  [default: 15020]")
@click.option("--profiles", type=click.Path(path_type=Path, exists=True), help="Minute × kW profiles of real consumers.")
@click.option("--loads", type=click.Path(path_type=Path, exists=True), help="Which consumer has which profile and phase.")
@click.option("--concentrators", type=click.IntRange(2, 40), default=2, show_default=True,
              help="Buildings with one each; for a folder of its own.")
@click.option("--modules", type=click.IntRange(60, 240), default=60, show_default=True, help="Of each concentrator.")
@click.option("--firmware-key", "firmware_keys", multiple=True, type=click.Path(path_type=Path, exists=True),
              help="Public key of a maker whose firmware the simulated modules take; may be given again.")
def demo(folder: Path, speed: float, hmi_port: int | None, opcua_port: int | None, dmlp_port: int | None,
         modbus_port: int | None, profiles: Path | None, loads: Path | None, concentrators: int, modules: int,
         firmware_keys: tuple[Path, ...]) -> None:
    """Run the server beside a simulated district; Ctrl-C stops both. Ports that are given stay in its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    config = write_config(folder, {
        ("hmi", "port"): hmi_port, ("opcua", "port"): opcua_port, ("dmesh", "port"): dmlp_port,
        ("modbus", "devices", 0, "port"): modbus_port,
    })
    settings = load(config)
    size = [("--concentrators", concentrators, 2), ("--modules", modules, 60)]
    larger = [word for option, value, usual in size if value != usual for word in (option, str(value))]
    same_district(folder, profiles, loads, larger)
    clock = resume_clock(folder, speed)
    meter = settings.modbus.devices[0].port if settings.modbus.devices else 0
    field = [
        "simulate", "--clock", str(clock), "--server", f"127.0.0.1:{settings.dmesh.port}", "--modbus-port", str(meter),
        "--keys", str(folder / "field-keys.json"), "--truth", str(folder / "truth.json"),
    ]
    for option, value in (("--profiles", profiles), ("--loads", loads)):
        field += [option, str(value)] if value else []
    field += larger
    field += [word for path in firmware_keys for word in ("--firmware-key", str(path))]
    prepare(folder, config, field)
    if nothing_stored(settings):
        field += ["--history", str(HISTORY_H)]          # the modules' archives already hold something to look at
    children = [scada("run", str(config), "--log", str(folder / "server.log")), scada(*field)]
    raise SystemExit(supervise(children, folder / "clock.beat"))


def scada(*words: str) -> "subprocess.Popen[bytes]":
    """One of our own commands as a child in a session of its own, so that Ctrl-C reaches it through us alone."""
    return subprocess.Popen([sys.executable, "-m", "scada", *words], start_new_session=True)


def write_config(folder: Path, ports: dict[Location, int | None]) -> Path:
    """The demo's configuration: the one in the package, or what the user made of it, with the ports that were given."""
    path = folder / "scada.yaml"
    packaged = resources.files("config.demo").joinpath("scada.yaml")
    before = path.read_text(encoding="utf-8") if path.exists() else None
    text = packaged.read_text(encoding="utf-8") if before is None else before
    for location, port in ports.items():
        if port is not None:
            text = with_value(text, location, port, path)
    if text != before:
        path.write_text(text, encoding="utf-8")
    return path


def with_value(text: str, location: Location, value: int, path: Path) -> str:
    """The YAML text with another value at a place, everything else (comments too) as it was."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in location:
        if isinstance(node, yaml.MappingNode):
            node = next((inner for key, inner in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            node = None
    if not isinstance(node, yaml.ScalarNode):
        key = ".".join(str(part) for part in location)
        raise ConfigError([Problem(str(path), key, f"not there; expected the key, to set it to {value}")])
    return text[:node.start_mark.index] + str(value) + text[node.end_mark.index:]


def same_district(
    folder: Path, profiles: Path | None, loads: Path | None, larger: Sequence[str] = ()
) -> None:
    """The registry in the folder describes the district of the first start: another one would be strangers to it."""
    given = json.dumps([*(str(one.resolve()) if one else None for one in (profiles, loads)), *larger])
    made = folder / ".district"
    described = made.exists() and (folder / "site.yaml").exists()
    if described and made.read_text(encoding="utf-8") != given:
        reason = f"{folder} was made with other --profiles, --loads, --concentrators or --modules"
        raise StartError("demo", reason, "give this one a --dir of its own")
    made.write_text(given, encoding="utf-8")


def resume_clock(folder: Path, speed: float) -> Path:
    """Site time goes on where the last run stopped: it never jumps back, and a night's pause is no gap in the data."""
    path, beat = folder / "clock.json", folder / "clock.beat"
    now = time.time_ns()
    site = now
    if path.exists() and beat.exists():
        site = TimeMap.load(path).site(beat.stat().st_mtime_ns)
    TimeMap(now, site, speed).save(path)
    return path


def nothing_stored(settings: Settings) -> bool:
    """Whether no pulse ever got as far as the store: a first start that found a port in use was none for the field."""
    return not any(settings.path(settings.historian.dir, "history").glob("intervals-*.sqlite"))


def prepare(folder: Path, config: Path, field: list[str]) -> None:
    """First start: the site file, the field's keys, and the keys in the server's own store."""
    site_file, keys = folder / "site.yaml", folder / "field-keys.json"
    if not site_file.exists():
        click.echo("first start: describing the simulated district")
        _run(*field, "--write-site", str(site_file))
    if not keys.exists():
        links = [one["link_id"].lower() for one in yaml.safe_load(site_file.read_text(encoding="utf-8"))["concentrators"]]
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({link: secrets.token_hex(16) for link in links}, indent=2))
    imported = folder / ".keys-imported"
    if not imported.exists():
        _run("keys", "import", str(config), str(keys))
        imported.touch()


def _run(*words: str) -> None:
    child = scada(*words)
    if child.wait() != 0:
        raise StartError("demo", f"`scada {words[0]}` failed", "see above")


def supervise(children: "list[subprocess.Popen[bytes]]", beat: Path) -> int:
    """Wait until one ends or we are told to stop; then stop all, first by asking."""
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, frame: told.append(got))
    last_beat = 0.0
    while not told and all(child.poll() is None for child in children):
        if time.monotonic() - last_beat > BEAT_S:
            beat.touch()
            last_beat = time.monotonic()
        time.sleep(0.1)
    beat.touch()
    status = 0 if told else next(child.returncode or 1 for child in children if child.poll() is not None)
    stop_all(children)
    return status


def stop_all(children: "list[subprocess.Popen[Any]]") -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    ends = time.monotonic() + STOP_LIMIT_S
    for child in children:
        try:
            child.wait(max(0.1, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            raise ScadaError(f"process {child.args!r} did not stop within {STOP_LIMIT_S:.0f} s and was killed") from None
