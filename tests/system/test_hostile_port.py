"""A stranger on the port: refused, counted, shown; the real field does not notice."""

import json
import random
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from scada.drivers.dmesh import messages
from scada.drivers.dmesh.frame import VERSION, Frame, FrameDecoder
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.messages import Close, Hello, Packet
from scada.drivers.dmesh.numbers import Reason

from .harness import Site, wait_for
from .test_nothing_lost import records_acknowledged

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
MB = 1024 * 1024
STRANGER = 0xBADBAD01


def memory(site: Site) -> float:
    assert site.server is not None
    return psutil.Process(site.server.popen.pid).memory_info().rss / MB


def refused(site: Site) -> float:
    health = site.health() or {"parts": []}
    part = next(part for part in health["parts"] if part["part"] == "dmesh")
    return float(sum(value for name, value in part["figures"].items() if name.startswith(("refused", "rejected"))))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all strangers that its field must not notice."""
    made = Site(tmp_path_factory.mktemp("hostile"), speed=600.0)
    try:
        yield made.start()
    finally:
        made.close()


def test_garbage_and_a_thousand_half_open_connections_disturb_nobody(site: Site) -> None:
    """Memory grows by less than 50 MB, what is refused is counted, and data keep coming."""
    wait_for(lambda: records_acknowledged(site) >= 4, "the first records")
    time.sleep(1)
    before, counted = memory(site), refused(site)
    noise = random.Random(7)
    held: list[socket.socket] = []
    try:
        for _ in range(1000):
            stranger = socket.socket()
            stranger.settimeout(5)
            stranger.connect(("127.0.0.1", site.dmlp_port))
            held.append(stranger)
        for stranger in held[::10]:
            try:
                stranger.sendall(noise.randbytes(20_000))
            except OSError:
                continue                        # refused already: as it should be
        acknowledged = records_acknowledged(site)
        worst = before
        ends = time.monotonic() + 5
        while time.monotonic() < ends:
            worst = max(worst, memory(site))
            time.sleep(0.2)

        assert worst - before < 50
        assert refused(site) > counted
        wait_for(lambda: records_acknowledged(site) > acknowledged, "records while strangers hold a thousand connections")
    finally:
        for stranger in held:
            stranger.close()
    after = site.health()
    assert after is not None
    assert [part["part"] for part in after["parts"] if part["part"] == "dmesh" and not part["ok"]] == []
    assert site.server is not None
    assert site.server.alive()


def test_a_concentrator_with_a_wrong_key_is_refused_and_shown(make_site: Callable[..., Site]) -> None:
    """The health says so; nothing of it enters the registry or the store."""
    site = make_site(speed=600.0)
    site.prepare()
    keys = site.folder / "field-keys.json"
    keys.write_text(json.dumps({link: key[::-1] for link, key in json.loads(keys.read_text()).items()}))
    site.start_field()
    site.start_server()
    wait_for(lambda: refused(site) > 0, "the refusal to be counted")

    assert records_acknowledged(site) == 0


def test_an_unknown_concentrator_is_refused_counted_and_shown(site: Site) -> None:
    """The right protocol, a link id nobody gave us a key for: CLOSE, a figure, a line in the log; the known ones go on."""
    wait_for(lambda: records_acknowledged(site) >= 2, "the first records")
    already = site.figure("dmesh", "refused_unknown_link")
    hello = messages.encode(Hello(
        min_version=VERSION, max_version=VERSION, link_id=STRANGER, boot_id=1, archive_id=1, max_frame=4096,
        nonce=bytes(16), model="stranger", oldest=1, newest=9,
    ))
    with socket.create_connection(("127.0.0.1", site.dmlp_port), timeout=30) as stranger:
        stranger.sendall(encode_frame(Frame(STRANGER, hello)))
        got = b""
        while more := stranger.recv(4096):
            got += more
    (frame,) = FrameDecoder(4096).feed(got)
    assert isinstance(frame, Frame)
    packet = messages.decode(frame.body)
    known = records_acknowledged(site)
    wait_for(lambda: records_acknowledged(site) > known, "records of the known ones")
    assert site.server is not None

    assert isinstance(packet, Packet)
    assert isinstance(packet.message, Close)
    assert packet.message.reason == Reason.UNKNOWN_LINK
    assert site.figure("dmesh", "refused_unknown_link") == already + 1
    assert site.figure("dmesh", "links_up") == 2
    assert f"link id {STRANGER:08x}" in site.server.output
    shown = json.loads(site.scada("status", str(site.config), "--json", check=False).stdout)
    figures = next(part["figures"] for part in shown["parts"] if part["part"] == "dmesh")
    assert figures["refused_unknown_link"] == already + 1
