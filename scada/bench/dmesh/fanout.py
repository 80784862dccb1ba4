"""How long a group command takes from the desk to the last of a city's concentrators, and until every state is safe."""

import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from scada.bench import Figure
from scada.bench.children import expect, json_of, process
from scada.bench.dmesh.city import City
from scada.bench.dmesh.sessions import room_for
from scada.bench.site import free_ports
from scada.commands import MemberState
from scada.dr_dispatch.journal import Journal
from scada.errors import ScadaError

CITY: Final = City(concentrators=14_000, modules=240)
REVIEW_S: Final = 3.0                   # a person reads what would happen before saying yes


def measure(city: City = CITY) -> list[Figure]:
    """Everybody is up; a group of every module is selected, executed, and reported on by all concentrators at once."""
    said = run(city)
    members = city.concentrators * city.modules
    what = f"{city.concentrators:,} concentrators, {members:,} modules"
    return [
        Figure("fanout_s", f"{what}: desk to last frame written, every state durable before it", said["written_s"], "s"),
        Figure("fanout_cpu_s", f"{what}: processor time of the loop's thread for it", said["loop_cpu_s"], "s"),
        Figure("fanout_heard_s", f"{what}: desk to last frame at its concentrator", said["last"] - said["began"], "s"),
        Figure("fanout_final_s", f"{what}: desk to every final state durable", said["final_s"], "s"),
        Figure("fanout_select_s", f"{what}: first selection, in a thread", said["select_s"], "s"),
        Figure("fanout_select_again_s", f"{what}: the next, the registry unchanged", said["select_again_s"], "s"),
        *(
            Figure(f"fanout_turn_{name}", f"longest turn of the loop while {name} (processor time)", part, "ms")
            for name in ("selecting", "sending", "collecting") for part in [said[name]["longest_cpu_ms"]]
        ),
        *(
            Figure(f"fanout_turn_{name}_wall", f"the same by the clock on the wall, {said[name]['long']} over 20 ms",
                   said[name]["longest_ms"], "ms")
            for name in ("selecting", "sending", "collecting")
        ),
        Figure("fanout_memory", "resident memory of the process before the command", said["before_mb"], "MB"),
        Figure("fanout_memory_after", "and after it", said["after_mb"], "MB"),
        Figure("fanout_journal", "size of the journal", said["journal_mb"], "MB"),
    ]


def run(city: City) -> dict[str, Any]:
    """One measurement; the journal is read back, and each module must be in one final state."""
    room_for(city)
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        folder, (port,) = Path(name), free_ports(1)
        server = process("dmesh.commanding", str(folder), str(port), city.word())
        field = None
        try:
            expect(server, "ready")
            listed = City(concentrators=city.concentrators, modules=0)
            field = process("dmesh.obeying", str(port), listed.word())
            expect(field, "up")
            server.send_signal(signal.SIGUSR1)
            expect(server, "selected")
            expect(field, "prepared")
            time.sleep(REVIEW_S)
            server.send_signal(signal.SIGUSR2)
            heard = json_of(field)
            told = json_of(server)
            server.terminate()
            server.wait(60)
        finally:
            server.kill()
            if field is not None:
                field.kill()
        _compare(folder / "commands.sqlite", city, told["command"])
        size = sum(one.stat().st_size for one in folder.glob("commands.sqlite*")) / 1e6
    return {**heard, **told, "journal_mb": size}


def _compare(path: Path, city: City, command_id: str) -> None:
    """What is on disk: one module of each concentrator refused, one did not answer, all others executed."""
    journal = Journal(path)
    journal.open()
    (command,) = (one for one in journal.load(0, 1) if one.id.hex() == command_id)
    journal.close()
    found = {MemberState(state): count for state, count in enumerate(command.members.counts.tolist()) if count}
    each = {MemberState.REFUSED: 1, MemberState.NO_ANSWER: 1, MemberState.EXECUTED: city.modules - 2}
    if found != {state: count * city.concentrators for state, count in each.items()}:
        raise ScadaError(f"the states on disk are {found}")
