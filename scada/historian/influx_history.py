"""An InfluxDB as a history backend: what a replica has sent there is read back, over the client that has sent it.

It keeps pulses, live samples and results. A later value replaces an earlier one, and what has none leaves the earlier one
where it is; times of samples are milliseconds; registers are not sent there.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from influxdb_client.rest import ApiException
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError

from scada.errors import DataRejected, NotOffered, StorageError
from scada.historian.admission import unusable
from scada.historian.answers import Verdict, judge, reason_of
from scada.historian.influx import InfluxDoor, body_of, connect, plain_reason
from scada.historian.influxql import (
    CHANNELS_AT_ONCE,
    CHUNK_ROWS,
    SPAN_S,
    VALUE_AND_STATUS,
    Chunk,
    chunks,
    pulses_of,
    results_of,
    samples_of,
    table_of,
)
from scada.historian.lines import (
    INTERVAL_PRECISION,
    LIVE_PRECISION,
    channel_lines,
    escaped,
    live_lines,
    result_line,
    series_name,
)
from scada.intervals import HOURLY, MISSING, IntervalBatch, IntervalBlock, IntervalSeries
from scada.ports import Offers, ResultTable, TagHistory
from scada.settings import InfluxSettings

MS: Final = 1_000_000                               # ns
LINES_AT_ONCE: Final = 10_000                       # in one body
OFFERS: Final = Offers(registers=False, results=True, merges=False, resolution=MS, pulses_most=2**53)


class InfluxHistory:
    """Implements `ports.Historian` over one configured destination."""

    offers = OFFERS

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._where = f"{settings.name} ({settings.url})"
        self._door = InfluxDoor(settings)
        self._client: Any = None

    # ------------------------------------------------------------------ writing
    def write(self, blocks: Sequence[IntervalBlock]) -> None:
        for block in blocks:
            reason = unusable(IntervalBatch.of(block))
            if not reason and block.counts.size and int(block.counts.max()) > OFFERS.pulses_most:
                reason = f"more than {OFFERS.pulses_most} pulses in an interval, which a float cannot tell apart"
            if reason:
                raise DataRejected(self._where, reason)
        for block in blocks:
            numbers = block.first + np.arange(block.counts.shape[1], dtype=np.int64)
            self._send(channel_lines(
                block.eui, block.channel, numbers, block.interval_s, block.counts, block.status,
            ), INTERVAL_PRECISION)

    def write_tag(self, tag: str, samples: TagHistory) -> None:
        name, columns = (escaped(tag),), (samples.at.tolist(), samples.values, samples.quality)
        lines = [live_lines(name, value, bits, at) for at, value, bits in zip(
            columns[0], columns[1].reshape(-1, 1), columns[2].reshape(-1, 1), strict=True,
        )]
        self._send(lines, LIVE_PRECISION)

    def write_results(self, kind: str, name: str, span_s: int, table: ResultTable) -> None:
        rows = zip(table.start.tolist(), *(values.tolist() for values in table.columns.values()), strict=True)
        columns = tuple(table.columns)
        self._send([result_line(kind, span_s, name, start, columns, row) for start, *row in rows], INTERVAL_PRECISION)

    # ------------------------------------------------------------------ reading
    def intervals(
        self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], first: int, count: int, interval_s: int = HOURLY
    ) -> IntervalSeries:
        counts, status = np.full((len(eui), count), MISSING, np.int64), np.zeros((len(eui), count), np.uint8)
        span = SPAN_S // interval_s
        for begin in range(0, len(eui), CHANNELS_AT_ONCE):
            some = list(zip(eui[begin:begin + CHANNELS_AT_ONCE].tolist(), channel[begin:begin + CHANNELS_AT_ONCE].tolist(),
                            strict=True))
            lines = dict[str, list[int]]()
            for place, one in enumerate(some):
                lines.setdefault(series_name(*one), []).append(begin + place)
            for start in range(first, first + count, span):
                end = min(start + span, first + count)
                question = pulses_of(dict.fromkeys(some), interval_s, start * interval_s, end * interval_s)
                for chunk in self._ask(question, INTERVAL_PRECISION):
                    self._enter(chunk, lines, counts, status, first, interval_s)
        return IntervalSeries(first, interval_s, counts, status)

    def registers(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], hour: int) -> NDArray[np.int64]:
        raise NotOffered(self._where, "registers")

    def tag(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        start, end = -(-first // MS), -(-last // MS)
        rows: list[tuple[int, float | None, float | None]] = []
        if start < end and limit > 0:
            for chunk in self._ask(samples_of(tag, start, end, limit), LIVE_PRECISION):
                rows += chunk.rows
        at = np.array([row[0] for row in reversed(rows)], dtype=np.int64) * MS
        values = np.array([np.nan if row[1] is None else row[1] for row in reversed(rows)], dtype=np.float64)
        return TagHistory(at, values, np.array([int(row[2] or 0) for row in reversed(rows)], dtype=np.uint8))

    def results(self, kind: str, name: str, span_s: int, first: int, last: int) -> ResultTable:
        if first >= last:
            return table_of(())
        return table_of(self._ask(results_of(kind, span_s, name, first, last), INTERVAL_PRECISION, None))

    def close(self) -> None:
        self._door.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    # ------------------------------------------------------------------ private
    def _enter(
        self, chunk: Chunk, lines: dict[str, list[int]], counts: NDArray[np.int64], status: NDArray[np.uint8], first: int,
        interval_s: int,
    ) -> None:
        """Rows of a chunk to their places; what lies between the intervals was not written by us."""
        places = lines.get(chunk.tags.get("m", ""), [])
        for time, value, bits in chunk.rows:
            number, rest = divmod(time, interval_s)
            if rest or not 0 <= number - first < counts.shape[1]:
                continue
            if value is not None:
                if not (0 <= value <= OFFERS.pulses_most and value == int(value)):
                    raise StorageError(f"{self._where} has {value!r} where pulses are expected, of {chunk.tags.get('m')}")
                counts[places, number - first] = int(value)
            status[places, number - first] = int(bits or 0)

    def _send(self, lines: Sequence[str], precision: str) -> None:
        for begin in range(0, len(lines), LINES_AT_ONCE):
            body = "".join(lines[begin:begin + LINES_AT_ONCE]).encode()
            if not body:
                continue
            answer = self._door.write(body, precision)
            if answer.verdict in (Verdict.PARTLY, Verdict.UNUSABLE):
                raise DataRejected(self._where, answer.text)
            if answer.verdict is not Verdict.STORED:
                raise StorageError(answer.text)

    def _ask(
        self, question: str, precision: str, columns: Sequence[str] | None = VALUE_AND_STATUS
    ) -> Iterator[Chunk]:
        settings = self._settings
        query = [
            ("db", settings.database), ("q", question), ("epoch", precision), ("chunked", "true"),
            ("chunk_size", str(CHUNK_ROWS)),
        ]
        try:
            if self._client is None:
                self._client = connect(settings)
            answer = self._client.api_client.call_api(
                "/query", "GET", query_params=query, _preload_content=False, _return_http_data_only=True,
            )
            try:
                yield from chunks(answer, self._where, columns)
            finally:
                answer.close()                      # whoever stops in the middle leaves nothing on the line
        except ApiException as error:
            raise StorageError(self._refusal(int(error.status or 0), error)) from None
        except HTTPError as error:
            raise StorageError(f"{settings.url} does not answer: {plain_reason(error)}") from None
        except OSError as error:
            raise StorageError(str(error)) from None

    def _refusal(self, status: int, error: ApiException) -> str:
        said = body_of(error)
        if status == 400:
            return f"{self._where} refuses a query: {reason_of(said)[:200]}"
        return judge(status, said, dict(error.headers or {}), self._settings).text
