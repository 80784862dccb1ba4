"""The key store: the keys of links, modules and groups, sealed in a vault, and the counter of commands.

AES-256-GCM under a master key that lies in a file of its own, 0600, or in the environment. The content is replaced as
a whole and durably; another process (`scada keys`) may change it while the server runs. No key is ever shown.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scada.drivers.dmesh import keyring
from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.vault import FileVault, Vault, master_key
from scada.errors import ConfigError, Problem, StorageError

MAGIC: Final = b"SCADAKS1"
KEY: Final = 16                         # bytes
NONCE: Final = 12
COUNTER_AHEAD: Final = 60 << 16         # counters reserved by one write: a minute of them
RESTORE_AHEAD: Final = 3600 << 16       # skipped by a restore: how far the clock of the server before may have been ahead

Holder = tuple[KeyTarget, int]          # LINK and link id, or MODULE and EUI


@attrs.frozen
class Content:
    """What the store holds; replaced as a whole."""

    links: Mapping[int, Ring] = attrs.field(factory=dict, repr=False)
    groups: Mapping[tuple[int, int], bytes] = attrs.field(factory=dict, repr=False)     # (number, epoch)
    counter: int = 0                    # every command counter given out so far is below it
    modules: Mapping[int, Ring] = attrs.field(factory=dict, repr=False)                 # by EUI

    def ring(self, holder: Holder) -> Ring | None:
        target, number = holder
        return (self.links if target is KeyTarget.LINK else self.modules).get(number)

    def with_ring(self, holder: Holder, ring: Ring | None) -> "Content":
        target, number = holder
        rings = dict(self.links if target is KeyTarget.LINK else self.modules)
        rings.pop(number, None)
        if ring is not None:
            rings[number] = ring
        return attrs.evolve(self, links=rings) if target is KeyTarget.LINK else attrs.evolve(self, modules=rings)


class KeyStore:
    """
    Keys by holder. Reads are memory (and a `stat`); what writes blocks, and is thread-safe.

    Only writers take the lock, which they hold over the disk's sync: a link key is asked for in the reactor's thread.
    """

    def __init__(self, vault: Vault, master: bytes) -> None:
        self._vault, self._cipher = vault, AESGCM(master)
        self._writing = threading.RLock()
        # Content, and the vault's stamp when it was read: one value, so that no reader sees half of it.
        self._held: tuple[Content, Hashable | None] = (Content(), None)
        self._unsettled: tuple[Content, frozenset[Holder]] = (self._held[0], frozenset())
        self._counter = 0
        self.problem = ""                                   # why the store could not be read again, for health
        self._refresh()

    @classmethod
    def open(cls, path: Path, master_key_path: Path) -> "KeyStore":
        """The store in the file `path`, empty if it does not exist; a master key is made then. Raises `ConfigError`."""
        return cls.over(FileVault(path), master_key_path)

    @classmethod
    def over(cls, vault: Vault, master_key_path: Path) -> "KeyStore":
        """The store in any vault, empty if that holds nothing; a master key is made then. Raises `ConfigError`."""
        return cls(vault, master_key(master_key_path, may_make=vault.stamp() is None))

    def __repr__(self) -> str:
        return f"KeyStore({self._vault.name!r})"

    # ------------------------------------------------------------------ reading, without waiting
    def ring(self, holder: Holder) -> Ring | None:
        """
        The keys of a link or module; None where it has none.

        A store that was spoilt while the server runs does not disturb those already known: see `problem`.
        """
        self.look()
        return self._content.ring(holder)

    def peek(self, holder: Holder) -> Ring | None:
        """The same as of the last look."""
        return self._content.ring(holder)

    def unsettled(self) -> frozenset[Holder]:
        """Whose keys are being changed: something waits, or the key before is still good."""
        self.look()
        content = self._content
        if self._unsettled[0] is not content:
            links = {(KeyTarget.LINK, number) for number, ring in content.links.items() if ring.new or ring.old}
            modules = {(KeyTarget.MODULE, number) for number, ring in content.modules.items() if ring.new or ring.old}
            self._unsettled = content, frozenset(links | modules)
        return self._unsettled[1]

    @property
    def changing(self) -> int:
        """How many keys are on their way."""
        rings = (self.peek(holder) for holder in self.unsettled())
        return sum(ring is not None and ring.new is not None for ring in rings)

    def link_key(self, link_id: int) -> bytes | None:
        """The key in use of a concentrator; None where it has none."""
        ring = self.ring((KeyTarget.LINK, link_id))
        return ring.active.secret if ring is not None and ring.active is not None else None

    def rings(self) -> dict[Holder, Ring]:
        """All links and modules that have a key."""
        self.look()
        content = self._content
        links = {(KeyTarget.LINK, number): ring for number, ring in sorted(content.links.items())}
        return links | {(KeyTarget.MODULE, number): ring for number, ring in sorted(content.modules.items())}

    def groups(self) -> tuple[tuple[int, int], ...]:
        """(number, epoch) of all group keys."""
        self.look()
        return tuple(sorted(self._content.groups))

    def names(self) -> tuple[str, ...]:
        """Who holds a key, for people."""
        self._refresh()
        rings = [name_of(holder) for holder in self.rings()]
        return (*rings, *(f"group {number} epoch {epoch}" for number, epoch in self.groups()))

    def look(self) -> None:
        """Take up what another process changed, if it can be read."""
        try:
            self._refresh()
            self.problem = ""
        except (ConfigError, StorageError) as error:
            self.problem = str(error)

    # ------------------------------------------------------------------ changing; all blocking
    def add_link(self, link_id: int, key: bytes | None = None) -> bytes:
        """Enter a concentrator's key, a random one if none is given; replaces all it had. Blocking."""
        key = secrets.token_bytes(KEY) if key is None else key
        self.add([((KeyTarget.LINK, link_id), key)])
        return key

    def add(self, keys: list[tuple[Holder, bytes]]) -> None:
        """Enter keys that are carried to their holders by hand, all or none. Blocking."""
        if any(len(key) != KEY for _, key in keys):
            raise ValueError(f"a key has {KEY} bytes")
        with self._changing() as content:
            for holder, key in keys:
                content = content.with_ring(holder, Ring(Key(0, key)))
            self._write(content)

    def begin(self, holders: list[Holder], now: int) -> None:
        """Lay up a new key for each; the driver takes it there. `now` is real UTC [s]. Blocking.

        Raises `ConfigError` if a change is still under way, or a link has no key that could carry the new one.
        """
        with self._changing() as content:
            problems = []
            for holder in holders:
                ring = content.ring(holder)
                if ring is None and holder[0] is KeyTarget.LINK:
                    problems.append(Problem("key store", name_of(holder), "has no key; expected one from `scada keys add`"))
                elif ring is not None and ring.new is not None:
                    problems.append(Problem("key store", name_of(holder), "a change of its key is under way already"))
                else:
                    ring = ring or Ring()
                    new = Key(ring.next_number(now), secrets.token_bytes(KEY))
                    content = content.with_ring(holder, attrs.evolve(ring, new=new, confirmed=False))
            if problems:
                raise ConfigError(problems)
            self._write(content)

    def change(self, holder: Holder, step: Callable[[Ring], Ring | None]) -> Ring | None:
        """One step of a change of keys; written only if it changes anything. The ring after it. Blocking."""
        with self._changing() as content:
            before = content.ring(holder)
            after = step(before) if before is not None else None
            if after is None or after == before:
                return before
            self._write(content.with_ring(holder, after))
            return after

    def revoke(self, holder: Holder) -> bool:
        """Forget all keys of a link or module; whether there was one. Blocking."""
        with self._changing() as content:
            if content.ring(holder) is None:
                return False
            self._write(content.with_ring(holder, None))
            return True

    def revoke_group(self, number: int, epoch: int) -> bool:
        """Forget a group's key; the next command makes another. Blocking."""
        with self._changing() as content:
            if (number, epoch) not in content.groups:
                return False
            groups = {one: key for one, key in content.groups.items() if one != (number, epoch)}
            self._write(attrs.evolve(content, groups=groups))
            return True

    def group_key(self, number: int, epoch: int) -> bytes:
        """The key of a load group in one epoch, made on first need. Blocking then."""
        self._refresh()
        if (held := self._content.groups.get((number, epoch))) is not None:
            return held
        with self._changing() as content:
            groups = content.groups
            if (number, epoch) not in groups:
                groups = {**groups, (number, epoch): secrets.token_bytes(KEY)}
                self._write(attrs.evolve(content, groups=groups))
            return groups[number, epoch]

    def next_counter(self, now: int) -> int:
        """
        A counter for a group command that was never given out before, by this or an earlier run. Blocking.

        `now` is UTC [s]; it stands in the upper bits, so that a server restored from a backup still grows.
        """
        with self._writing:
            counter = max(self._counter + 1, now << 16)
            if counter >= self._content.counter or self._counter == 0:
                with self._changing() as content:
                    counter = max(counter, content.counter)
                    self._write(attrs.evolve(content, counter=counter + COUNTER_AHEAD))
            self._counter = counter
            return counter

    # ------------------------------------------------------------------ backup
    def exported(self) -> bytes:
        """Everything, in the clear: for `backup.sealed` and nothing else."""
        self._refresh()
        return dumped(self._content)

    def restore(self, raw: bytes, now: int, *, replace: bool) -> int:
        """
        Take over everything of a backup; the number of keys. `now` is site time [s]. Blocking.

        The command counter jumps ahead of all that the server before may have given out since. Raises `ConfigError`
        if there are keys here already and they are not to be replaced.
        """
        content = loaded(raw)
        with self._changing() as held:
            if (held.links or held.modules or held.groups) and not replace:
                raise ConfigError([Problem(self._vault.name, "", "holds keys already; expected --replace to lose them")])
            counter = max(content.counter, held.counter, now << 16) + RESTORE_AHEAD
            self._write(attrs.evolve(content, counter=counter))
        return len(content.links) + len(content.modules) + len(content.groups)

    # ------------------------------------------------------------------ private
    @property
    def _content(self) -> Content:
        return self._held[0]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Content]:
        """
        Alone, in this process and among processes, with the newest content.

        It is read here and not taken from what is held: a reader without the lock may just put back an older one.
        """
        with self._writing, self._vault.alone():
            yield self._read() or Content()

    def _refresh(self) -> None:
        """Read again if another process replaced it."""
        seen = self._vault.stamp()
        if seen is not None and seen != self._held[1]:
            content = self._read()
            if content is not None:
                self._held = content, seen                  # an older file than the newest is found out by its stamp

    def _read(self) -> Content | None:
        data = self._vault.read()
        if data is None:
            return None
        at = len(MAGIC)
        try:
            if data[:at] != MAGIC:
                raise InvalidTag
            return loaded(self._cipher.decrypt(data[at:at + NONCE], data[at + NONCE:], MAGIC))
        except (InvalidTag, ValueError):
            raise ConfigError(
                [Problem(self._vault.name, "", "the key store does not open with this master key, or it is damaged")]
            ) from None

    def _write(self, content: Content) -> None:
        nonce = secrets.token_bytes(NONCE)
        self._vault.replace(MAGIC + nonce + self._cipher.encrypt(nonce, dumped(content), MAGIC))
        self._held = content, self._vault.stamp()


def name_of(holder: Holder) -> str:
    """A link or module, for people."""
    target, number = holder
    return f"link {number:08x}" if target is KeyTarget.LINK else f"module {number:016x}"


def dumped(content: Content) -> bytes:
    """All content in the clear."""
    return cbor2.dumps({
        "links": {number: keyring.dumped(ring) for number, ring in content.links.items()},
        "modules": {number: keyring.dumped(ring) for number, ring in content.modules.items()},
        "groups": [[number, epoch, key] for (number, epoch), key in content.groups.items()],
        "counter": content.counter,
    })


def loaded(raw: bytes) -> Content:
    """The reverse, also of what earlier versions wrote. Raises `ValueError`."""
    try:
        data = cbor2.loads(raw)
        links, modules = (
            {number: keyring.loaded(value) for number, value in data.get(kind, {}).items()} for kind in ("links", "modules")
        )
        return Content(links, {(number, epoch): key for number, epoch, key in data["groups"]}, data["counter"], modules)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the content of a key store") from error
