"""Starting and stopping: clear sentences when it cannot start, and a clean end whatever is going on."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from urllib.request import urlopen

import psutil
import pytest

from tests.nursery import Process

from .harness import Site, run_apart, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.mark.parametrize("part", ["hmi", "dmesh"])
def test_a_port_in_use_is_one_clear_sentence(make_site: Callable[..., Site], part: str) -> None:
    """No traceback; the sentence names the part and the port; exit status 1."""
    site = make_site()
    site.prepare()
    port = {"hmi": site.hmi_port, "dmesh": site.dmlp_port}[part]
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        server = site.start_server(ready=False)
        status = server.popen.wait(60)

    assert status == 1
    assert "Traceback" not in server.output
    errors = [line for line in server.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, server.output
    assert str(port) in errors[0]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose field goes on while one test after the other ends its server in some way."""
    made = Site(tmp_path_factory.mktemp("started"), speed=600.0, opcua=True)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def site(started: Site) -> Site:
    """With a server that runs, both concentrators at it."""
    assert started.server is not None
    if not started.server.alive():
        started.start_server()
    wait_for(lambda: started.figure("dmesh", "links_up") == 2, "both concentrators")
    return started


def test_a_second_server_on_the_same_data_is_refused(site: Site) -> None:
    """Two writers would corrupt what was acknowledged; the first one goes on."""
    second = Process(site.folder, "second", "run", str(site.config))
    status = second.popen.wait(60)

    assert status == 1
    assert "in use by another server" in second.output
    assert "Traceback" not in second.output
    assert site.health() is not None


def test_a_broken_configuration_names_every_problem_and_starts_nothing(make_site: Callable[..., Site]) -> None:
    """`scada check` and `scada run` say the same."""
    site = make_site(changes={"hmi": {"prot": 1}, "dmesh": {"port": 0}})
    checked = run_apart("check", str(site.config))
    ran = run_apart("run", str(site.config))

    assert checked.returncode == ran.returncode == 2
    for said in (checked.stderr, ran.stderr):
        assert "hmi.prot" in said
        assert "dmesh.port" in said
        assert "Traceback" not in said
    assert not (site.folder / "data").exists()


def test_a_meter_with_the_name_of_its_transformer_is_refused_by_check_and_run(make_site: Callable[..., Site]) -> None:
    """One name on the bus for two things would fail at every poll; the sentence says which two."""
    meter = {"name": "T01", "template": "eastron_sdm630", "host": "127.0.0.1", "port": 1}
    site = make_site(changes={"modbus": {"devices": [meter]}})
    site.prepare()
    checked = site.scada("check", str(site.config), check=False)
    ran = run_apart("run", str(site.config))

    assert (checked.returncode, ran.returncode) == (2, 1)
    for said in (checked.stderr, ran.stderr):
        assert "Modbus device T01 and transformer T01 share a name" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_with_pages_and_streams_open(site: Site, number: signal.Signals) -> None:
    """Requests in flight, a live stream, sessions of concentrators: exit status 0 within seconds."""
    streams = [socket.create_connection(("127.0.0.1", site.hmi_port)) for _ in range(3)]
    for stream in streams:
        stream.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\n")     # a request that never ends
    with urlopen(f"{site.base}/healthz", timeout=5) as answer:
        assert answer.status == 200
    assert site.server is not None
    began = time.monotonic()
    status = site.server.stop(number)

    assert status == 0, site.server.output[-2000:]
    assert time.monotonic() - began < 15
    assert "Traceback" not in site.server.output
    for stream in streams:
        stream.close()


def test_a_second_start_goes_on_with_what_the_first_one_knew(site: Site) -> None:
    """No new password, the registry as it was, the same data."""
    assert site.server is not None
    site.server.stop()
    first = site.server.output
    site.start_server(from_nothing=True)

    assert "one-time password" in first
    assert "one-time password" not in site.server.output[len(first):]


def processor_time(process: Process) -> float:
    """What a process has used so far. [s]"""
    used = psutil.Process(process.popen.pid).cpu_times()
    return used.user + used.system


def test_ctrl_c_while_starting_is_a_clean_stop_too(make_site: Callable[..., Site]) -> None:
    """At whatever moment of the start it comes: no traceback, nothing hangs, and the next start works.

    How far a start has come is told by the processor time it took: on a busy machine Python itself may need a second.
    """
    site = make_site(opcua=True)
    site.prepare()
    for spent in (0.5, 0.9, 1.3, 1.8):
        server = site.start_server(ready=False, from_nothing=True)
        wait_for(lambda of=server, seconds=spent: processor_time(of) >= seconds, "the middle of the start", every=0.01)
        status = server.stop(signal.SIGINT)

        assert status == 0 or server.output.rstrip().endswith("Aborted!"), server.output[-2000:]   # still importing
        assert "Traceback" not in server.output
        assert "did not stop" not in server.output
    site.start_server()
