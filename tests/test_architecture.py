"""Every module is pure unless it is named here: a new file that touches the outside world fails until it says why.

Pure means: no reactor, no thread, no clock of the machine, no socket, file descriptor, process or database, no web or
OPC UA library. `service.py` and `transport.py` are edges by their name; the others, with what each is for, are `EDGES`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OUTSIDE = (
    "twisted", "zope", "asyncio", "asyncua", "pymodbus", "flask", "werkzeug", "sqlalchemy", "alembic", "sqlite3",
    "influxdb_client", "urllib3", "urllib.request", "http.client", "socket", "select", "selectors", "threading",
    "multiprocessing", "subprocess", "signal", "fcntl", "os", "time",
    "scada.sqlite_file",                # ours, and all that it does is on the disk
)
BY_NAME = ("service.py", "transport.py")

# A folder ends with a slash: everything in it is an edge of the same kind.
EDGES = {
    "scada/app.py": "the composition root",
    "scada/cli/": "commands: they start, ask and print",
    "scada/bench/": "measurements of the real thing",
    "scada/simulate/app.py": "the simulated district's process",
    "scada/simulate/headend.py": "a head-end in one process, for judging",
    "scada/simulate/standins.py": "Deferreds in the place of threads and a database",
    "scada/simulate/virtual.py": "real sockets under a clock that is moved by hand",
    "scada/simulate/pty_port.py": "a pseudo-terminal",
    "scada/simulate/keys.py": "a file only its owner may read",
    "scada/simulate/memory.py": "fsync of what the field remembers",
    "scada/simulate/panel.py": "the fault panel's web server",
    "scada/simulate/remote.py": "asks the fault panel",
    "scada/simulate/wire_log.py": "a file only its owner may read",
    # what all packages share
    "scada/ports.py": "ports speak in Deferreds",
    "scada/bus.py": "a lock: worker threads publish too",
    "scada/compute.py": "a pool of processes",
    "scada/collector.py": "the interpreter's collector, and its timer",
    "scada/clock.py": "reads the machine's clock, so that nobody else has to",
    "scada/debounce.py": "delayed calls and Deferreds",
    "scada/lock.py": "a lock of the operating system",
    "scada/logs.py": "where the log goes",
    "scada/loop.py": "the loop itself, measured",
    "scada/piecemeal.py": "turns of the loop",
    "scada/parts.py": "starts and stops services and threads",
    "scada/self_monitor.py": "a ticker, and the process's own memory",
    "scada/sqlite_file.py": "SQLite",
    "scada/turns.py": "the reactor",
    # alarms
    "scada/alarms/store.py": "SQLite",
    "scada/alarms/writer.py": "the store, from a thread",
    # balancing
    "scada/balancing/casebook.py": "SQLite",
    "scada/balancing/estimated.py": "a ticker that looks for new estimates",
    "scada/balancing/keeping.py": "stores and publishes for the service: Deferreds",
    "scada/balancing/leak_service.py": "the service of leaks: Deferreds and threads",
    "scada/balancing/leakbook.py": "SQLite",
    "scada/balancing/loss_service.py": "the service of losses: Deferreds and threads",
    "scada/balancing/memory.py": "SQLite",
    "scada/balancing/nightly.py": "its own service: a ticker and a thread",
    "scada/balancing/phases/orderbook.py": "SQLite",
    "scada/balancing/phases/weekly.py": "its own service: a night in a thread, and tags",
    "scada/balancing/phases/works.py": "a lock: pages run in threads",
    "scada/balancing/once_a_night.py": "a ticker and a thread",
    "scada/balancing/recalibration_service.py": "a service: a lock, and its night in a thread",
    "scada/balancing/ticker.py": "the transformers' second",
    "scada/balancing/wishes.py": "SQLite",
    "scada/balancing/watching.py": "a service, named after what it does",
    # the desk
    "scada/dr_dispatch/desk.py": "the service of this package, named after what it is",
    "scada/dr_dispatch/book.py": "the journal, from a thread",
    "scada/dr_dispatch/journal.py": "SQLite",
    "scada/dr_dispatch/news.py": "logs a listener's bug",
    "scada/dr_dispatch/pursuit.py": "the gateway's Deferreds",
    "scada/dr_dispatch/confirming.py": "reads the history in a thread",
    "scada/dr_dispatch/heavy.py": "work of the size of a city, in a thread",
    "scada/dr_dispatch/viewing.py": "the Deferreds of that work",
    "scada/dr_dispatch/pace.py": "waits for the loop's next turn",
    "scada/dr_dispatch/retrier.py": "the journal's Deferreds",
    "scada/dr_dispatch/sender.py": "the gateway's Deferreds",
    "scada/dr_dispatch/trail.py": "the audit's Deferreds",
    # reading on demand
    "scada/reading/book.py": "the journal, from a thread",
    "scada/reading/journal.py": "SQLite",
    # single supplies
    "scada/supply/book.py": "the store, from a thread",
    "scada/supply/bypass.py": "reads the meters in a thread",
    "scada/supply/sender.py": "the gateway's Deferreds",
    "scada/supply/store.py": "SQLite",
    # D-Mesh
    "scada/drivers/dmesh/archive.py": "acknowledges when the store's Deferred fires",
    "scada/drivers/dmesh/harvest.py": "gathers at the end of a turn of the loop",
    "scada/drivers/dmesh/caller.py": "calls, and the waits between them",
    "scada/drivers/dmesh/collector.py": "the gap engine's ticker",
    "scada/drivers/dmesh/event_cursors.py": "SQLite, written from a thread",
    "scada/drivers/dmesh/owing.py": "the same file, written from a thread",
    "scada/drivers/dmesh/groups.py": "answers of the concentrator are Deferreds",
    "scada/drivers/dmesh/management.py": "answers of the concentrator are Deferreds",
    "scada/drivers/dmesh/handing.py": "answers of the concentrator are Deferreds",
    "scada/drivers/dmesh/list_memory.py": "SQLite, written from a thread",
    "scada/drivers/dmesh/key_ledger.py": "SQLite, written from a thread",
    "scada/drivers/dmesh/keystore.py": "a lock: commands are signed in threads",
    "scada/drivers/dmesh/link.py": "requests and their time limits",
    "scada/drivers/dmesh/prompt.py": "twisted's TCP transport",
    "scada/drivers/dmesh/listeners.py": "Deferreds of who listens",
    "scada/drivers/dmesh/news.py": "logs, and the Deferreds of events",
    "scada/drivers/dmesh/rounds.py": "a looping call",
    "scada/drivers/dmesh/group_watch.py": "work of the size of a city, in a thread",
    "scada/timers.py": "timers of the loop",
    "scada/drivers/dmesh/listener.py": "twisted's factory of connections",
    "scada/drivers/dmesh/modules.py": "asks the concentrator",
    "scada/drivers/dmesh/singles.py": "answers of the concentrator are Deferreds",
    "scada/drivers/dmesh/serial_port.py": "the serial port",
    "scada/drivers/dmesh/signing.py": "waits for the key store",
    "scada/drivers/dmesh/simulator/serial.py": "the simulated concentrators' serial line",
    "scada/drivers/dmesh/station.py": "sets in motion what a message asks for",
    "scada/drivers/dmesh/timekeeper.py": "asks the concentrator, and waits for events to be durable",
    "scada/drivers/dmesh/tls.py": "twisted's transport with TLS inside, and certificate files",
    "scada/drivers/dmesh/turns.py": "twisted's protocol of a shared line, and its timers",
    "scada/drivers/dmesh/vault.py": "the key file",
    "scada/drivers/dmesh/simulator/client.py": "the simulated concentrator's socket",
    "scada/drivers/dmesh/updates.py": "answers of the concentrator are Deferreds",
    # radio networks
    "scada/mesh/store.py": "SQLite",
    # outages
    "scada/outages/store.py": "SQLite",
    # dials
    "scada/dials/photos.py": "files of photos, and a lock",
    # firmware
    "scada/firmware/keeper.py": "the store, from a thread",
    "scada/firmware/orders.py": "logs what was done",
    "scada/firmware/runner.py": "the gateway's Deferreds",
    "scada/firmware/store.py": "SQLite",
    # Modbus
    "scada/drivers/modbus/poller.py": "the poll loop",
    "scada/drivers/modbus/simulator.py": "the simulated meter's socket",
    # historian
    "scada/historian/backlog.py": "a lock: marks come in the reactor's thread",
    "scada/historian/backup.py": "SQLite, and the manifest's place",
    "scada/historian/bands_stored.py": "SQLite",
    "scada/historian/changes.py": "SQLite",
    "scada/historian/commit_thread.py": "a thread",
    "scada/historian/compacting.py": "SQLite, and the lock of the folder",
    "scada/historian/delivery.py": "InfluxDB's door, and logs what it refuses",
    "scada/historian/copying.py": "SQLite's backup, and fsync",
    "scada/historian/database.py": "SQLite",
    "scada/historian/estimates.py": "SQLite",
    "scada/historian/event_feed.py": "Deferreds of who tells events, and a delayed copy",
    "scada/historian/event_rows.py": "SQLite, and the time a file begins",
    "scada/historian/events.py": "SQLite, in a thread",
    "scada/historian/export_intervals.py": "waits a moment for the state file of another process",
    "scada/historian/exporting.py": "fsync, and the export's place",
    "scada/historian/import_intervals.py": "knows SQLite's errors",
    "scada/historian/import_results.py": "SQLite",
    "scada/historian/increments.py": "a file's place, and chance",
    "scada/historian/influx.py": "InfluxDB over HTTP",
    "scada/historian/influx_history.py": "InfluxDB over HTTP",
    "scada/historian/instants.py": "SQLite",
    "scada/historian/journal.py": "segment files and fsync",
    "scada/historian/live.py": "the live log's ticker",
    "scada/historian/evidence.py": "fsync, and the place of a file",
    "scada/historian/live_cut.py": "SQLite",
    "scada/historian/livefiles.py": "SQLite",
    "scada/historian/merge_thread.py": "a thread",
    "scada/historian/months.py": "SQLite",
    "scada/historian/noted.py": "SQLite",
    "scada/historian/news.py": "SQLite",
    "scada/historian/following.py": "Deferreds of the thread that merges",
    "scada/historian/offline.py": "SQLite, and the lock of the folder",
    "scada/historian/packing.py": "a compressor for each thread",
    "scada/historian/slots_stored.py": "SQLite, from any thread",
    "scada/historian/stored.py": "SQLite, from any thread",
    "scada/historian/refusals.py": "knows the errors of the system and of SQLite",
    "scada/historian/replica.py": "wires the spool, its worker and its sender",
    "scada/historian/former.py": "SQLite",
    "scada/historian/holding.py": "a lock of the operating system",
    "scada/historian/removal.py": "times of files, and fsync",
    "scada/historian/retention.py": "waits between two looks, and the worker's Deferreds",
    "scada/historian/stamps.py": "times of files",
    "scada/historian/repairing.py": "SQLite, and the lock of the folder",
    "scada/historian/result_file.py": "SQLite, and the time a file begins",
    "scada/historian/results.py": "SQLite",
    "scada/historian/results_again.py": "SQLite",
    "scada/historian/segments_held.py": "descriptors of the journal, and a thread",
    "scada/historian/sender.py": "a thread",
    "scada/historian/spool.py": "SQLite",
    "scada/historian/letter_rows.py": "SQLite",
    "scada/historian/letters.py": "SQLite, of another process",
    "scada/historian/state.py": "SQLite",
    "scada/historian/store.py": "opens and closes the files, answers in Deferreds",
    "scada/historian/tap.py": "listens to the bus and writes in a worker",
    "scada/historian/worker.py": "a thread",
    # OPC UA
    "scada/opcua_server/attributes.py": "asyncua's attributes",
    "scada/opcua_server/calls.py": "the desk's Deferreds",
    "scada/opcua_server/certificates.py": "files of certificates",
    "scada/opcua_server/child.py": "the process and the link to it",
    "scada/opcua_server/doorman.py": "password checks off the loop",
    "scada/opcua_server/methods.py": "asyncua's methods",
    "scada/opcua_server/model.py": "asyncua's address space",
    "scada/opcua_server/nodes.py": "asyncua's nodes",
    "scada/opcua_server/notifications.py": "asyncua's subscriptions",
    "scada/opcua_server/process.py": "the OPC UA process",
    "scada/opcua_server/security.py": "asyncua's sessions and limits",
    "scada/opcua_server/subscriptions.py": "asyncua's subscriptions and their owners",
    "scada/opcua_server/values.py": "asyncua's values",
    # registry
    "scada/registry/audit.py": "SQL",
    "scada/registry/columns.py": "SQL",
    "scada/registry/database.py": "SQL",
    "scada/registry/dials.py": "SQL",
    "scada/registry/migrations/": "SQL",
    "scada/registry/models.py": "SQL",
    "scada/registry/passwords.py": "a lock around the tries of a name",
    "scada/registry/rows.py": "SQL",
    "scada/registry/schema.py": "SQL",
    "scada/registry/users.py": "SQL",
    # HMI
    "hmi/sheets.py": "makes responses",
    "hmi/app.py": "flask",
    "hmi/access.py": "flask: who may open a view",
    "hmi/api/": "flask: one file a resource",
    "hmi/pages/": "flask: one file a page",
    "hmi/bridge.py": "between a page's thread and the reactor",
    "hmi/errors.py": "flask: what a visitor sees",
    "hmi/formats.py": "flask: the visitor's language",
    "hmi/frame.py": "flask: what stands on every page",
    "hmi/hub.py": "the reactor's side of the live streams",
    "hmi/i18n.py": "flask: the visitor's language",
    "hmi/life.py": "flask: addresses of pages",
    "hmi/limiter.py": "a lock: pages run in threads",
    "hmi/notices.py": "flask: the visitor's session",
    "hmi/resources.py": "twisted's side of the web server",
    "hmi/security.py": "flask: session, role and form token",
    "hmi/services.py": "ports speak in Deferreds",
    "hmi/sessions.py": "a lock: pages run in threads",
    "hmi/stream.py": "a live stream is a producer of twisted's",
}


def modules() -> Iterator[str]:
    for package in ("scada", "hmi"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


def touched(module: str) -> set[str]:
    """What of the outside world a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in OUTSIDE for one in found if one == name or one.startswith(f"{name}.")}


def is_edge(module: str) -> bool:
    return Path(module).name in BY_NAME or any(module == edge or module.startswith(edge) for edge in EDGES)


@pytest.mark.parametrize("module", list(modules()))
def test_a_module_is_pure_unless_it_is_a_named_edge(module: str) -> None:
    """Whoever needs a thread, a socket or the reactor in a new file names the file here, or hands the thing in."""
    if is_edge(module):
        return

    assert not touched(module)


@pytest.mark.parametrize("edge", EDGES)
def test_a_named_edge_exists_and_does_touch_the_outside(edge: str) -> None:
    """The list does not go stale: what has become pure, or has gone, leaves it."""
    found = [module for module in modules() if module == edge or module.startswith(edge)]

    assert any(touched(module) for module in found)
