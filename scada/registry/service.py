"""The registry as a service: the site in memory, its changes in a thread of its own, its listeners in the reactor."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.commands import Actor
from scada.dial import DialOutcome, DialReading, Installation, Installed
from scada.errors import StorageError
from scada.ports import AuditRow, Health, Unsubscribe
from scada.registry.audit import AuditTrail, Note
from scada.registry.database import RegistryDatabase, open_registry, url_of
from scada.registry.dials import DialBook
from scada.registry.joining import Joined
from scada.registry.users import SYSTEM, UserBook
from scada.settings import RegistrySettings
from scada.site import Directory, JoinedModule, MeterTerms, Module, ModuleState, Site, SiteChange, Step, Swap

__all__ = ["AuditService", "RegistryDatabase", "RegistryService", "open_registry", "url_of"]

MAX_JOBS: Final = 10_000                # waiting for the thread; beyond it calls fail at once, and are counted
AUDIT_BATCH: Final = 500
LOOK_EVERY_S: Final = 5.0               # real time between looks for changes made by other processes

Given = ParamSpec("Given")
Got = TypeVar("Got")
Run = Callable[..., "Deferred[Any]"]
log = Logger()


class AuditService:
    """Implements `ports.Audit`: rows that come together become durable in one transaction."""

    def __init__(self, trail: AuditTrail, run: Run) -> None:
        self._trail, self._run = trail, run
        self._waiting: list[tuple[Note, Deferred[None]]] = []
        self._writing = False
        self._written: Deferred[None] = succeed(None)
        self.refused = 0

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        if len(self._waiting) >= MAX_JOBS:
            self.refused += 1
            return fail(StorageError(f"registry: {MAX_JOBS} audit rows are waiting for the disk; no more are taken"))
        durable: Deferred[None] = Deferred()
        self._waiting.append((self._trail.note(actor, action, target, **detail), durable))
        if not self._writing:
            self._writing = True
            self._written = Deferred.fromCoroutine(self._write())
        return durable

    def finished(self) -> "Deferred[None]":
        """Fires when everything appended so far has its answer."""
        return self._written

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AUDIT_BATCH], self._waiting[AUDIT_BATCH:]
            try:
                await self._run(self._trail.write, [one for one, _ in batch])
            except Exception as error:      # whatever it was, whoever waits must hear that his row is not durable
                for _, durable in batch:
                    durable.errback(error)
            else:
                for _, durable in batch:
                    durable.callback(None)
        self._writing = False

    def append_now(self, actor: Actor, action: str, target: str = "", **detail: Any) -> None:
        self._trail.append_now(actor, action, target, **detail)

    def page(self, before: int | None = None, size: int = 50, action: str = "") -> tuple[AuditRow, ...]:
        return self._trail.page(before, size, action)

    def verify(self) -> int | None:
        return self._trail.verify()


class RegistryService:
    """Implements `ports.Registry`; `.users` is `ports.Users` and more, `.audit` is `ports.Audit`.

    Everything may be handed out before `start`; the blocking methods of users and audit work after it.
    """

    def __init__(self, settings: RegistrySettings, data_dir: Path, clock: SiteClock, reactor: Any) -> None:
        self._settings, self._reactor = settings, reactor
        self._database = RegistryDatabase(url_of(settings, data_dir), clock)
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name="registry")
        self._look = LoopingCall(self._look_for_changes)
        self._look.clock = reactor
        self._directory = Directory(Site())
        self._listeners: list[Callable[[Directory], None]] = []
        self._account_listeners: list[Callable[[], None]] = []
        self._revisions: dict[str, int] = {}
        self._running = False
        self._jobs = self._refused_jobs = self._refused_modules = 0
        self._elsewhere: dict[str, None] = {}
        self._fault = ""
        self._audit = AuditService(self._database.audit, self._run)
        self.initial_password: str | None = None
        """Of the administrator `admin`, at the very first start; to be shown once. It is stored nowhere."""

    @property
    def users(self) -> UserBook:
        return self._database.users

    @property
    def dials(self) -> DialBook:
        return self._database.dials

    @property
    def audit(self) -> AuditService:
        return self._audit

    @property
    def directory(self) -> Directory:
        return self._directory

    # -------------------------------------------------------------------------------------------- life cycle
    def start(self) -> "Deferred[None]":
        """Migrate, import the first site, make the administrator. Fails with `StartError` or `ConfigError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._pool.start()
        self._running = True
        try:
            site, self.initial_password, self._revisions = await self._run(self._open)
        except BaseException:               # whatever it was, the thread must not outlive it
            await self._stop()
            raise
        self._replace(site)
        self._look.start(LOOK_EVERY_S, now=False)

    def _open(self) -> tuple[Site, str | None, dict[str, int]]:
        self._database.open()
        site = self._database.load()
        given = self._settings.import_file
        if given is not None and site == Site(generation=site.generation):
            site = self._database.import_file(given, SYSTEM).site
        password = self._database.users.make_administrator()
        return site, password, self._database.revisions()

    def stop(self) -> "Deferred[None]":
        """Finish what is under way, then end the thread."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if not self._running:
            return
        if self._look.running:
            self._look.stop()
        await self._audit.finished()
        await self._run(self._database.close)       # behind everything that was asked for before
        self._running = False
        self._pool.stop()

    # ------------------------------------------------------------------------------------------------ changes
    def subscribe(self, listener: Callable[[Directory], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_accounts(self, listener: Callable[[], None]) -> Unsubscribe:
        """Hear, within seconds, that some account changed (reactor thread)."""
        self._account_listeners.append(listener)
        return lambda: self._account_listeners.remove(listener)

    def module_joined(self, modules: Sequence[JoinedModule]) -> "Deferred[tuple[Module, ...]]":
        return Deferred.fromCoroutine(self._joined(tuple(modules)))

    async def _joined(self, modules: tuple[JoinedModule, ...]) -> tuple[Module, ...]:
        joined: Joined = await self._run(self._database.join, modules)
        self._refused_modules += joined.refused
        for where in joined.elsewhere:
            if where not in self._elsewhere and len(self._elsewhere) < MAX_JOBS:
                self._elsewhere[where] = None
                log.warn("module elsewhere: {where}", where=where)
        self._replace(joined.site)
        return joined.modules

    def adopt(self, actor: Actor, eui: int) -> "Deferred[Module]":
        return Deferred.fromCoroutine(self._moved(self._database.adopt, actor, eui))

    def commission(self, actor: Actor, eui: int) -> "Deferred[Module]":
        return Deferred.fromCoroutine(self._moved(self._database.commission, actor, eui))

    def retire(self, actor: Actor, eui: int) -> "Deferred[Module]":
        return Deferred.fromCoroutine(self._moved(self._database.retire, actor, eui))

    def swap(self, actor: Actor, swap: Swap) -> "Deferred[Module]":
        return Deferred.fromCoroutine(self._swap(actor, swap))

    def step(self, actor: Actor, step: Step) -> "Deferred[Module]":
        return Deferred.fromCoroutine(self._stepped(actor, step))

    def preview(self, actor: Actor, wish: Swap | Step) -> "Deferred[SiteChange]":
        return self._run(self._database.preview, actor, wish)

    async def _stepped(self, actor: Actor, step: Step) -> Module:
        self._replace(await self._run(self._database.step, actor, step))
        return self._directory.module_of_eui[step.eui]
    def install(self, actor: Actor, wish: Installation) -> "Deferred[Installed]":
        return Deferred.fromCoroutine(self._install(actor, wish))

    async def _install(self, actor: Actor, wish: Installation) -> Installed:
        site, done = await self._run(self._database.install, actor, wish)
        self._replace(site)
        return done

    def add_dials(self, actor: Actor, readings: Sequence[DialReading], *, correct: bool = False) -> "Deferred[DialOutcome]":
        return self._run(self._database.dials.add, actor, readings, correct=correct)

    def set_terms(self, actor: Actor, terms: MeterTerms) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._set_terms(actor, terms))

    async def _set_terms(self, actor: Actor, terms: MeterTerms) -> None:
        self._replace(await self._run(self._database.set_terms, actor, terms))

    async def _moved(self, work: Callable[[Actor, int], Site], actor: Actor, eui: int) -> Module:
        self._replace(await self._run(work, actor, eui))
        return self._directory.module_of_eui[eui]

    async def _swap(self, actor: Actor, swap: Swap) -> Module:
        self._replace(await self._run(self._database.swap, actor, swap))
        return self._directory.module_of_eui[swap.new_eui]

    def set_module_states(self, states: Mapping[int, str]) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._set_states({eui: ModuleState(state) for eui, state in states.items()}))

    async def _set_states(self, states: Mapping[int, ModuleState]) -> None:
        self._replace(await self._run(self._database.set_module_states, states))

    async def _look_for_changes(self) -> None:
        """What another process did (`scada site import`, `scada users`): seen by the revision, then read."""
        try:
            before, self._revisions = self._revisions, await self._run(self._database.revisions)
            if self._revisions["site"] > self._directory.site.generation:
                self._replace(await self._run(self._database.load))
        except StorageError as error:
            if not self._fault:
                log.error("registry not readable: {reason}", reason=str(error))
            self._fault = str(error)
            return
        if self._fault:
            log.info("registry readable again")
        self._fault = ""
        if before.get("users") != self._revisions["users"]:
            _tell(self._account_listeners)

    def _replace(self, site: Site) -> None:
        if site.generation <= self._directory.site.generation:
            return
        self._directory = self._database.directory(site)        # made in its thread, and good look-ups kept
        _tell(self._listeners, self._directory)

    def _run(self, work: Callable[Given, Got], *args: Given.args, **kwargs: Given.kwargs) -> "Deferred[Got]":
        """Do blocking work in the registry's thread, in the order asked for."""
        if not self._running:
            return fail(StorageError("registry: not running"))
        if self._jobs >= MAX_JOBS:
            self._refused_jobs += 1
            return fail(StorageError(f"registry: {MAX_JOBS} changes are waiting for the disk; no more are taken"))
        self._jobs += 1

        def done(result: Any) -> Any:
            self._jobs -= 1
            return result

        running: Deferred[Got] = deferToThreadPool(self._reactor, self._pool, work, *args, **kwargs)
        return running.addBoth(done)

    # ------------------------------------------------------------------------------------------------- health
    def health(self) -> Iterable[Health]:
        modules = self._directory.site.modules
        states = {state: sum(module.state is state for module in modules) for state in ModuleState}
        figures = {
            "generation": self._directory.site.generation,
            "modules": len(modules),
            **{f"modules_{state}": count for state, count in states.items()},
            "modules_elsewhere": len(self._elsewhere),
            "modules_refused": self._refused_modules,
            "jobs_waiting": self._jobs,
            "jobs_refused": self._refused_jobs,
            "audit_rows": self._revisions.get("audit", 0),
            "audit_refused": self._audit.refused,
            "logins_failed": self.users.failed,
            "logins_limited": self.users.limited,
        }
        if self._fault:
            text = self._fault
        elif self._elsewhere:
            text = f"heard elsewhere than registered: {next(reversed(self._elsewhere))}"
        else:
            new, lost = states[ModuleState.DISCOVERED], states[ModuleState.LOST]
            text = f"{len(modules)} modules, {new} to be adopted, {lost} lost"
        yield Health("registry", self._running and not self._fault, text, {key: float(one) for key, one in figures.items()})


def _tell(listeners: Sequence[Callable[..., None]], *news: Any) -> None:
    """Tell everybody; one who fails does not undo what is durable already, nor keep the others from hearing."""
    for listener in tuple(listeners):
        try:
            listener(*news)
        except Exception:
            log.failure("a listener of the registry failed")
