"""libmodbus as a peer: a meter and a reader by an implementation that shares nothing with ours, called through ctypes.

It carries registers as the golden table has them. Its own float functions are left alone: `modbus_set_float_abcd` of 3.1.6,
which Debian 12 has, swaps the bytes inside each register, against its name.
"""

import contextlib
import ctypes
import gc
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.ports import free_port

REGISTERS: Final = 0x200
LONGEST_REQUEST: Final = 260            # MODBUS_TCP_MAX_ADU_LENGTH


class Image(ctypes.Structure):
    """modbus_mapping_t."""

    _fields_ = (
        *((name, ctypes.c_int) for name in (
            "nb_bits", "start_bits", "nb_input_bits", "start_input_bits", "nb_input_registers", "start_input_registers",
            "nb_registers", "start_registers",
        )),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)), ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)), ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )


def library() -> Any:
    """The installed library; without it the test fails and says what to run.

    It waits with select(), which ends the whole process where a descriptor is 1024 or more: what other tests left in
    circles is let go first.
    """
    gc.collect()
    with socket.socket() as probe:
        assert probe.fileno() < 1000, f"{len(os.listdir('/proc/self/fd'))} files are open in this process"
    try:
        found = ctypes.CDLL("libmodbus.so.5", use_errno=True)
    except OSError:
        raise AssertionError("libmodbus is not installed; run: scripts/debian-packages.sh") from None
    found.modbus_new_tcp.restype = ctypes.c_void_p
    found.modbus_mapping_new.restype = ctypes.POINTER(Image)
    return found


class Meter:
    """A Modbus TCP server with these words from these input registers on; one connection at a time, as small gateways."""

    def __init__(self, words: Mapping[int, Sequence[int]]) -> None:
        self._lib = library()
        self.port = free_port()
        self._context = ctypes.c_void_p(self._lib.modbus_new_tcp(b"127.0.0.1", self.port))
        self._map = self._lib.modbus_mapping_new(0, 0, 0, REGISTERS)
        for address, some in words.items():
            for place, word in enumerate(some, address):
                self._map.contents.tab_input_registers[place] = word
        self._listening = self._lib.modbus_tcp_listen(self._context, 1)
        assert self._listening >= 0
        self.requests = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="libmodbus")
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()       # ends the waiting for one
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._lib.modbus_mapping_free(self._map)
        socket.socket(fileno=self._listening).close()
        self._lib.modbus_free(self._context)

    def _serve(self) -> None:
        request = (ctypes.c_uint8 * LONGEST_REQUEST)()
        listening = ctypes.c_int(self._listening)
        while not self._stopping:
            if self._lib.modbus_tcp_accept(self._context, ctypes.byref(listening)) < 0:
                return
            while (length := self._lib.modbus_receive(self._context, request)) >= 0:
                self.requests += 1
                self._lib.modbus_reply(self._context, request, length, self._map)
            self._lib.modbus_close(self._context)


def read_pairs(port: int, addresses: Sequence[int], unit: int = 1) -> list[tuple[int, int]]:
    """Ask a Modbus TCP server for two input registers at each address, one request each."""
    lib = library()
    context = ctypes.c_void_p(lib.modbus_new_tcp(b"127.0.0.1", port))
    words = (ctypes.c_uint16 * 2)()
    found: list[tuple[int, int]] = []
    try:
        assert lib.modbus_set_slave(context, unit) == 0
        assert lib.modbus_connect(context) == 0
        for address in addresses:
            assert lib.modbus_read_input_registers(context, address, 2, words) == 2
            found.append((words[0], words[1]))
    finally:
        lib.modbus_close(context)
        lib.modbus_free(context)
    return found
