"""`scada run`: starts the server and stays until it is told to stop."""

import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

import click

from scada.clock import SiteClock, TimeMap
from scada.errors import ConfigError, Problem, ScadaError
from scada.lock import private_files
from scada.settings import Settings, load

STOP_LIMIT_S: Final = 20.0             # longer than any part may take; then the process ends the hard way


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--log", "log_file", type=click.Path(path_type=Path), help="Log into this file (rotated) instead of stderr.")
@click.option("--watch-loop", is_flag=True, help="Name at the end what held the main loop for more than 20 ms.")
def run(config: Path, log_file: Path | None, watch_loop: bool) -> None:
    """Start the server with the configuration file CONFIG; Ctrl-C stops it cleanly."""
    signal.signal(signal.SIGINT, aborted)
    private_files()
    settings = load(config)
    clock = make_clock(config, settings)

    from scada.collector import paused

    with paused():
        from scada import loop

        selector = loop.install()      # before anything imports the reactor
        from twisted.internet import reactor as installed

        from scada import logs
        from scada.app import Server

    reactor: Any = installed
    logs.begin(log_file)

    watch = loop.LoopWatch(selector) if watch_loop else None
    outcome = Outcome()
    server = Server(settings, clock, reactor, selector)
    reactor.callWhenRunning(lambda: outcome.follow(server, reactor))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: outcome.stop(server))
    if watch:
        watch.start()
    signal.signal(signal.SIGINT, signal.default_int_handler)   # which the reactor takes the place of
    reactor.run()                      # with its handler of SIGCHLD: the OPC UA process is reaped through it
    if watch:
        watch.stop()
        for place, samples in watch.blockers.most_common(12):
            click.echo(f"held the loop: {samples} x {place}", err=True)
    if outcome.error is not None:
        click.echo(f"error: {outcome.error}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit(): a thread of a library that hangs in a socket must not keep the process alive after a clean stop.
    os._exit(1 if outcome.error is not None else 0)


def aborted(number: int, frame: Any) -> None:
    """End while nothing is open yet: a KeyboardInterrupt can be lost in a callback of the import system."""
    sys.stderr.write("\nAborted!\n")
    sys.stderr.flush()
    os._exit(1)


class Outcome:
    """What the run comes to: started, failed to start, told to stop."""

    def __init__(self) -> None:
        self.error: BaseException | str | None = None
        self._stopping = False

    def follow(self, server: Any, reactor: Any) -> None:
        """Start; from now on SIGINT and SIGTERM are ours, so that a second Ctrl-C does not disturb the stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(self.told_to_stop, reactor))

        def failed(failure: Any) -> None:
            if self._stopping:
                return
            error = failure.value
            self.error = error if isinstance(error, ScadaError) else failure.getTraceback()
            self.told_to_stop(reactor)

        server.start().addErrback(failed)

    def told_to_stop(self, reactor: Any) -> None:
        if not self._stopping:
            self._stopping = True
            reactor.stop()

    def stop(self, server: Any) -> Any:
        """Stop every part; a watchdog ends the process if one of them never comes back."""
        self._stopping = True
        watchdog = threading.Timer(STOP_LIMIT_S, hard_exit, [server])
        watchdog.daemon = True
        watchdog.start()
        return server.stop()


def hard_exit(server: Any) -> None:
    """The last resort: what was acknowledged is on disk, so ending here loses nothing."""
    sys.stderr.write(f"scada: {server.stopping} did not stop within {STOP_LIMIT_S:.0f} s; ending now. All threads:\n")
    faulthandler.dump_traceback(all_threads=True)
    sys.stderr.flush()
    os._exit(70)


def make_clock(config: Path, settings: Settings) -> SiteClock:
    """Real time, or the map of a demo; trusted when the kernel or an administrator says so."""
    from scada.ntp import synchronised

    time_map = None
    if settings.clock.map_file is not None:
        try:
            time_map = TimeMap.load(settings.clock.map_file)
        except (OSError, ValueError, TypeError) as error:
            found = (
                f"{settings.clock.map_file} cannot be used: {error}; expected a site time map, which "
                "`scada simulate --clock` makes at its first start"
            )
            raise ConfigError([Problem(str(config), "clock.map_file", found)]) from None
    return SiteClock(time_map, trusted=(lambda: True) if settings.clock.trust == "assumed" else synchronised)
