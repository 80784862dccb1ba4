"""Reading a real InfluxDB 1.6 that cannot or will not answer: a sentence, never half an answer and never a secret."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.errors import DataRejected, StorageError
from scada.historian import influx_history
from scada.historian.influx_history import InfluxHistory
from scada.intervals import MISSING
from scada.ports import TagHistory
from scada.settings import InfluxSettings
from tests.historian.helpers import FIRST_HOUR, block
from tests.influx import Influx
from tests.ports import free_port

EUI = np.array([0x00124B0000000001], np.uint64)
CHANNEL = np.zeros(1, np.uint8)


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    server = Influx(tmp_path_factory.mktemp("influx"))
    server.start()
    server.query("CREATE DATABASE scada")
    yield server
    server.kill()


def read(history: InfluxHistory, hours: int = 2) -> list[list[int]]:
    counts: list[list[int]] = history.intervals(EUI, CHANNEL, FIRST_HOUR, hours).counts.tolist()
    return counts


def test_a_missing_database_is_an_error_though_its_status_is_200(influx: Influx) -> None:
    """And no sign of missing hours."""
    history = InfluxHistory(InfluxSettings(url=influx.url, database="elsewhere"))
    with pytest.raises(StorageError, match=r"influx \(http.*\) refuses a query: database not found: elsewhere"):
        read(history)
    with pytest.raises(StorageError, match="has no database 'elsewhere'"):
        history.write([block([[1]])])


def test_a_server_that_is_away_is_an_error_and_answers_when_it_is_back(tmp_path: Path) -> None:
    """The same backend goes on."""
    server = Influx(tmp_path / "influx")
    history = InfluxHistory(InfluxSettings(url=server.url))
    with pytest.raises(StorageError, match="does not answer"):
        read(history)
    server.start()
    server.query("CREATE DATABASE scada")
    history.write([block([[1, 2]])])
    found = read(history)
    server.kill()
    with pytest.raises(StorageError, match="does not answer"):
        history.write([block([[1, 2]])])

    assert found == [[1, 2]]


def test_a_wrong_password_is_said_without_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the right one it is read; by a user who may only write, it is not, and that is said."""
    server = Influx(tmp_path / "influx", auth=True)
    server.start()
    server.query("CREATE USER root WITH PASSWORD 'r00t' WITH ALL PRIVILEGES")
    server.query("CREATE DATABASE scada", user="root", password="r00t")
    settings = InfluxSettings(url=server.url, user="root", secret_env="SCADA_TEST_INFLUX")
    monkeypatch.setenv("SCADA_TEST_INFLUX", "wrong-secret")
    with pytest.raises(StorageError, match=r"refuses user or secret \(401\)") as refused:
        read(InfluxHistory(settings))
    monkeypatch.setenv("SCADA_TEST_INFLUX", "r00t")
    history = InfluxHistory(settings)
    history.write([block([[3, 4]])])
    found = read(history)
    login = {"user": "root", "password": "r00t"}
    server.query("CREATE USER writer WITH PASSWORD 'r00t'", **login)
    server.query("GRANT WRITE ON scada TO writer", **login)
    writer = InfluxHistory(InfluxSettings(url=server.url, user="writer", secret_env="SCADA_TEST_INFLUX"))
    writer.write([block([[5]])])
    with pytest.raises(StorageError, match="not authorized"):
        read(writer)
    server.kill()

    assert "wrong-secret" not in str(refused.value)
    assert found == [[3, 4]]


def test_a_missing_secret_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("SCADA_TEST_NOT_SET", raising=False)
    settings = InfluxSettings(url=f"http://127.0.0.1:{free_port()}", user="a", secret_env="SCADA_TEST_NOT_SET")
    with pytest.raises(StorageError, match="SCADA_TEST_NOT_SET is not set"):
        read(InfluxHistory(settings))


def test_an_answer_of_many_chunks_is_read_to_its_end(influx: Influx, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three rows."""
    monkeypatch.setattr(influx_history, "CHUNK_ROWS", 3)
    history = InfluxHistory(InfluxSettings(url=influx.url))
    history.write([block([list(range(100))], eui=[77])])
    history.write_tag("chunks/tag", TagHistory(
        np.arange(1, 101) * 1_000_000_000, np.arange(100.0), np.zeros(100, np.uint8)
    ))

    assert history.intervals(np.array([77], np.uint64), CHANNEL, FIRST_HOUR, 100).counts.tolist() == [list(range(100))]
    assert history.tag("chunks/tag", 0, 10**12).values.tolist() == [float(n) for n in range(100)]


def test_what_somebody_else_wrote_there_is_not_taken_for_pulses(influx: Influx) -> None:
    """Between two hours: passed over. A fraction of a pulse: said."""
    history = InfluxHistory(InfluxSettings(url=influx.url))
    history.write([block([[5]], eui=[88])])
    door, start = history._door, FIRST_HOUR * 3600
    door.write(f"mh,m=0000000000000058/0 v=9 {start + 60}\n".encode(), "s")
    euis = np.array([88], np.uint64)
    between = history.intervals(euis, CHANNEL, FIRST_HOUR, 2).counts.tolist()
    door.write(f"mh,m=0000000000000058/0 v=1.5 {start + 3600}\n".encode(), "s")

    assert between == [[5, MISSING]]
    with pytest.raises(StorageError, match=r"has 1\.5 where pulses are expected, of 0000000000000058/0"):
        history.intervals(euis, CHANNEL, FIRST_HOUR, 2)


def test_more_pulses_than_a_float_tells_apart_are_refused(influx: Influx) -> None:
    """Rather than changed."""
    history = InfluxHistory(InfluxSettings(url=influx.url))
    with pytest.raises(DataRejected, match="a float cannot tell apart"):
        history.write([block([[2**53 + 1]], eui=[99])])

    assert history.intervals(np.array([99], np.uint64), CHANNEL, FIRST_HOUR, 1).counts.tolist() == [[MISSING]]


def test_an_answer_that_is_cut_off_between_two_chunks_is_an_error() -> None:
    """What came until then looks whole: the connection's end alone tells."""
    said = b'{"results":[{"series":[{"columns":["time","v","q"],"values":[[1,2.0,null]]}]}]}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(head + b"%x\r\n%s\r\n" % (len(said), said))

        thread = threading.Thread(target=cut)
        thread.start()
        history = InfluxHistory(InfluxSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(StorageError, match="does not answer"):
            history.tag("T01/power", 0, 10**12)
        thread.join()
        history.close()
