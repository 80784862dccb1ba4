"""Finds, by reading the source, every sentence that the server makes for people: a list kept by hand would be short of one.

A sentence is a text with a space in it that goes where people will read it: into a refusal, a health text, a review, a
member's result, or a function or attribute whose name says that it holds a reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
SCADA: Final = ROOT / "scada"
OURS: Final = (ROOT / "hmi" / "bridge.py", ROOT / "hmi" / "service.py")       # what the pages' own service says of itself
# What no page shows, and why.
APART: Final = {
    "cli/": "the terminal", "bench/": "measurements", "simulate/": "the simulated field",
    "drivers/dmesh/simulator/": "the simulated field", "drivers/modbus/simulator.py": "the simulated field",
    "registry/migrations/": "statements", "app.py": "the terminal at the start",
    "historian/event_rows.py": "statements, and the terminal", "historian/letter_rows.py": "statements",
    "handwritten.py": "files checked before anything runs", "registry/checks.py": "files checked before anything runs",
    "registry/balance_checks.py": "files checked before anything runs",
    "registry/names.py": "files checked before anything runs", "drivers/dmesh/messages/": "faults of frames, for the log",
    "drivers/modbus/template.py": "files checked before anything runs",
    "drivers/dmesh/keyring.py": "the terminal", "sqlite_file.py": "said of each file, by its name where it is made",
    "firmware/trust.py": "the terminal", "balancing/network/of_site.py": "what is wrong in the registry, for its engineer",
    "drivers/dmesh/event_cursors.py": "the terminal at the start, and the log",
    "drivers/dmesh/owing.py": "the terminal at the start, and the log",
    "drivers/dmesh/list_memory.py": "the terminal at the start, and the log",
    "drivers/dmesh/key_ledger.py": "the terminal at the start, and the log",
    "drivers/dmesh/lists.py": "the audit and the log", "drivers/dmesh/additions.py": "the audit and the log",
    "drivers/dmesh/archive.py": "quarantine and log", "historian/admission.py": "quarantine and log",
    "historian/segment.py": "quarantine and log", "historian/lines.py": "line protocol",
    "opcua_server/calls.py": "OPC UA clients", "opcua_server/certificates.py": "OPC UA clients and the log",
    "drivers/dmesh/walkby/": "what is wrong in a file, for whoever made it", "historian/offline.py": "the terminal",
    "opcua_server/units.py": "the standard's own names",
    **dict.fromkeys((
        "historian/backup.py", "historian/compacting.py", "historian/copying.py", "historian/letters.py",
        "historian/manifest.py", "historian/repairing.py", "historian/restoring.py", "historian/segments_held.py",
        "historian/inspection.py", "historian/verification.py", "historian/spool.py", "historian/estimates.py",
        "historian/destinations.py", "historian/influx_history.py", "historian/influxql.py",
        "historian/export", "historian/import", "historian/parquet.py",
    ), "the terminal"),
}
ERRORS: Final = frozenset({"CommandRejected", "StorageError", "LinkError", "Unavailable"})     # their text reaches a page
SAYERS: Final = frozenset({"_fail", "_moved", "_told", "Progress"})      # are given a reason by its place
HOLDERS: Final = frozenset({                            # names of what holds a text for people
    "text", "_text", "reason", "reasons", "why", "trouble", "fault", "_fault", "problem", "_failure", "warnings",
})
STANDS_FOR_A_VALUE: Final = "X1"


@attrs.frozen
class Sentence:
    where: str                          # file:line
    text: str                           # with X1 for every value


def sentences() -> list[Sentence]:
    """Of the whole server, in the order of the files."""
    found = []
    for path in (*sorted(SCADA.rglob("*.py")), *OURS):
        name = path.relative_to(ROOT if path in OURS else SCADA).as_posix()
        if not name.startswith(tuple(APART)):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [Sentence(f"{name}:{line}", text) for line, text in sorted(set(_of_module(tree)))]
    return found


def _of_module(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from _constants(tree)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _of_function(function)


def _constants(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Named texts of a module, alone or in a table."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant | ast.Dict):
            yield from _texts(node.value)


def _of_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    speaks = _speaks(function)
    for node in ast.walk(function):
        if speaks and isinstance(node, ast.Yield | ast.Return) and node.value is not None:
            yield from _texts(node.value)
        if isinstance(node, ast.Call):
            called = _name(node.func)
            listed = called in {"append", "extend"} and isinstance(node.func, ast.Attribute)
            holds = listed and _name(node.func.value) in HOLDERS
            if called == "SqliteFile":                      # the file says these of itself, by the name it is given
                for line, name in _texts(node.args[2]):
                    yield from ((line, f"{name} is closed"), (line, f"{name} X1 cannot be used: X1"))
            elif called in ERRORS | SAYERS or called == "Health" or holds or (speaks and listed):
                for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _texts(part)
            elif any(_of_a_result(part) for part in node.args):
                for part in node.args:
                    yield from _texts(part)
            else:
                for keyword in node.keywords:
                    if keyword.arg in HOLDERS:
                        yield from _texts(keyword.value)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if speaks or any(_name(target) in HOLDERS for target in targets):
                yield from _texts(node.value)
        if speaks and isinstance(node, ast.AugAssign):
            yield from _texts(node.value)


def _speaks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it makes texts: it says so in its type, or it is where health comes from."""
    if function.name == "health":
        return True
    said = ast.unparse(function.returns) if function.returns else ""
    return said in {
        "Iterable[str]", "Iterator[str]", "tuple[str, ...]", "list[str]", "str", "Problem | None", "StorageError",
    }


def _of_a_result(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and _name(node.value) in {"MemberState", "M", "Verdict"}


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The sentences in an expression; a text inside a text is a value of it."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else STANDS_FOR_A_VALUE for part in node.values
        )
        if _is_sentence(text):
            yield node.lineno, text
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and _is_sentence(node.value):
            yield node.lineno, node.value
        return
    for inner in ast.iter_child_nodes(node):
        yield from _texts(inner)


def _is_sentence(text: str) -> bool:
    """Not a statement, a format of time, or a name that is put together."""
    return (
        " " in text.strip() and any(one.islower() for one in text) and "%" not in text.replace(" %", "")
        and not text.lstrip().startswith(("CREATE ", "ALTER ", "SELECT ", "INSERT ", "SHOW ", "version, crc", "ifnull("))
    )
