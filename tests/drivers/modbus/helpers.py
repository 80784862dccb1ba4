"""A sink that remembers and an event loop that looks like a reactor."""

import asyncio
from collections.abc import Callable
from typing import Any

from scada.tags import Batch, Device


class Recorder:
    """Implements `TagSink`; `until` waits for something to have happened."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.batches: list[Batch] = []
        self.lost: list[str] = []
        self._news: list[asyncio.Future[None]] = []

    def add_device(self, device: Device) -> None:
        self.devices[device.name] = device

    def publish(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._wake()

    def disconnected(self, device: str) -> None:
        self.lost.append(device)
        self._wake()

    async def until(self, happened: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not happened():
                news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._news.append(news)
                await news

    def value(self, point: str, device: str = "T01-meter") -> tuple[float, int]:
        """Value and quality of a point in the newest batch."""
        place = self.devices[device].points.index(point)
        batch = next(batch for batch in reversed(self.batches) if batch.device == device)
        return float(batch.values[place]), int(batch.quality[place])

    def _wake(self) -> None:
        news, self._news = self._news, []
        for one in news:
            if not one.done():
                one.set_result(None)


class LoopTimers:
    """The running asyncio loop with a reactor's face."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def seconds(self) -> float:
        return self._loop.time()

    def callLater(self, delay: float, function: Callable[[], Any]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay, function)
