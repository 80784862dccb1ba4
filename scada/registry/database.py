"""The registry of one database, without a reactor: what the command line opens, and what the service runs in its thread."""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import attrs
from sqlalchemy import Connection, Engine, Select, make_url, select, update

from scada.clock import NS, SiteClock
from scada.commands import Actor, Role
from scada.dial import DialReading, Installation, Installed
from scada.errors import CommandRejected, StartError, StorageError
from scada.registry import draft, exchange, plan, rows
from scada.registry.audit import AuditTrail, Note, append
from scada.registry.checks import check, text_fault
from scada.registry.dials import DialBook, enter
from scada.registry.installing import installation_of, installed, installed_before
from scada.registry.joining import Joined, join
from scada.registry.lifecycle import Happening, after
from scada.registry.models import Base, RevisionRow
from scada.registry.schema import make_engine, migrate, reading, writing
from scada.registry.stepping import difference, stepped
from scada.registry.swapping import carried_out, swapped
from scada.registry.users import UserBook
from scada.settings import RegistrySettings
from scada.site import (
    MADE_FROM,
    Concentrator,
    Directory,
    JoinedModule,
    MeterPeriod,
    MeterTerms,
    Module,
    ModuleState,
    Site,
    SiteChange,
    Step,
    StepKind,
    Swap,
    followed,
)

_revisions = Base.metadata.tables[RevisionRow.__tablename__]
_SITE_REVISION = update(_revisions).where(_revisions.c.kind == "site")
ADOPTERS = (Role.ENGINEER, Role.INTEGRATOR, Role.ADMINISTRATOR)
INSTALLERS = (Role.INSTALLER, *ADOPTERS)
AHEAD_NS = 300 * NS                     # a phone's clock may be that much before ours


def url_of(settings: RegistrySettings, data_dir: Path) -> str:
    """Where the registry is: the configured URL, or an SQLite file in the data directory."""
    return settings.url or f"sqlite:///{data_dir / 'registry.sqlite'}"


def open_registry(url: str, clock: SiteClock | None = None) -> "RegistryDatabase":
    """Open a registry and bring its schema to head; raises `StartError`. Blocking."""
    database = RegistryDatabase(url, clock or SiteClock())
    database.open()
    return database


def look(url: str) -> Site:
    """The site of an SQLite registry that is there, without changing anything; an empty one where that cannot be told."""
    place = make_url(url)
    if place.get_backend_name() != "sqlite" or not place.database or not Path(place.database).is_file():
        return Site()
    engine = make_engine(url)
    try:
        with reading(engine) as connection:
            return rows.load(connection)
    except StorageError:                # of another version, or just being made: who opens it will say so
        return Site()
    finally:
        engine.dispose()


