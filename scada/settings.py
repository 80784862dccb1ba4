"""The server's configuration: one YAML file, checked as a whole; every problem is named at once, with its line.

No secret stands in this file: passwords and tokens come from the environment variable or the file it names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import attrs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from scada.errors import ConfigError, Problem, missing_file
from scada.handwritten import line_of, repeated_keys, sentence, sound_part

Port = Annotated[int, Field(ge=1, le=65535)]
DeadBand = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[^/\s][^/]*$", max_length=64)]


class Section(BaseModel):
    """Unknown keys are errors: a misspelt key must not silently fall back to a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteSettings(Section):
    name: Name = Field(description="Short name of the site; the root folder of the OPC UA address space.")
    title: str = Field("", description="Name shown to people.")
    timezone: str = Field("Europe/Chisinau", description="IANA zone of the site; every screen shows it.")
    currency: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        "MDL", description="Currency of tariffs and costs, as it is written beside a sum: MDL, lei, €."
    )
    language: Literal["en", "ro", "ru"] = Field("en", description="Language of a page before log-in.")

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"no time zone {value!r}; expected an IANA name such as Europe/Chisinau") from None
        return value


class ClockSettings(Section):
    map_file: Path | None = Field(
        None, description="File with the site time map (demo only); without it site time is real time."
    )
    trust: Literal["ntp", "assumed"] = Field(
        "ntp", description="`ntp`: timed commands leave only while the kernel says its clock is synchronised; "
        "`assumed`: an administrator vouches for the clock (demo, or a clock the kernel does not know)."
    )


class RegistrySettings(Section):
    url: str = Field("", description="SQLAlchemy URL; empty: SQLite file `registry.sqlite` in the data directory.")
    import_file: Path | None = Field(
        None, description="Site file imported at the first start, when the registry is empty."
    )


LinkId = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}$")]


class CallSettings(Section):
    """A concentrator that does not call us."""

    link_id: LinkId = Field(description="Link id, 8 hex digits, in quotes; whoever else answers there is refused.")
    host: str = Field(min_length=1, description="Host name or address of the concentrator.")
    port: Port = Field(20202, description="TCP port it listens on.")
    tls: bool = Field(False, description="With TLS; needs `dmesh.tls`.")


class TlsSettings(Section):
    """TLS around DMLP, with a site's own authority; both sides show a certificate of it."""

    port: Port = Field(20203, description="TCP port for concentrators with TLS.")
    certificate: Path = Field(description="Our certificate (PEM), with those between it and the authority.")
    key: Path = Field(description="Its private key (PEM, mode 0600, no passphrase).")
    ca: Path = Field(description="Certificate of the authority that signed the concentrators' certificates (PEM).")


class SerialSettings(Section):
    """A serial line (RS-232, or RS-485 shared by several concentrators)."""

    device: str = Field(min_length=1, description="Serial port, e.g. /dev/ttyS1.")
    baud: int = Field(9600, ge=1200, le=921600, description="Bits per second; 8 data bits, 1 stop bit.")
    parity: Literal["N", "E", "O"] = Field("N", description="Parity: none, even or odd.")
    link_ids: tuple[LinkId, ...] = Field(min_length=1, description="Concentrators on the line; each is asked in turn.")
    answer_seconds: float = Field(2.0, gt=0, le=60, description="Silence after which the next concentrator is asked.")


class CollectionSettings(Section):
    enabled: bool = Field(True, description="Whether missing hours are asked for (ARCH_READ); they are shown anyway.")
    depth_days: int = Field(
        60, ge=1, le=400, description="Days for which modules keep their archive; older holes are given up."
    )
    packets_a_day: int = Field(
        500, ge=1, description="Radio packets that asking may cost a module in one UTC day: those it sends for itself, and "
        "two for each question to a module behind it."
    )
    due_after_hours: int = Field(2, ge=0, le=72, description="An hour that is not here this long after its end is missing.")
    reads_under_way: int = Field(64, ge=1, description="Concentrators that are asked at the same time, at most.")
    module_tags: int = Field(
        5000, ge=0, description="Modules that have tags of their own for completeness, at most; made when an hour lacks."
    )
    answer_seconds: float = Field(300.0, gt=0, description="Real time after which an unanswered question is over.")


