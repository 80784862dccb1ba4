"""What can go wrong, sorted by what the caller should do about it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs


class ScadaError(Exception):
    """Base of every error this project raises on purpose: its text is fit for an operator."""


@attrs.frozen
class Problem:
    """One thing wrong in something a person wrote: where it is and what was expected."""

    where: str                 # file, table or field group the person knows
    key: str                   # dotted path inside it, "" for the whole
    expected: str              # one sentence: what was found and what was expected
    line: int | None = None    # 1-based

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.key}: {self.expected}" if self.key else f"{place}: {self.expected}"


class ConfigError(ScadaError):
    """What a person configured or imported cannot be used: stop, and name every problem at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StartError(ScadaError):
    """A part cannot start (port in use, no permission, disk full): say which part, and what to do."""

    def __init__(self, part: str, reason: str, remedy: str = "") -> None:
        self.part, self.reason, self.remedy = part, reason, remedy
        super().__init__(f"{part}: {reason}" + (f" ({remedy})" if remedy else ""))


class NotKept(ScadaError):
    """How something was known at an instant is not kept so long: ask for a later one, or for what is known now."""

    def __init__(self, since: int | None) -> None:
        self.since = since                  # ns since 1970; None: not at all
        when = "" if since is None else f" before {datetime.fromtimestamp(since / 1e9, UTC):%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(f"how results were known{when} is not kept")


class LinkError(ScadaError):
    """A peer is not answering as it should: mark its tags stale, back off, try again."""

    def __init__(self, peer: str, reason: str) -> None:
        self.peer, self.reason = peer, reason
        super().__init__(f"{peer}: {reason}")


class CommandRejected(ScadaError):
    """A command was refused before anything was sent: tell the operator every reason."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(self.reasons))


class DataRejected(ScadaError):
    """Data from outside cannot be used: quarantine it, keep the evidence, go on."""

    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source}: {reason}")


class StorageError(ScadaError):
    """Something could not be made durable: acknowledge nothing that depends on it."""


class StorageBusy(StorageError):
    """More waits to be stored than may: the same may be tried again in a moment."""


class NotOffered(ScadaError):
    """A history backend does not hold such things: ask another one; no retry will help."""

    def __init__(self, backend: str, what: str) -> None:
        self.backend, self.what = backend, what
        super().__init__(f"{backend} holds no {what}")


def missing_file(path: Path, what: str) -> ConfigError:
    """The one error for a file a person named that is not there."""
    return ConfigError([Problem(str(path), "", f"no such file; expected {what}")])


class TooManyTries(ScadaError):
    """A password was not looked at, right or wrong: too many tries came before it. Not a failure of this one."""

    def __init__(self) -> None:
        super().__init__("too many tries; wait a minute")
