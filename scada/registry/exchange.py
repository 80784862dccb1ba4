"""Site files: YAML and CSV, read with every line remembered and written so that reading gives the same site. Edge.

YAML scalars are taken as they are written and read by the type of their field: an EUI of sixteen decimal digits
without quotes stays what it is, and a time is no date object.
"""

import csv
import io
import re
import shlex
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from scada.errors import ConfigError, Problem, missing_file
from scada.registry.draft import Draft, Entry, written
from scada.registry.kinds import KIND, KINDS, Kind
from scada.site import Site

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)      # libyaml where there is one: ten times faster
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
csv.field_size_limit(2**31 - 1)         # the members of a large group are one cell
DEEPEST = 5_000                          # far above any site, far below what a stack holds
_BRACKET = re.compile(r"[\[\]{}]")
_INDENTED = re.compile(rf"^[ ?-]{{{DEEPEST}}}", re.MULTILINE)
EXPECTED = f"a site: a YAML file, a folder of CSV files, or one of {', '.join(f'{name}.csv' for name in KIND)}"


def read(path: Path) -> Draft:
    """Read a site file or folder. Problems inside are in the draft; `ConfigError` if nothing can be read at all."""
    if path.is_dir():
        files = sorted(path.glob("*.csv"))
        if not files:
            raise ConfigError([Problem(str(path), "", f"no CSV files in this folder; expected {EXPECTED}")])
        return sum((_read_csv(file) for file in files), Draft((), ()))
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".yaml" | ".yml":
            return _read_yaml(path)
    if not path.exists():
        raise missing_file(path, EXPECTED)
    raise ConfigError([Problem(str(path), "", f"expected {EXPECTED}")])


def write(site: Site, path: Path) -> None:
    """Write a site: to a YAML file if the name says so, else to a folder of CSV files."""
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            _replace(path, yaml_text(site))
            return
        path.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            _replace(path / f"{kind.name}.csv", csv_text(site, kind))
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise missing_file(path, EXPECTED) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), "", f"expected text in UTF-8; byte {error.start} is not")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None


# ---------------------------------------------------------------------------------------------------- YAML
def plain(site: Site) -> dict[str, list[dict[str, Any]]]:
    """The site as YAML and JSON have it; fields at their default are left out."""
    return {kind.name: [_plain(kind, thing) for thing in things] for kind in KINDS if (things := getattr(site, kind.name))}