class TimeSettings(Section):
    concentrator_seconds: float = Field(
        5.0, gt=0, description="Offset of a concentrator's clock from which on it raises an alarm. [s]"
    )
    module_seconds: float = Field(
        10.0, gt=0, description="Offset of a module's clock from which on it counts as wrong. [s]"
    )
    drift_ppm: float = Field(
        100.0, gt=0, description="Rate of a clock from which on it counts as wrong: 100 ppm are 9 s a day. [ppm]"
    )


class DmeshSettings(Section):
    host: str = Field("0.0.0.0", description="Address to listen on for concentrators.")
    port: Port = Field(20202, description="TCP port for concentrators (DMLP).")
    max_connections: int = Field(2000, ge=1, description="Connections beyond it are refused at once.")
    max_unproven: int = Field(256, ge=1, description="Connections that have not proven their key yet, at most.")
    handshake_seconds: float = Field(10.0, gt=0, description="Real time a connection has to prove its key.")
    credit: int = Field(8, ge=1, le=64, description="Unacknowledged PROFILE blocks a concentrator may have under way.")
    call: tuple[CallSettings, ...] = Field((), description="Concentrators that this server calls, instead of they it.")
    serial: tuple[SerialSettings, ...] = Field((), description="Serial lines to concentrators.")
    plain: bool = Field(True, description="Listen without TLS, on `port`. DMLP encrypts by itself all the same.")
    tls: TlsSettings | None = Field(None, description="Listen with TLS as well, on a port of its own.")
    key_grace_hours: float = Field(
        168.0, ge=0, description="Real time for which the key before is still good after a change, once the new one has "
        "proven itself."
    )
    collection: CollectionSettings = CollectionSettings()
    time: TimeSettings = TimeSettings()
    keys_file: Path | None = Field(None, description="Encrypted key store; default `keys.store` in the data directory.")
    master_key_file: Path | None = Field(
        None, description="Master key of the key store, mode 0600; default `master.key` in the data directory. "
        "The environment variable SCADA_MASTER_KEY (hex) overrides it."
    )


class NetworkSettings(Section):
    battery_years: float = Field(
        2.0, ge=0, le=20, description="A battery whose forecast is below it is counted as short. [years]"
    )
    hot_share_percent: float = Field(
        40.0, gt=0, le=100, description="Share of a subnet behind one module from which it is called hot, and an alarm. [%]"
    )
    weakest_delivery_percent: float = Field(
        80.0, ge=0, le=100, description="A link that delivers less is poor, and an alarm. [%]"
    )
    parent_changes_a_day: int = Field(6, ge=1, description="A module that changes its parent more often is flapping.")


class DialSettings(Section):
    every_days: int = Field(365, ge=1, le=3650, description="A meter's dial is to be read again after so many days.")
    soon_days: int = Field(30, ge=0, le=365, description="So many days before, it is listed as due soon.")
    class_percent: float = Field(
        1.0, ge=0, le=10, description="Part of what was counted that a dial may differ by without being called a drift. [%]"
    )
    photos_mb: int = Field(2048, ge=1, le=1_000_000, description="Photos of meters that are kept, all together. [MB]")


class ModbusDevice(Section):
    name: Name = Field(description="Device name on the bus, e.g. T01-meter.")
    template: str = Field(description="Template of the device, e.g. eastron_sdm630.")
    host: str = Field(description="Host name or address.")
    port: Port = Field(502, description="TCP port.")
    unit: int = Field(1, ge=0, le=255, description="Modbus unit identifier.")
    poll_seconds: float = Field(1.0, ge=0.1, description="Poll period in real seconds.")
    ct_ratio: float = Field(1.0, gt=0, description="Current transformer ratio, primary / secondary.")
    vt_ratio: float = Field(1.0, gt=0, description="Voltage transformer ratio, primary / secondary.")
    timeout_seconds: float = Field(1.0, gt=0, description="Wait for an answer.")
    area: str = Field("", description="Area for access rights.")


class ModbusSettings(Section):
    template_dirs: tuple[Path, ...] = Field((), description="Folders searched for templates before the built-in ones.")
    devices: tuple[ModbusDevice, ...] = Field((), description="Devices to poll.")


