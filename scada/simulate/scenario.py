"""A scenario: faults along a time line, with what the server must show. Read and checked from YAML, all errors at once.

    name: A bad morning
    seed: 7
    steps:
      - at: 00:10:00
        fault: outage
        target: C01
        duration: 06:00:00
        expect: [link.downs >= 1]

Times are site time from the start of the simulation. The reference is docs/guide/simulator.md.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from scada.errors import ConfigError, Problem, missing_file
from scada.handwritten import line_of, repeated_keys, sentence
from scada.simulate.faults import CATALOGUE
from scada.simulate.faults.expect import Expectation

MOST_STEPS: Final = 1000
LONGEST_S: Final = 400 * 86400
_CLOCK: Final = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d)")
_TARGET: Final = re.compile(r"([^/\s]+)(?:/(\d{1,3}))?")


@attrs.frozen
class Target:
    """Whom a fault befalls: a concentrator, and a module of it by its subnet index."""

    concentrator: str
    module: int | None = None

    @classmethod
    def read(cls, text: str) -> "Target":
        """Raises `ValueError` with a sentence."""
        found = _TARGET.fullmatch(text)
        if found is None:
            raise ValueError(f"expected a concentrator such as C01, or a module of it such as C01/17, found {text!r}")
        return cls(found[1], int(found[2]) if found[2] else None)

    def __str__(self) -> str:
        return self.concentrator if self.module is None else f"{self.concentrator}/{self.module}"


@attrs.frozen
class Step:
    """One fault of a scenario. Times are site time from the start. [s]"""

    at_s: int
    fault: str
    target: Target
    duration_s: int | None = None           # None: until the simulation ends
    expect: tuple[Expectation, ...] = ()    # beside those of the fault itself


@attrs.frozen
class Scenario:
    name: str
    seed: int | None
    steps: tuple[Step, ...]


def seconds(value: Any) -> int:
    """Seconds of "HH:MM:SS"; YAML itself reads some of these as a number of seconds. Raises `ValueError`."""
    if isinstance(value, str) and (found := _CLOCK.fullmatch(value.strip())):
        value = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LONGEST_S:
        raise ValueError(f"expected a time such as 00:10:00 (HH:MM:SS, or whole seconds), found {value!r}")
    return value


def clock(value: int) -> str:
    """The other way."""
    return f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"


def _lasting(value: int) -> int:
    if value == 0:
        raise ValueError("expected a duration of at least a second")
    return value


def _known(name: str) -> str:
    if name not in CATALOGUE:
        raise ValueError(f"no fault is called {name!r}; `scada simulate faults` lists them")
    return name


def _target(text: str) -> str:
    Target.read(text)
    return text


def _expected(text: str) -> str:
    Expectation.read(text)
    return text


Time = Annotated[int, BeforeValidator(seconds)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StepModel(_Model):
    """As it is written."""

    at: Time = Field(description="When it begins, from the start of the simulation, site time.")
    fault: Annotated[str, AfterValidator(_known)] = Field(description="Its name in the catalogue.")
    target: Annotated[str, AfterValidator(_target)] = Field(description="Concentrator, or concentrator/module index.")
    duration: Annotated[Time, AfterValidator(_lasting)] | None = Field(None, description="Default: for ever.")
    expect: list[Annotated[str, AfterValidator(_expected)]] = Field([], description="What the server must show besides.")


class ScenarioModel(_Model):
    """As it is written."""

    name: str = Field(min_length=1, description="For people.")
    seed: int | None = Field(None, ge=0, description="Of the faults' dice; default: the simulation's.")
    steps: list[StepModel] = Field(min_length=1, max_length=MOST_STEPS, description="In any order.")


def read(path: Path, there: Mapping[str, frozenset[int]] | None = None) -> Scenario:
    """
    Read a scenario; raises `ConfigError` with every problem at once.

    Parameters
    ----------
    there : mapping of str to set of int, optional
        Concentrators and the subnet indices of their modules; without it targets are not looked up.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise missing_file(path, "a scenario in YAML") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error}")]) from None
    try:
        node, data = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
        twice = list(repeated_keys(node))
    except RecursionError:
        raise ConfigError([Problem(str(path), "", "nested too deeply, or refers to itself")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "not YAML"
        raise ConfigError([Problem(str(path), "", f"not valid YAML: {said}", mark.line + 1 if mark else None)]) from None
    wrong: list[tuple[tuple[Any, ...], str]] = [(key, "stands twice; expected it once") for key, _ in twice]
    model = None
    try:
        model = ScenarioModel.model_validate(data)
    except ValidationError as error:
        wrong += [(one["loc"], _sentence(one)) for one in error.errors()]
    wrong += _between(data, there)
    if wrong or model is None:
        raise ConfigError(sorted(
            (Problem(str(path), ".".join(map(str, key)), said, line_of(node, key)) for key, said in wrong),
            key=lambda problem: problem.line or 0,
        ))
    return Scenario(model.name, model.seed, tuple(sorted((_step(one) for one in model.steps), key=lambda one: one.at_s)))


def misplaced(fault: str, target: Target, there: Mapping[str, frozenset[int]] | None) -> str:
    """Why a fault cannot befall a target; "" if it can."""
    if fault in CATALOGUE and CATALOGUE[fault].takes_module is not (target.module is not None):
        kind = CATALOGUE[fault].kind
        wanted = "a module such as C01/17" if CATALOGUE[fault].takes_module else "a concentrator such as C01"
        return f"{fault} is a fault of a {kind}; expected {wanted}, found {target}"
    if there is not None and target.concentrator not in there:
        return f"no concentrator is called {target.concentrator}; expected one of {', '.join(sorted(there))}"
    if there is not None and target.module is not None and target.module not in there[target.concentrator]:
        return f"{target.concentrator} has no module {target.module}"
    if there is not None and fault in CATALOGUE and len(there[target.concentrator]) < CATALOGUE[fault].modules:
        needs, has = CATALOGUE[fault].modules, len(there[target.concentrator])
        return f"{fault} needs a concentrator of {needs} modules; {target.concentrator} has {has}"
    return ""


def _between(data: Any, there: Mapping[str, frozenset[int]] | None) -> list[tuple[tuple[Any, ...], str]]:
    """What is wrong between keys that are each sound; on raw data, so that nothing is hidden."""
    steps = data.get("steps") if isinstance(data, dict) else None
    found: list[tuple[tuple[Any, ...], str]] = []
    for number, step in enumerate(steps if isinstance(steps, list) else ()):
        fault, text = (step.get("fault"), step.get("target")) if isinstance(step, dict) else (None, None)
        if not (isinstance(fault, str) and isinstance(text, str) and _TARGET.fullmatch(text)):
            continue
        if said := misplaced(fault, Target.read(text), there):
            found.append((("steps", number, "target"), said))
    return found


def _step(one: StepModel) -> Step:
    return Step(
        one.at, one.fault, Target.read(one.target), one.duration, tuple(Expectation.read(text) for text in one.expect)
    )


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key; expected one of those in docs/guide/simulator.md"
    if error["type"] in ("too_short", "string_too_short"):
        return "expected at least one"
    return sentence(error)
