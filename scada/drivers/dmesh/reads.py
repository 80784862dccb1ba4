"""Reading on demand over one link: the order, and what its results say about whom."""

from scada.clock import NS
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.messages import ReadNow, ReadResult, Result
from scada.drivers.dmesh.modules import ModuleBook, Modules
from scada.drivers.dmesh.numbers import Capability, code_name
from scada.errors import DataRejected, LinkError
from scada.reads import ChannelReading, ReadAnswer, ReadOrder, ReadReport

WHOLE_MODULE = 255                      # channel of a reading that speaks of its module
CANNOT = "NOT_SUPPORTED"                # no code of the wire: this concentrator did not offer to read


class ReadSender:
    """Idempotent by the read id: asking again is safe, and is how a broken link is mended."""

    def __init__(self, link: Link, book: ModuleBook) -> None:
        self._link, self._book = link, book

    async def send(self, order: ReadOrder) -> ReadAnswer:
        """Ask the concentrator for the modules whose index is still theirs; the others end without a register."""
        if not self._link.hello.capabilities & Capability.READ_NOW:
            return ReadAnswer(CANNOT)
        try:
            modules = await self._book.of(0)
            euis = modules.euis if modules is not None else ()
            indices = [index for index, eui in order.members if len(euis) and int(euis[index]) == eui]
            if not indices:
                return ReadAnswer("UNKNOWN")
            answer = await self._link.ask(ReadNow(order.read_id, sets.bitmap(indices), order.deadline), Result)
        except DataRejected as error:
            raise LinkError(self._link.name, error.reason) from None
        return ReadAnswer(code_name(answer.code), answer.retry_after)


def report_of(result: ReadResult, link_id: int, modules: Modules | None) -> ReadReport:
    """A part of the results by EUI; what is said of an index that nobody owns (any more) is said of nobody."""
    readings = []
    for one in result.readings:
        eui = int(modules.euis[one.index]) if modules is not None else 0
        channel = -1 if one.channel == WHOLE_MODULE else one.channel
        if eui:
            readings.append((eui, ChannelReading(
                channel, code_name(one.code), one.register, one.time * NS, one.time_good, one.status,
            )))
    return ReadReport(result.read_id, link_id, result.part, result.final, tuple(readings))