class InfluxSettings(Section):
    name: Name = Field("influx", description="Name of the destination in health, tags and messages.")
    url: str = Field(description="Base URL, e.g. http://127.0.0.1:8086.")
    dialect: Literal["v1", "v2", "auto"] = Field(
        "v1", description="`v1` writes to /write (1.x, 3), `v2` to /api/v2/write (2.x, 1.8 and later, 3); `auto`: `v2` to "
        "a server that says it is 2.x, `v1` to any other, and nothing to one that does not say."
    )
    database: str = Field("scada", description="Database (v1) or bucket (v2).")
    organisation: str = Field("", description="Organisation (v2).")
    user: str = Field("", description="User name (v1 with authentication).")
    secret_env: str = Field("", description="Environment variable with the password (v1) or token (v2).")
    secret_file: Path | None = Field(None, description="File with the password or token, mode 0600.")
    spool_dir: Path | None = Field(None, description="Folder of the spool; default `spool` in the data directory.")
    spool_max_mb: int = Field(2048, ge=1, description="Most the spool may take; beyond it the oldest goes, counted.")
    spool_max_days: float = Field(
        0.0, ge=0, description="Oldest the spool may hold; what is older goes, counted; 0: no limit. [days of site time]"
    )
    old_minutes: float = Field(
        60.0, gt=0, description="What has waited in the spool for longer raises an alarm. [min of site time]"
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if "@" in value or "?" in value or "#" in value:    # never repeated: it is, or might be, a password
            raise ValueError(
                "has more in it than an address; expected http://host:port, the name in `user`, and the password or token "
                "in what `secret_env` or `secret_file` names, because the URL is shown to people and logged"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is no base URL; expected http://host:port or https://host:port")
        return value.rstrip("/")


SHORTEST_INTERVAL_DAYS: Final = 400          # a year and its corrections: nothing asks the field for what is older


class RetentionSettings(Section):
    live_days: int = Field(400, ge=0, description="Days for which live samples are kept, by whole months; 0 = for ever.")
    interval_days: int = Field(
        0, ge=0, description="Days for which interval data is kept, by whole months, 400 or more; 0 = for ever."
    )
    result_days: int = Field(0, ge=0, description="Days for which results (balances, group sums) are kept; 0 = for ever.")
    replaced_days: int = Field(
        92, ge=0, description="Days for which results that were computed anew are kept as they were before; 0 = not at all."
    )
    event_days: int = Field(0, ge=0, description="Days for which events of devices and alarms are kept; 0 = for ever.")
    journal_days: int = Field(
        3, ge=0, description="Days for which the merged journal is kept, to restore instants between backups; 0 = not kept."
    )

    @field_validator("interval_days")
    @classmethod
    def _is_long(cls, value: int) -> int:
        if 0 < value < SHORTEST_INTERVAL_DAYS:
            raise ValueError(f"{value} days of interval data are too few; expected {SHORTEST_INTERVAL_DAYS} or more, or 0")
        return value


class HistorianSettings(Section):
    dir: Path | None = Field(None, description="Folder of the embedded store; default `history` in the data directory.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long what is kept; months go whole.")
    influx: tuple[InfluxSettings, ...] = Field((), description="InfluxDB replicas.")
    dead_bands: dict[str, DeadBand] = Field(
        {}, description="Tags (`T01/voltage_l1_n`, `*/voltage_*`) and how far a value, in the tag's unit, may move before "
        "it is kept in the live history; the last one that fits counts. A change of quality is always kept, and so is "
        "every register.",
    )


class OpcuaSettings(Section):
    enabled: bool = Field(True, description="Whether the OPC UA server process runs.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(4840, description="TCP port of opc.tcp.")
    application_uri: str = Field("urn:scada:opcua:server", description="Application URI in the certificate.")
    allow_unencrypted: bool = Field(False, description="Also offer SecurityPolicy None (never on a real network).")
    trust_any_client: bool = Field(
        False, description="Accept client certificates nobody trusted yet (commissioning); users must still log in."
    )


class HmiSettings(Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="TCP port of the web pages.")
    behind_tls_proxy: bool = Field(False, description="Set when a TLS proxy stands in front: cookies become Secure.")
    idle_minutes: int = Field(480, ge=1, description="A session ends after this long without a request.")


class DispatchSettings(Section):
    monitor_only: bool = Field(True, description="Everything but the last frame: nothing is ever sent to the field.")
    selection_seconds: int = Field(120, ge=10, description="Real time for which a reviewed selection stays executable.")
    not_after_seconds: int = Field(300, ge=30, description="Site time after which nobody may execute a command any more.")
    max_off_yellow_s: int = Field(900, ge=60, le=900, description="Longest shed of yellow loads; 15 minutes at most.")
    max_off_green_s: int = Field(14400, ge=60, description="Longest shed of green loads.")
    max_limit_s: int = Field(86400, ge=60, description="Longest time for which a group is limited, or told to economise.")
    transformer_fresh_seconds: int = Field(30, ge=1, description="Oldest transformer measurement a shed may rest on.")
    without_transformer: bool = Field(
        False, description="Shed also where a concentrator has no transformer, so that nobody sees the effect."
    )
    restore_jitter_s: int = Field(60, ge=0, description="Members come back spread over this long, inside off_for.")
    repeat: int = Field(3, ge=1, le=5, description="Times the concentrator repeats the broadcast.")
    collect_seconds: int = Field(
        120, ge=30, description="Site time answers to the broadcast are collected before the silent members are told again."
    )
    retry_seconds: int = Field(60, ge=15, description="Site time between two retries to the same silent members.")
    journal_days: int = Field(730, ge=7, description="Days for which finished commands stay in the command journal.")


class SupplySettings(Section):
    confirm_seconds: int = Field(900, ge=30, description="Site time a switch of a supply waits for its second person.")
    not_after_seconds: int = Field(
        600, ge=60, description="Site time after the confirmation when nobody may execute the switch any more."
    )


class FirmwareSettings(Section):
    block_pause_seconds: float = Field(
        0.25, ge=0, description="Real time between two blocks of firmware on one link; a block is 1 kB at most."
    )
    links_under_way: int = Field(16, ge=1, description="Concentrators that are sent blocks at the same time, at most.")


class TransformerSettings(Section):
    ambient_celsius: float = Field(
        20.0, ge=-60, le=60, description="Temperature around the transformers, for their heat; °C."
    )
    ambient_tag: str = Field(
        "", description="Tag of a thermometer outdoors (`device/point`); while it is bad, `ambient_celsius` is taken."
    )


class Settings(Section):
    """The whole file."""

    site: SiteSettings
    data_dir: Path = Field(Path("data"), description="Where everything durable lives; relative to this file.")
    clock: ClockSettings = ClockSettings()
    registry: RegistrySettings = RegistrySettings()
    dmesh: DmeshSettings = DmeshSettings()
    network: NetworkSettings = NetworkSettings()
    dials: DialSettings = DialSettings()
    modbus: ModbusSettings = ModbusSettings()
    historian: HistorianSettings = HistorianSettings()
    opcua: OpcuaSettings = OpcuaSettings()
    hmi: HmiSettings = HmiSettings()
    dispatch: DispatchSettings = DispatchSettings()
    firmware: FirmwareSettings = FirmwareSettings()
    supply: SupplySettings = SupplySettings()
    transformers: TransformerSettings = TransformerSettings()

    def path(self, given: Path | None, default: str) -> Path:
        """A configured path, or the default one in the data directory."""
        return given if given is not None else self.data_dir / default


@attrs.frozen
class Examined:
    """A configuration file with all that is wrong in it, and what is sound all the same."""

    path: Path
    problems: tuple[Problem, ...]
    settings: Settings | None           # without whatever is wrong; None if that leaves nothing
    data: dict[str, Any]                # as written
    node: yaml.Node | None

    def problem(self, expected: str, *key: Any) -> Problem:
        """One more, at its line."""
        return Problem(str(self.path), ".".join(str(part) for part in key), expected, line_of(self.node, key))


def load(path: Path) -> Settings:
    """Read and check a configuration; raises `ConfigError` with every problem at once."""
    found = examine(path)
    if found.problems or found.settings is None:
        raise ConfigError(found.problems)
    return found.settings


def examine(path: Path) -> Examined:
    """Read a configuration whatever is wrong in it; raises `ConfigError` if nothing can be read at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise missing_file(path, "a configuration in YAML") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error}")]) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
        twice = list(repeated_keys(node))
    except RecursionError:
        raise ConfigError([Problem(str(path), "", "nested too deeply, or refers to itself")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "not YAML"
        raise ConfigError([Problem(str(path), "", f"not valid YAML: {said}", mark.line + 1 if mark else None)]) from None
    if not isinstance(data, dict):
        raise ConfigError([Problem(str(path), "", "expected a mapping of sections such as `site:`", 1)])
    found = [
        Problem(str(path), ".".join(str(part) for part in key), "stands twice; expected it once", line)
        for key, line in twice
    ]
    wrong = list(_between_sections(data))
    try:
        settings: Settings | None = Settings.model_validate(data)
    except ValidationError as error:
        wrong += [(one["loc"], sentence(one)) for one in error.errors()]
        settings = sound_part(Settings, data, {"site": {"name": "?"}})
    found += [Problem(str(path), ".".join(str(part) for part in key), said, line_of(node, key)) for key, said in wrong]
    problems = tuple(sorted(found, key=lambda problem: problem.line or 0))
    return Examined(path, problems, settings and _anchored(settings, path.parent), data, node)


def _between_sections(data: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """What is wrong between keys that are each sound, as key and sentence; on raw data, so that nothing is hidden."""

    def section(*path: str) -> Any:
        found: Any = data
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    for path, default, why in (
        (("modbus", "devices"), None, "they would write into each other's tags"),
        (("historian", "influx"), "influx", "each replica has its own spool"),
    ):
        items = section(*path)
        seen: set[Any] = set()
        for position, item in enumerate(items if isinstance(items, list) else ()):
            name = item.get("name", default) if isinstance(item, dict) else None
            if isinstance(name, str) and name in seen:
                yield (*path, position, "name"), f"the name {name} stands twice; names must differ: {why}"
            seen.add(name if isinstance(name, str) else None)
    if section("dmesh", "tls") is None:
        if section("dmesh", "plain") is False:
            yield ("dmesh", "plain"), "nobody is listened to; expected `dmesh.tls` with it"
        for position, item in enumerate(calls if isinstance(calls := section("dmesh", "call"), list) else ()):
            if isinstance(item, dict) and item.get("tls") is True:
                yield ("dmesh", "call", position, "tls"), "needs certificates; expected `dmesh.tls` with it"
    elif section("dmesh", "tls", "port") == (section("dmesh", "port") or DmeshSettings.model_fields["port"].default):
        yield ("dmesh", "tls", "port"), "is also dmesh.port; the ports must differ"
    called: set[str] = set()
    devices: set[str] = set()
    ways: list[tuple[tuple[Any, ...], Any]] = []
    calls, lines = section("dmesh", "call"), section("dmesh", "serial")
    for position, item in enumerate(calls if isinstance(calls, list) else ()):
        ways.append((("dmesh", "call", position, "link_id"), item.get("link_id") if isinstance(item, dict) else None))
    for position, item in enumerate(lines if isinstance(lines, list) else ()):
        given = item if isinstance(item, dict) else {}
        links = given.get("link_ids")
        ways += [(("dmesh", "serial", position, "link_ids"), one) for one in (links if isinstance(links, list) else ())]
        if (device := str(given.get("device"))) in devices:
            yield ("dmesh", "serial", position, "device"), f"{device} stands twice; expected each port once"
        devices.add(device)
    for key, link in ways:
        if isinstance(link, str) and link.lower() in called:
            yield key, f"{link.lower()} stands twice; expected one way to each concentrator"
        called.add(str(link).lower())
    models: dict[str, type[Section]] = {"dmesh": DmeshSettings, "opcua": OpcuaSettings, "hmi": HmiSettings}
    taken: dict[int, str] = {}
    for name in sorted(models, key=lambda name: section(name, "port") is not None):    # what is written is told of
        given = section(name, "port")
        port = models[name].model_fields["port"].default if given is None else given
        if not isinstance(port, int) or section(name, "enabled") is False:
            continue
        if (other := taken.setdefault(port, name)) != name:
            yield (name, "port"), f"{port} is also {other}.port; the ports must differ"


def _anchored(settings: Settings, base: Path) -> Settings:
    """Relative paths in a configuration are relative to its file."""

    def fix(section: Any) -> Any:
        changes: dict[str, Any] = {}
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, Path):
                changes[name] = (base / value).resolve()
            elif isinstance(value, Section):
                changes[name] = fix(value)
            elif isinstance(value, tuple):
                changes[name] = tuple(
                    fix(one) if isinstance(one, Section) else (base / one).resolve() if isinstance(one, Path) else one
                    for one in value
                )
        return section.model_copy(update=changes)

    fixed: Settings = fix(settings)
    return fixed