def _plain(kind: Kind, thing: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field, form in kind.forms.items():
        value = getattr(thing, field)
        if field not in kind.defaults or value != kind.defaults[field]:
            fields[field] = [form.plain(one) for one in value] if form.many else form.plain(value)
    return fields


def yaml_text(site: Site) -> str:
    return str(yaml.dump(plain(site), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**31 - 1,
                         default_flow_style=None))


def _nested_too_deep(text: str) -> bool:
    """Whether brackets or indentation go deeper than any site does; libyaml follows them until the process crashes."""
    brackets = accumulate(1 if one in "[{" else -1 for one in _BRACKET.findall(text))
    return max(brackets, default=0) > DEEPEST or _INDENTED.search(text) is not None


def _read_yaml(path: Path) -> Draft:
    text = text_of(path)
    if _nested_too_deep(text):
        raise ConfigError([Problem(str(path), "", "nested too deeply; expected lists of mappings")])
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "unreadable"
        raise ConfigError([Problem(str(path), "", f"not valid YAML: {said}", mark.line + 1 if mark else None)]) from None
    entries: list[Entry] = []
    problems: list[Problem] = []
    if root is not None and not isinstance(root, yaml.MappingNode):
        problems.append(Problem(str(path), "", "expected a mapping of kinds such as `modules:`", 1))
        root = None
    seen: set[str] = set()
    for key, node in root.value if root is not None else ():
        line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in KIND or name in seen:
            what = "stands twice" if name in seen else f"unknown; expected one of {', '.join(KIND)}"
            problems.append(Problem(str(path), str(name), what, line))
            continue
        seen.add(name)
        if _is_null(node):
            continue
        if not isinstance(node, yaml.SequenceNode):
            problems.append(Problem(str(path), name, "expected a list", line))
            continue
        for number, item in enumerate(node.value):
            entry = _yaml_entry(KIND[name], f"{name}.{number}", str(path), item, problems)
            if entry is not None:
                entries.append(entry)
    return Draft(tuple(entries), tuple(problems))


def _yaml_entry(kind: Kind, at: str, where: str, node: yaml.Node, problems: list[Problem]) -> Entry | None:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        problems.append(Problem(where, at, "expected a mapping of fields", line))
        return None
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    before = len(problems)
    for key, value in node.value:
        name, line_of = str(key.value), key.start_mark.line + 1
        form = kind.forms.get(name) if isinstance(key, yaml.ScalarNode) else None
        if form is None or name in lines:
            what = "stands twice" if form else f"unknown field; expected one of {', '.join(kind.forms)}"
            problems.append(Problem(where, f"{at}.{name}", what, line_of))
            continue
        lines[name] = line_of
        try:
            values |= written(kind, name, _texts(value, form.many))
        except ValueError as error:
            problems.append(Problem(where, f"{at}.{name}", str(error), line_of))
    return Entry(kind.name, at, where, line, values, lines, broken=len(problems) > before)


def _texts(node: yaml.Node, many: bool) -> list[str]:
    if _is_null(node):
        return [] if many else [""]
    if many:
        if not isinstance(node, yaml.SequenceNode) or not all(isinstance(one, yaml.ScalarNode) for one in node.value):
            raise ValueError("expected a list of values in brackets")
        return [one.value for one in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"expected one value, found a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}")
    return [node.value]


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


# ----------------------------------------------------------------------------------------------------- CSV
def csv_text(site: Site, kind: Kind) -> str:
    """One kind as CSV: every field, lists separated by spaces (a member with a space in it is quoted as in a shell)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(kind.forms)
    for thing in getattr(site, kind.name):
        row = []
        for field, form in kind.forms.items():
            value = getattr(thing, field)
            if form.many:
                row.append(shlex.join(form.text(one) for one in value))
            else:
                row.append("" if value is None else form.text(value))
        writer.writerow(row)
    return out.getvalue()


def _read_csv(path: Path) -> Draft:
    kind = KIND.get(path.stem)
    if kind is None:
        return Draft((), (Problem(str(path), "", f"expected the name of a kind: one of {', '.join(KIND)}"),))
    text = text_of(path)
    header, _, _ = text.partition("\n")
    # Spreadsheets write semicolons where the comma is the decimal sign; field names hold neither.
    delimiter = ";" if ";" in header and "," not in header else ","
    problems: list[Problem] = []
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend(csv_rows(text, delimiter))
    except csv.Error as error:          # the row that was begun last; a quote that never closes takes the rest of the file
        return Draft((), (Problem(str(path), "", f"not valid CSV: {error}", rows[-1][0] + 1 if rows else 1),))
    if not rows:
        return Draft((), (Problem(str(path), "", f"expected a header with {', '.join(kind.forms)}", 1),))
    _, fields = rows[0]
    fields = [field.strip() for field in fields]
    for position, field in enumerate(fields):
        if field not in kind.forms or field in fields[:position]:
            what = "unknown field" if field not in kind.forms else "stands twice"
            problems.append(Problem(str(path), field, f"{what}; expected one of {', '.join(kind.forms)}", 1))
    entries = [_csv_entry(kind, str(path), line, fields, row, problems) for line, row in rows[1:]]
    return Draft(tuple(entries), tuple(problems))


def csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            yield line, row
        line = reader.line_num + 1


def _csv_entry(kind: Kind, where: str, line: int, fields: list[str], row: list[str], problems: list[Problem]) -> Entry:
    at = f"{kind.name}.{line}"
    values: dict[str, Any] = {}
    before = len(problems)
    if len(row) != len(fields):
        problems.append(Problem(where, at, f"expected {len(fields)} cells as in the header, found {len(row)}", line))
    for field, cell in zip(fields, row, strict=False):
        form = kind.forms.get(field)
        if form is None:
            continue                    # told once, for the header
        try:
            values |= written(kind, field, shlex.split(cell) if form.many else [cell])
        except ValueError as error:
            expected = f"expected a list separated by spaces: {error}" if form.many else str(error)
            problems.append(Problem(where, f"{at}.{field}", expected, line))
    return Entry(kind.name, at, where, line, values, {}, broken=len(problems) > before)
