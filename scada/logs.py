"""Where the log goes: one line per change of state, to a file or to standard error."""

import sys
from pathlib import Path
from typing import Any

from twisted.logger import FilteringLogObserver, LogLevel, LogLevelFilterPredicate, globalLogBeginner, textFileLogObserver
from twisted.python.logfile import LogFile

from scada.errors import StartError

ROTATE_BYTES = 10_000_000
KEEP_FILES = 5


def begin(path: Path | None) -> None:
    """Start logging; a file is rotated and bounded. Raises `StartError` if it cannot be written."""
    try:
        output: Any = sys.stderr if path is None else LogFile(
            path.name, str(path.parent), rotateLength=ROTATE_BYTES, maxRotatedFiles=KEEP_FILES, defaultMode=0o600
        )
    except OSError as error:
        raise StartError("log", f"{path} cannot be written: {error.strerror}", "check --log") from None
    predicate: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    for noisy in ("-", "twisted", "hmi.resources.BoundedFactory"):         # "-" is Twisted's own older log
        predicate.setLogLevelForNamespace(noisy, LogLevel.warn)
    lines: Any = textFileLogObserver(output)
    observer: Any = FilteringLogObserver(lines, [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
