"""A TCP transport that sends at once: an answer of a few bytes waits for nothing, and costs one system call and not three.

Twisted hands what is written to the loop, which has the kernel watch the socket, writes in the next turn and has it
unwatched again. With thousands of links that each get a short answer this is most of what the answer costs.
"""

from typing import Any, Final

from twisted.internet import tcp

PIECE_B: Final = 16_384                 # read at once: what a turn cannot divide any more


class PromptServer(tcp.Server):
    """What its socket does not take at once goes the usual way, and everything behind that too: the order stays."""

    bufferSize = PIECE_B                                    # noqa: N815  Twisted's name
    _watched = False                                        # something waits for the socket

    def startWriting(self) -> None:
        self._watched = True
        super().startWriting()

    def stopWriting(self) -> None:
        self._watched = False
        super().stopWriting()

    def write(self, data: bytes) -> None:
        if data and self.connected and not self._watched and not self.disconnecting:
            sent: Any = self.writeSomeData(data)
            if isinstance(sent, int):                       # else the connection is lost: the usual way finds that out
                data = data[sent:]
            if not data:
                return
        super().write(data)


def made_prompt(port: Any) -> Any:
    """The same listening port, whose connections send at once where it is one of the operating system's."""
    if isinstance(port, tcp.Port):
        port.transport = PromptServer
    return port