class RegistryDatabase:
    """Thread-safe; every method blocks. A change is one transaction: everything or nothing."""

    def __init__(self, url: str, clock: SiteClock) -> None:
        self._url, self._now = url, clock.now
        self._opened: Engine | None = None
        self.audit = AuditTrail(self.engine, now=lambda: clock.map.real(clock.now()))
        self.users = UserBook(self.engine, self.audit, clock.monotonic)
        self.dials = DialBook(self.engine, self.audit)
        self._lock = Lock()
        self._site: Site | None = None      # as last read or written; good while the revision has not moved
        self._directory = Directory(Site())

    def engine(self) -> Engine:
        """The open database."""
        if self._opened is None:
            raise StorageError("registry: the database is not open")
        return self._opened

    def open(self) -> None:
        """Open the database and bring its schema to head; raises `StartError`."""
        engine = make_engine(self._url)
        try:
            migrate(engine)
        except StartError:
            engine.dispose()
            raise
        self._opened = engine

    def close(self) -> None:
        engine, self._opened = self._opened, None
        if engine is not None:
            engine.dispose()

    def directory(self, site: Site) -> Directory:
        """The look-ups of a site, made once and corrected as it changes; those that joining needs are there already."""
        if self._directory.site is not site:
            made = followed(self._directory, site)
            for name in MADE_FROM:                          # in this thread: with 100,000 modules the loop would feel it
                getattr(made, name)
            self._directory = made
        return self._directory

    def revisions(self) -> dict[str, int]:
        """How often `site`, `users` and `audit` were changed; by it a process sees what another one did."""
        with reading(self.engine()) as connection:
            return {row.kind: row.number for row in connection.execute(select(_revisions))}

    def load(self) -> Site:
        """The site as it is now; cheap when nothing changed."""
        with self._lock, reading(self.engine()) as connection:
            self._site = self._current(connection, select(_revisions.c.number))
            self.directory(self._site)
            return self._site

    def change(
        self, make: Callable[[Site], Site], said: Callable[[], Note] | None = None,
        also: Callable[[Connection], None] | None = None,
    ) -> Site:
        """Replace the site by `make(site)` and audit it, in one transaction; equal content changes nothing.

        `also` writes what belongs to the change, or raises, and then nothing was changed.
        """
        with self._lock:
            with writing(self.engine()) as connection:
                old = self._current(connection, select(_revisions.c.number).with_for_update())
                made = make(old)
                new = old if made is old else attrs.evolve(made, generation=old.generation)
                if new is not old and new != old:
                    new = attrs.evolve(new, generation=old.generation + 1)
                    rows.save(connection, old, new)
                    connection.execute(_SITE_REVISION.values(number=new.generation))
                    if said is not None:
                        append(connection, [said()])
                if also is not None:
                    also(connection)
            self._site = new                # only now: the commit has happened
            self.directory(new)
            return new

    def _current(self, connection: Connection, revision: Select[Any]) -> Site:
        number = connection.execute(revision.where(_revisions.c.kind == "site")).scalar_one()
        if self._site is not None and self._site.generation == number:
            return self._site
        return attrs.evolve(rows.load(connection), generation=number)

    # ---------------------------------------------------------------------------------------------- import
    def put(self, written: draft.Draft, actor: Actor, source: str, *, replace: bool = False) -> draft.Outcome:
        """Import a draft; raises `ConfigError` with every problem, and then nothing has changed."""
        outcome: draft.Outcome | None = None

        def make(old: Site) -> Site:
            nonlocal outcome
            outcome = draft.put_into(written, old, replace=replace)
            return outcome.site

        def said() -> Note:
            assert outcome is not None
            figures = {name: _figures(getattr(outcome, name)) for name in ("added", "changed", "removed")}
            return self.audit.note(actor, "site.import", source, replace=replace, **figures)

        site = self.change(make, said)
        assert outcome is not None
        return attrs.evolve(outcome, site=site)

    def try_out(self, written: draft.Draft, *, replace: bool = False) -> draft.Outcome:
        """What `put` would do; changes nothing."""
        return draft.put_into(written, self.load(), replace=replace)

    def import_file(self, path: Path, actor: Actor, *, replace: bool = False) -> draft.Outcome:
        """Import a YAML file, a folder of CSV files or one CSV file."""
        return self.put(exchange.read(path), actor, str(path), replace=replace)

    def plan(
        self, path: Path, actor: Actor, hour: int, progress: Callable[[int, int], None] = lambda done, of: None, *,
        dry_run: bool = False,
    ) -> draft.Outcome:
        """Put a plan of meters into the site; raises `ConfigError` with every problem, and then nothing has changed."""
        collecting = gc.isenabled()
        gc.disable()                        # a million new values without circles: it would walk them for nothing
        try:
            drafted = plan.read(path, self.directory(self.load()).module_of_eui, hour, progress)
            return self.try_out(drafted) if dry_run else self.put(drafted, actor, str(path))
        finally:
            if collecting:
                gc.enable()

    def replace(self, site: Site, actor: Actor, source: str = "") -> Site:
        """Make `site` the whole registry; raises `ConfigError`."""
        findings = [finding for finding in check(site) if not finding.warning]
        if findings:
            raise draft.refused(site, findings)
        return self.change(lambda _: site, lambda: self.audit.note(actor, "site.replace", source))

    # ---------------------------------------------------------------------------------------------- modules
    def join(self, announced: Sequence[JoinedModule]) -> Joined:
        """Enter modules the field announced."""
        result: Joined | None = None

        def make(site: Site) -> Site:
            nonlocal result
            result = join(site, announced, self.directory(site))
            return result.site

        site = self.change(make)
        assert result is not None
        return attrs.evolve(result, site=site)

    def adopt(self, actor: Actor, eui: int) -> Site:
        """Make a discovered module active; raises `CommandRejected`."""
        return self.step(actor, Step(StepKind.ADOPT, eui))

    def commission(self, actor: Actor, eui: int) -> Site:
        """A person begins to put a module into service; raises `CommandRejected`."""
        return self.step(actor, Step(StepKind.COMMISSION, eui))

    def retire(self, actor: Actor, eui: int) -> Site:
        """Take a module out of service for good; raises `CommandRejected`."""
        return self.step(actor, Step(StepKind.RETIRE, eui))

    def step(self, actor: Actor, step: Step) -> Site:
        """Do one step with a module; raises `CommandRejected` with every reason. Doing it again changes nothing."""
        more = {"concentrator": step.concentrator} if step.kind is StepKind.MOVE else {}
        return self.change(
            lambda site: self._wished(site, actor, step),
            lambda: self.audit.note(actor, f"module.{step.kind}", f"{step.eui:016X}", **more),
        )

    def swap(self, actor: Actor, swap: Swap) -> Site:
        """Put another module or meter in the place of one; raises `CommandRejected` with every reason."""
        return self.change(lambda site: self._wished(site, actor, swap), lambda: self.audit.note(
            actor, "module.swap", f"{swap.old_eui:016X}", new=f"{swap.new_eui:016X}", hour=swap.hour,
            meters=[attrs.asdict(one) for one in swap.meters],
        ))

    def set_terms(self, actor: Actor, terms: MeterTerms) -> Site:
        """What meters of a medium cost and how they fail; raises `CommandRejected` with every reason."""
        if actor.role is not Role.ADMINISTRATOR:
            raise CommandRejected([f"{actor.name} is {actor.role.value}; only administrators may change what meters cost"])

        def make(site: Site) -> Site:
            if wrong := [one for one in check(Site(meter_terms=(terms,))) if not one.warning]:
                raise CommandRejected([f"{one.field}: {one.expected}" for one in wrong])
            others = {one.medium: one for one in site.meter_terms}
            return attrs.evolve(site, meter_terms=tuple({**others, terms.medium: terms}.values()))

        return self.change(make, lambda: self.audit.note(
            actor, "meter_terms.set", terms.medium.value,
            **{name: value for name, value in attrs.asdict(terms).items() if name != "medium"},
        ))

    def preview(self, actor: Actor, wish: Swap | Step) -> SiteChange:
        """What a swap or a step would change; raises `CommandRejected` with every reason, and changes nothing."""
        site = self.load()
        with self._lock:                    # the look-ups belong to whoever changes the site
            return difference(site, self._wished(site, actor, wish))

    def _wished(self, site: Site, actor: Actor, wish: Swap | Step) -> Site:
        directory = self.directory(site)
        if isinstance(wish, Swap):
            eui = wish.old_eui
            made, reasons = (site, []) if carried_out(directory, wish) else swapped(site, directory, wish)
        else:
            eui = wish.eui
            made, reasons = stepped(site, directory, wish)
        if (module := directory.module_of_eui.get(eui)) is not None:
            target = directory.concentrator.get(wish.concentrator) if isinstance(wish, Step) else None
            begins = isinstance(wish, Step) and wish.kind is StepKind.COMMISSION
            reasons = [*_not_allowed(actor, directory, module, INSTALLERS if begins else ADOPTERS, target), *reasons]
        if reasons:
            raise CommandRejected(reasons)
        return made
    def install(self, actor: Actor, wish: Installation) -> tuple[Site, Installed]:
        """Put a meter into service: module, period, point and dial reading in one transaction; raises `CommandRejected`.

        The same key again answers what it did the first time.
        """
        if not wish.key or text_fault("name", wish.key):
            raise CommandRejected(["the key of an installation has 1 to 64 printable characters"])
        done = self.dials.of_key(wish.key)
        if done is not None:
            site = self.load()
            return site, installed_before(self.directory(site), wish, done)
        made: list[tuple[MeterPeriod, DialReading]] = []

        def make(site: Site) -> Site:
            directory = self.directory(site)
            after_it, reasons = installed(site, directory, wish)
            if (module := directory.module_of_eui.get(wish.eui)) is not None:
                reasons = [*_not_allowed(actor, directory, module, INSTALLERS), *reasons]
            if wish.at > self._now() + AHEAD_NS:
                reasons.append("the dial was read at a time that is still to come")
            if reasons:
                raise CommandRejected(reasons)
            made.append(installation_of(after_it, wish, actor.name))
            return after_it

        site = self.change(make, also=lambda connection: enter(connection, self.audit, actor, wish, *made[-1]))
        period, reading_ = made[-1]
        return site, Installed(self.directory(site).module_of_eui[wish.eui], period, reading_)

    def set_module_state(self, eui: int, state: ModuleState) -> Site:
        """One of them."""
        return self.set_module_states({eui: state})

    def set_module_states(self, states: Mapping[int, ModuleState]) -> Site:
        """Lost, or back again, as one change: a blackout is the news of many modules at once.

        A module nobody adopted stays discovered; an unknown one is no news.
        """
        happenings = {ModuleState.LOST: Happening.SILENT, ModuleState.ACTIVE: Happening.BACK}

        def make(site: Site) -> Site:
            known = self.directory(site).module_of_eui
            moved: dict[int, Module] = {}
            for eui, state in states.items():
                module = known.get(eui)
                to = after(module.state, happenings[state]) if module is not None and state in happenings else None
                if module is not None and to is not None and to is not module.state:
                    moved[eui] = attrs.evolve(module, state=to)
            if not moved:
                return site
            return attrs.evolve(site, modules=tuple(moved.get(one.eui, one) for one in site.modules))

        return self.change(make)


def _not_allowed(
    actor: Actor, directory: Directory, module: Module, who: tuple[Role, ...] = ADOPTERS,
    target: Concentrator | None = None,
) -> list[str]:
    reasons = []
    if actor.role not in who:
        reasons.append(f"a {actor.role} may not adopt modules; an engineer may")
    if not actor.covers(directory.concentrator[module.concentrator].area):
        reasons.append(f"{module.name} is outside the areas of {actor.name}")
    if target is not None and not actor.covers(target.area):
        reasons.append(f"{target.name} is outside the areas of {actor.name}")
    return reasons


def _figures(counts: dict[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if count}
