"""What a Modbus device is made of, as data: one YAML file a device, checked by a schema, every problem named at once.

pydantic checks the file (and writes its JSON schema); the driver works with the attrs values made from it.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import attrs
import yaml
from pydantic import Field, ValidationError

from scada.errors import ConfigError, Problem
from scada.handwritten import line_of, repeated_keys, sound_part
from scada.settings import Section

SUFFIX: Final = ".yaml"
REGISTERS_PER_REQUEST: Final = 125      # Modbus Application Protocol V1.1b3, 6.3 and 6.4


class Register(StrEnum):
    """Which table, and so which function code reads it."""

    INPUT = "input"                     # function 04
    HOLDING = "holding"                 # function 03


class DataType(StrEnum):
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class WordOrder(StrEnum):
    """Order of the registers of one value; the bytes of a register are always high byte first."""

    BIG = "big"                         # high word first
    LITTLE = "little"


class Ratio(StrEnum):
    """Which instrument transformers stand between the meter's terminals and the network."""

    NONE = "none"
    CT = "ct"
    VT = "vt"
    CT_VT = "ct_vt"


WIDTH: Final[dict[DataType, int]] = {kind: max(1, int(kind.value[-2:]) // 16) for kind in DataType}


@attrs.frozen
class Point:
    """One quantity of a device; range and scale are at the meter's terminals, before CT and VT ratio."""

    name: str
    register: Register
    address: int                        # on the wire, from 0
    type: DataType
    word_order: WordOrder
    scale: float                        # terminal value in `unit` = raw x scale
    unit: str
    title: str
    scales_with: Ratio
    low: float | None
    high: float | None
    digits: int
    stale_seconds: float                # site time
    counter: bool = False               # a register that never falls by itself

    @property
    def width(self) -> int:
        """Registers it takes."""
        return WIDTH[self.type]

    def ratio(self, ct: float, vt: float) -> float:
        """Primary value / terminal value. [1]"""
        return {Ratio.NONE: 1.0, Ratio.CT: ct, Ratio.VT: vt, Ratio.CT_VT: ct * vt}[self.scales_with]


@attrs.frozen
class Template:
    name: str
    title: str
    points: tuple[Point, ...]
    max_registers: int                  # most registers the device gives in one answer
    max_gap: int                        # registers nobody wants that are still cheaper to read than a second request


class _Defaults(Section):
    register_: Register = Field(Register.HOLDING, alias="register", description="Register table.")
    type: DataType = Field(DataType.UINT16, description="Type of the value.")
    word_order: WordOrder = Field(WordOrder.BIG, description="`big`: high word first.")
    stale_seconds: float = Field(10.0, gt=0, description="Site time without a new value after which it is stale.")


class _Point(Section):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64, description="Point name, unique in the device.")
    address: int = Field(ge=0, le=0xFFFF, description="Address on the wire, from 0 (30001 in a manual is 0).")
    register_: Register | None = Field(None, alias="register", description="Register table, if not the default.")
    type: DataType | None = Field(None, description="Type of the value, if not the default.")
    word_order: WordOrder | None = Field(None, description="Word order, if not the default.")
    stale_seconds: float | None = Field(None, gt=0, description="Stale limit, if not the default.")
    scale: float = Field(1.0, description="Value in `unit` at the meter's terminals = raw x scale.")
    unit: str = Field("", description="SI symbol as shown: V, A, W, var, VA, kWh, Hz; empty for a pure number.")
    title: str = Field("", description="English name for people.")
    scales_with: Ratio = Field(Ratio.NONE, description="Instrument transformers whose ratio multiplies the value.")
    low: float | None = Field(None, description="Below it a terminal value is impossible.")
    high: float | None = Field(None, description="Above it a terminal value is impossible.")
    digits: int = Field(1, ge=0, le=9, description="Decimals worth showing.")
    counter: bool = Field(False, description="A register that never falls unless it is reset or the meter replaced.")


class TemplateFile(Section):
    """A template as a person writes it."""

    title: str = Field(description="Maker and model.")
    source: str = Field(description="Document the register map comes from, with its version.")
    max_registers: int = Field(REGISTERS_PER_REQUEST, ge=1, le=REGISTERS_PER_REQUEST, description="Registers a request.")
    max_gap: int = Field(0, ge=0, le=REGISTERS_PER_REQUEST, description="Unwanted registers a block may read across.")
    defaults: _Defaults = _Defaults()
    # Not `min_length`: pydantic counts what is left after its own findings, and would name one error too many.
    points: tuple[_Point, ...] = Field(description="What the device measures.", json_schema_extra={"minItems": 1})


def load_template(name: str, dirs: Sequence[Path] = ()) -> Template:
    """Find `<name>.yaml` in `dirs`, then among the built-in ones; raises `ConfigError` naming all that is wrong."""
    for folder in (*dirs, builtin_dir()):
        path = folder / f"{name}{SUFFIX}"
        if Path(name).name == name and path.is_file():
            return parse(path)
    known = sorted({path.stem for folder in (*dirs, builtin_dir()) for path in folder.glob(f"*{SUFFIX}")})
    raise ConfigError([Problem(name, "template", f"no such Modbus template; expected one of {', '.join(known)}")])


def builtin_dir() -> Path:
    return Path(str(files("config"))) / "templates" / "modbus"


def parse(path: Path) -> Template:
    """Read and check one template file."""
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
        twice = list(repeated_keys(node))
    except RecursionError:
        raise ConfigError([Problem(where, "", "nested too deeply, or refers to itself")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(where, "", f"cannot be read: {error}")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "not YAML"
        raise ConfigError([Problem(where, "", f"not valid YAML: {said}", mark.line + 1 if mark else None)]) from None
    problems = [Problem(where, _key(key), "stands twice; expected it once", line) for key, line in twice]
    try:
        file: TemplateFile | None = TemplateFile.model_validate(data)
    except ValidationError as error:
        problems += [Problem(where, _key(one["loc"]), _sentence(one), line_of(node, one["loc"])) for one in error.errors()]
        file = sound_part(TemplateFile, {**data, "points": []} if isinstance(data, dict) else {}, {
            "title": "", "source": "", "points": [],
        })
    raw = data.get("points") if isinstance(data, dict) else None
    placed = [
        (place, _resolve(point, file.defaults)) for place, one in enumerate(raw if isinstance(raw, list) else ())
        if file is not None and (point := sound_part(_Point, one)) is not None
    ]
    if raw == []:
        problems.append(Problem(where, "points", "no points; expected at least one", line_of(node, ("points",))))
    problems += [
        Problem(where, f"points.{place}", text, line_of(node, ("points", place)))
        for place, text in _contradictions(placed, file.max_registers if file is not None else REGISTERS_PER_REQUEST)
    ]
    if problems or file is None:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    points = tuple(point for _, point in placed)
    return Template(path.stem, file.title, points, file.max_registers, file.max_gap)


def schema() -> str:
    """The JSON schema of a template file, as kept in config/schema/modbus_template.json."""
    return json.dumps(TemplateFile.model_json_schema(), indent=2) + "\n"


def _resolve(point: _Point, defaults: _Defaults) -> Point:
    return Point(
        name=point.name,
        register=point.register_ or defaults.register_,
        address=point.address,
        type=point.type or defaults.type,
        word_order=point.word_order or defaults.word_order,
        scale=point.scale,
        unit=point.unit,
        title=point.title,
        scales_with=point.scales_with,
        low=point.low,
        high=point.high,
        digits=point.digits,
        stale_seconds=point.stale_seconds or defaults.stale_seconds,
        counter=point.counter,
    )


def _contradictions(placed: Sequence[tuple[int, Point]], max_registers: int) -> list[tuple[int, str]]:
    """What single fields cannot show, of points and their places in the list: (place, sentence)."""
    found: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for place, point in placed:
        if point.name in first:
            found.append((place, f"the name {point.name} stands twice (points.{first[point.name]}); names must differ"))
        first.setdefault(point.name, place)
        if point.scale == 0:
            found.append((place, f"{point.name}: a scale of 0 says nothing; expected the value of one raw step"))
        if point.low is not None and point.high is not None and point.low >= point.high:
            found.append((place, f"{point.name}: low {point.low:g} is not below high {point.high:g}"))
        if point.address + point.width > 0x10000:
            found.append((place, f"{point.name}: {point.type} at {point.address:#06x} ends behind register 0xffff"))
        if point.width > max_registers:
            found.append((place, f"{point.name}: {point.type} does not fit into max_registers {max_registers}"))
    return found


def _key(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location)


def _sentence(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown key; expected one of the keys in config/schema/modbus_template.json"
        case "missing":
            return "missing; this key is required"
        case "model_type" | "dict_type":
            return f"expected a mapping, found {error['input']!r}"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"
