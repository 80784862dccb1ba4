"""The main process in small: a bus, a desk and users around a real `OpcuaService`, driven by JSON lines.

Started as a process of its own, so that the reactor stays out of pytest: `python -m tests.opcua_server.host CONFIG`,
CONFIG being a JSON file. Each line in is a command {"do": …}, each line out its answer.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from argon2 import PasswordHasher  # noqa: E402
from twisted.internet import reactor, stdio  # noqa: E402
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed  # noqa: E402
from twisted.logger import globalLogBeginner, textFileLogObserver  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402
from twisted.python.threadpool import ThreadPool  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import SiteClock  # noqa: E402
from scada.commands import (  # noqa: E402
    Action,
    Actor,
    CommandState,
    CommandStatus,
    LoadClass,
    Member,
    MemberResult,
    MemberState,
    Role,
    Selection,
    ShedRequest,
)
from scada.errors import CommandRejected  # noqa: E402
from scada.opcua_server import service  # noqa: E402
from scada.opcua_server.service import OpcuaService  # noqa: E402
from scada.ports import Account  # noqa: E402
from scada.settings import OpcuaSettings  # noqa: E402
from scada.tags import Batch, Device, TagDef  # noqa: E402


class FakeUsers:
    """Accounts with cheap hashes: the cost of argon2 is not what these tests are about."""

    def __init__(self, accounts: dict[str, list[Any]]) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        self.set(accounts)

    def set(self, accounts: dict[str, list[Any]]) -> None:
        self._hashes = {name: self._hasher.hash(one[0]) for name, one in accounts.items()}
        self._accounts = {name: Account(name, Role(one[1]), tuple(one[2:])) for name, one in accounts.items()}

    def credentials(self) -> tuple[tuple[str, str, Role, tuple[str, ...]], ...]:
        return tuple((one.name, self._hashes[one.name], one.role, one.areas) for one in self._accounts.values())

    def account(self, name: str) -> Account | None:
        return self._accounts.get(name)


class FakeDesk:
    """Refuses like the real one: by role, by area and by group; what it runs, it remembers."""

    monitor_only = False

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.statuses: dict[str, CommandStatus] = {}
        self.executed: list[str] = []
        self.requests: dict[str, ShedRequest] = {}

    def select(self, actor: Actor, request: ShedRequest) -> "Deferred[Selection]":
        self.asked.append({
            "actor": actor.name, "role": actor.role.value, "areas": list(actor.areas), "origin": actor.origin.value,
            "group": request.group, "off_for_s": request.off_for_s, "reason": request.reason,
        })
        reasons = []
        if actor.role not in {Role.DISPATCHER, Role.ADMINISTRATOR}:
            reasons.append("a viewer may not shed")
        if request.group != "LG-1":
            reasons.append(f"no load group {request.group}")
        if not actor.covers("north"):
            reasons.append("LG-1 is in the area north, which is not yours")
        if reasons:
            return fail(CommandRejected(reasons))
        self.requests[f"S{len(self.asked)}"] = request
        members = tuple(
            Member(eui, f"C01-00{eui}", "C01", 1, eui, "", LoadClass.GREEN, 1000.0, "module lost" if eui == 3 else "")
            for eui in range(4)
        )
        return succeed(Selection(
            f"S{len(self.asked)}", "", actor.name, request, "north", 1, members, 3000.0, ("one load is off already",),
            0, 0, False,
        ))

    def execute(self, actor: Actor, selection_id: str) -> "Deferred[CommandStatus]":
        request = self.requests.get(selection_id)
        if request is None:
            return fail(CommandRejected(["no such selection; it may have expired: select again"]))
        states = (MemberState.EXECUTED, MemberState.EXECUTED, MemberState.REFUSED, MemberState.NO_ANSWER)
        members = tuple(
            MemberResult(Member(eui, f"C01-00{eui}", "C01", 1, eui, "", LoadClass.GREEN, 1000.0), state, "", 0)
            for eui, state in enumerate(states)
        )
        status = CommandStatus(
            f"{len(self.statuses):032x}", Action.SHED, request.group, actor.name, actor.origin, CommandState.SENDING,
            request.off_for_s, 0, 0, 0, False, request.reason, members,
        )
        self.statuses[status.id] = status
        self.executed.append(selection_id)
        return succeed(status)

    def restore(self, actor: Actor, command_id: str) -> "Deferred[CommandStatus]":
        return succeed(self.statuses[command_id])

    def command(self, command_id: str) -> CommandStatus | None:
        return self.statuses.get(command_id)


class FakeAudit:
    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        self.rows.append([actor.name, action, target, detail])
        return succeed(None)


class Host(LineOnlyReceiver):
    """Reads commands, writes answers."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 24

    def __init__(self, config: dict[str, Any]) -> None:
        self.clock = SiteClock()
        self.bus = TagBus(self.clock, reactor)
        self.users, self.desk, self.audit = FakeUsers(config["users"]), FakeDesk(), FakeAudit()
        self.pool = ThreadPool(0, 2)
        self.pool.start()
        self.service = OpcuaService(
            OpcuaSettings(**config["opcua"]), config["site"], Path(config["data_dir"]), self.clock, reactor, self.bus,
            None, self.desk, self.users, self.audit, self.pool,       # type: ignore[arg-type]
        )
        for device in config["devices"]:
            self.device(device)

    def lineReceived(self, line: bytes) -> None:
        command = json.loads(line)
        name = command.pop("do")
        handler: Callable[..., Any] = getattr(self, name)
        maybeDeferred(handler, **command).addCallbacks(
            lambda result: self.answer({"ok": result}), lambda failure: self.answer({"error": failure.getErrorMessage()})
        )

    def connectionLost(self, reason: Any = None) -> None:
        self.end()

    def answer(self, value: Any) -> None:
        self.sendLine(json.dumps(value).encode())

    # ------------------------------------------------------------------ commands
    def start(self) -> Any:
        return self.service.start()

    def device(self, device: dict[str, Any]) -> None:
        tags = tuple(TagDef(**tag) for tag in device["tags"])
        self.bus.add_device(Device(device["name"], tags, tuple(device.get("path", ())), device.get("title", "")))

    def publish(self, device: str, values: list[float | None], quality: list[int] | None = None, at: int = 0) -> None:
        array = np.array([float("nan") if value is None else value for value in values])
        good = np.zeros(len(values)) if quality is None else np.array(quality)
        now = self.clock.now()
        self.bus.publish(Batch(device, array, good.astype(np.uint8), at or now, now))

    def disconnected(self, device: str) -> None:
        self.bus.disconnected(device)

    def sweep(self) -> int:
        return self.bus.sweep()

    def flood(self, device: str, times: int) -> None:
        """Many batches, one a loop turn: what a driver that never rests would do."""
        size = len(self.bus.devices()[device].tags)

        def one(left: int) -> None:
            self.publish(device, [float(left)] * size)
            if left:
                reactor.callLater(0, one, left - 1)

        one(times)

    def set_users(self, users: dict[str, list[Any]]) -> Any:
        self.users.set(users)
        return Deferred.fromCoroutine(self.service._refresh_users())

    def health(self) -> Any:
        (one,) = self.service.health()
        return {"ok": one.ok, "text": one.text, "figures": dict(one.figures)}

    def pid(self) -> int | None:
        return self.service.pid

    def audited(self) -> list[list[Any]]:
        return self.audit.rows

    def executed(self) -> list[str]:
        return self.desk.executed

    def asked(self) -> list[dict[str, Any]]:
        return self.desk.asked

    def stop(self) -> Any:
        return self.service.stop()

    def end(self) -> None:
        def really(_: Any) -> None:
            self.pool.stop()
            if reactor.running:
                reactor.stop()

        maybeDeferred(self.service.stop).addBoth(really)


def main() -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    config = json.loads(Path(sys.argv[1]).read_text())
    service.SILENT_S = config["silent_s"]                  # type: ignore[misc]  # a test cannot wait half a minute
    reactor.callWhenRunning(lambda: stdio.StandardIO(Host(config)))
    reactor.run()


if __name__ == "__main__":
    main()
