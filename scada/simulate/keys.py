"""Link keys of the simulated concentrators: a file of hex, readable by its owner alone."""

import json
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scada.errors import ConfigError, Problem, StartError

KEY_BYTES: Final = 16
PRIVATE: Final = 0o600


def link_keys(path: Path, links: Iterable[int]) -> dict[int, bytes]:
    """The keys of `links`, from the file, or fresh ones in a new file. Raises `ConfigError` naming every problem."""
    wanted = tuple(links)
    try:
        return _make(path, wanted)
    except FileExistsError:
        return _read(path, wanted)
    except OSError as error:
        raise StartError("key file", f"{path} cannot be written: {error.strerror}") from None


def _make(path: Path, links: tuple[int, ...]) -> dict[int, bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    keys = {link: secrets.token_bytes(KEY_BYTES) for link in links}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({f"{link:08x}": key.hex() for link, key in keys.items()}, file, indent=2)
    return keys


def _read(path: Path, links: tuple[int, ...]) -> dict[int, bytes]:
    where, problems, keys = str(path), [], {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(where, "", f"cannot be read as JSON of link id to key: {error}")]) from None
    if mode & 0o077:
        problems.append(Problem(where, "", f"mode {mode:04o}; expected 0600, keys are nobody else's business"))
    if not isinstance(content, dict):
        raise ConfigError([*problems, Problem(where, "", "expected a mapping of link id to key, both in hex")])
    content = {str(link).lower(): key for link, key in content.items()}
    for link in links:
        text = content.get(f"{link:08x}")
        try:
            key = bytes.fromhex(text) if isinstance(text, str) else b""
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            problems.append(Problem(where, f"{link:08x}", f"expected {2 * KEY_BYTES} hex digits"))
        keys[link] = key
    if problems:
        raise ConfigError(problems)
    return keys
