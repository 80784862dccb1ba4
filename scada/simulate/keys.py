"""Keys of the simulated field: a file of hex, readable by its owner alone; what the server changes is kept there."""

import json
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from scada.drivers.dmesh import keyring
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.numbers import KeyTarget
from scada.errors import ConfigError, Problem, StartError

KEY_BYTES: Final = 16
PRIVATE: Final = 0o600
MODULE_DIGITS: Final = 16


def keep(path: Path, target: KeyTarget, number: int, ring: Ring) -> None:
    """A ring that was changed over the air, in place of what the file holds of it; durable. Blocking."""
    content = json.loads(path.read_text(encoding="utf-8"))
    name = f"{number:08x}" if target is KeyTarget.LINK else f"{number:016x}"
    held = {key: value for key, value in content.items() if str(key).lower() != name}
    temporary = path.with_suffix(".tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w", encoding="utf-8") as file:
        json.dump(held | {name: keyring.dumped(ring)}, file, indent=2, default=bytes.hex)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def module_rings(path: Path) -> dict[int, Ring]:
    """The keys of modules in the file, by EUI; those that cannot be read are as good as none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = {name: _ring(value) for name, value in content.items() if len(name) == MODULE_DIGITS}
    return {int(name, 16): ring for name, ring in found.items() if ring is not None}


def _ring(value: Any) -> Ring | None:
    """A ring as `keep` wrote it."""
    try:
        keys = [None if one is None else [one[0], bytes.fromhex(one[1])] for one in value[:3]]
        return keyring.loaded([*keys, *value[3:]])
    except (ValueError, TypeError, IndexError):
        return None


def secret_of(key: bytes | Ring) -> bytes:
    """The key in use."""
    if isinstance(key, Ring):
        assert key.active is not None                       # a link always has one
        return key.active.secret
    return key


def link_keys(path: Path, links: Iterable[int]) -> dict[int, bytes | Ring]:
    """The keys of `links`, from the file, or fresh ones in a new file. Raises `ConfigError` naming every problem."""
    wanted = tuple(links)
    try:
        return _make(path, wanted)
    except FileExistsError:
        return _read(path, wanted)
    except OSError as error:
        raise StartError("key file", f"{path} cannot be written: {error.strerror}") from None


def _make(path: Path, links: tuple[int, ...]) -> dict[int, bytes | Ring]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    keys = {link: secrets.token_bytes(KEY_BYTES) for link in links}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({f"{link:08x}": key.hex() for link, key in keys.items()}, file, indent=2)
    return {**keys}


def _read(path: Path, links: tuple[int, ...]) -> dict[int, bytes | Ring]:
    where, problems = str(path), []
    keys: dict[int, bytes | Ring] = {}
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
        if (ring := _ring(text)) is not None and ring.active is not None:
            keys[link] = ring
            continue
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
