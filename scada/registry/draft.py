"""A site as somebody wrote it: entries that know their file and line, and how they are put into a site. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import attrs

from scada.errors import ConfigError, Problem
from scada.registry.checks import check
from scada.registry.findings import Finding
from scada.registry.kinds import KIND, KINDS, Kind
from scada.site import LoadGroup, Site

MAX_PROBLEMS: Final = 1000              # more than anybody reads; the rest is counted


@attrs.frozen
class Entry:
    """One thing as it was written: only the fields that were named."""

    kind: str
    path: str                           # "modules.17"
    where: str                          # file
    line: int
    values: dict[str, Any]
    lines: dict[str, int]               # of each field
    broken: bool = False                # some of its fields could not be read

    def problem(self, field: str, expected: str) -> Problem:
        return Problem(self.where, f"{self.path}.{field}", expected, self.lines.get(field, self.line))


@attrs.frozen
class Draft:
    """Everything that was written, and what could not be read of it."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    def __add__(self, other: "Draft") -> "Draft":
        return Draft(self.entries + other.entries, self.problems + other.problems)


@attrs.frozen
class Outcome:
    """What an import makes of a site."""

    site: Site
    warnings: tuple[Problem, ...]
    added: dict[str, int]
    changed: dict[str, int]
    removed: dict[str, int]

    @property
    def unchanged(self) -> bool:
        return not (any(self.added.values()) or any(self.changed.values()) or any(self.removed.values()))


def written(kind: Kind, field: str, texts: list[str]) -> dict[str, Any]:
    """
    What the texts written for a field say, as {field: value}; raises ValueError with what was expected.

    Nothing written is the empty list or the empty text; for a number, a time or a choice it is the default, and
    for a field that must be given, or that the registry knows better, it says nothing.
    """
    form = kind.forms[field]
    texts = [text.strip() for text in texts]
    if form.many:
        return {field: tuple(form.read(text) for text in texts)}
    if texts[0] or form.empty_is_value:
        return {field: form.read(texts[0])}
    return {field: kind.defaults[field]} if field in kind.defaults and field not in kind.kept else {}


def put_into(draft: Draft, old: Site, *, replace: bool = False) -> Outcome:
    """
    Put a draft into a site: raises `ConfigError` with every problem at once.

    A field the draft does not name keeps the value the site has, or takes its default in a new thing. With
    `replace` the draft is the whole site: what it does not hold goes, fields it does not name get their defaults
    (but what only the registry knows stays: a module's state, and a group's epoch never goes back).
    """
    problems = list(draft.problems)
    ghosts: dict[str, set[Any]] = {}
    things: dict[str, Any] = {}
    writers: dict[str, list[Entry | None]] = {}
    for kind in KINDS:
        entries = [entry for entry in draft.entries if entry.kind == kind.name]
        made = _made(kind, entries, {kind.key_of(one): one for one in getattr(old, kind.name)}, replace, problems, ghosts)
        things[kind.name], writers[kind.name] = _joined(kind, () if replace else getattr(old, kind.name), made)
    site = Site(**things, generation=old.generation)
    warnings: list[Problem] = []
    for finding in check(site, ghosts):
        (warnings if finding.warning else problems).append(_placed(finding, site, writers))
    if problems:
        raise ConfigError(_sorted(problems))
    return Outcome(site, tuple(_sorted(warnings)), *_counts(old, site))


def _made(
    kind: Kind, entries: list[Entry], known: dict[Any, Any], replace: bool,
    problems: list[Problem], ghosts: dict[str, set[Any]],
) -> list[tuple[Entry, Any]]:
    """Things from entries; entries that cannot become one leave a problem, and a ghost that may be referred to."""
    made: list[tuple[Entry, Any]] = []
    seen: dict[Any, Entry] = {}
    for entry in entries:
        said = {**{field: kind.defaults[field] for field in kind.key if field in kind.defaults}, **entry.values}
        keys = tuple(said[field] for field in kind.key if field in said)
        before = None
        if len(keys) == len(kind.key):
            key = keys[0] if len(keys) == 1 else keys
            if key in seen:
                problems.append(entry.problem(kind.key[0], f"stands twice, first in {seen[key].where}:{seen[key].line}"))
                continue
            seen[key], before = entry, known.get(key)
        missing = [field for field in kind.forms if field not in kind.defaults and field not in entry.values]
        if before is not None and not replace:
            missing = []
        problems += [entry.problem(field, "missing; this field is required") for field in missing if not entry.broken]
        if entry.broken or missing:
            ghosts.setdefault(kind.name, set()).update(keys)
            continue
        made.append((entry, _thing(kind, entry, before, replace)))
    return made


def _thing(kind: Kind, entry: Entry, before: Any, replace: bool) -> Any:
    if before is None:
        return kind.cls(**entry.values)
    kept = {field: getattr(before, field) for field in kind.kept}
    after = kind.cls(**{**kept, **entry.values}) if replace else attrs.evolve(before, **entry.values)
    if isinstance(after, LoadGroup):
        # Concentrators hold the membership under its epoch: it moves with every change of the members, never back.
        least = before.epoch + (set(after.members) != set(before.members))
        after = attrs.evolve(after, epoch=max(after.epoch, least))
    return before if after == before else after


def _joined(kind: Kind, old: tuple[Any, ...], made: list[tuple[Entry, Any]]) -> tuple[tuple[Any, ...], list[Entry | None]]:
    """The old things in their order, with those that were written in their places or behind, and who wrote each."""
    both: dict[Any, tuple[Entry | None, Any]] = {kind.key_of(thing): (None, thing) for thing in old}
    both.update({kind.key_of(thing): (entry, thing) for entry, thing in made})
    return tuple(thing for _, thing in both.values()), [entry for entry, _ in both.values()]


def _placed(finding: Finding, site: Site, writers: dict[str, list[Entry | None]]) -> Problem:
    entry = writers[finding.kind][finding.position]
    return finding.problem(site) if entry is None else entry.problem(finding.field, finding.expected)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    found = sorted(problems, key=lambda problem: (problem.where, problem.line or 0))
    if len(found) > MAX_PROBLEMS:
        more = len(found) - MAX_PROBLEMS
        found[MAX_PROBLEMS:] = [Problem(found[0].where, "", f"and {more} more")]
    return found


def _counts(old: Site, new: Site) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    added, changed, removed = {}, {}, {}
    for name, kind in KIND.items():
        before = {kind.key_of(thing): thing for thing in getattr(old, name)}
        after = {kind.key_of(thing): thing for thing in getattr(new, name)}
        added[name] = sum(key not in before for key in after)
        removed[name] = sum(key not in after for key in before)
        changed[name] = sum(key in before and before[key] != thing for key, thing in after.items())
    return added, changed, removed


def refused(site: Site, findings: Iterable[Finding]) -> ConfigError:
    """The error for a site that no file tells about."""
    return ConfigError(_sorted(finding.problem(site) for finding in findings))
