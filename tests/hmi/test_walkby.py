"""Walk-by files through the page and the API: who may, how large, and what is shown of them."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from hmi.resources import BoundedFactory, site
from hmi.sessions import Sessions
from scada.commands import Origin, Role
from scada.ports import Account
from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World

GOOD = b"eui,channel,start,pulses\n00124b00000003e9,0,2026-01-01T00:00Z,3\n0000000000000abc,0,2026-01-01T00:00Z,4\n"
BAD = GOOD + b"zz,0,2026-01-01T00:00Z,3\n00124b00000003e9,0,2026-01-01T01:00Z,5\n"


def upload(who: Person, data: bytes, **fields: str) -> Any:
    form = {"csrf": who.token, "files": (BytesIO(data), "walk.csv"), **fields}
    return who.client.post("/walkby", data=form, content_type="multipart/form-data")


def test_an_engineer_imports_a_file_and_sees_what_became_of_it(person: Callable[..., Person], world: World) -> None:
    """Counts, the module nobody knows, and the bad row with its line; the good rows are in."""
    answer = upload(person("engineer"), BAD)

    assert answer.status_code == 200
    assert "0000000000000abc" in answer.text
    assert "walk.csv:4: eui" in answer.text
    assert "Stored." in answer.text
    (report,) = world.walkby.stored
    assert (report.new, report.modules, len(report.problems)) == (3, 2, 1)
    assert world.audit.page()[0].action == "walkby.import"


@pytest.mark.parametrize("wish", [{"check": "1"}, {"strict": "1"}])
def test_a_check_and_a_strict_import_with_a_bad_row_store_nothing(
    person: Callable[..., Person], world: World, wish: dict[str, str]
) -> None:
    """Both show the same summary."""
    answer = upload(person("engineer"), BAD, **wish)

    assert "walk.csv:4: eui" in answer.text
    assert "Stored." not in answer.text
    assert world.walkby.stored == []


def test_a_strict_import_of_a_good_file_is_stored(person: Callable[..., Person], world: World) -> None:
    """Strict refuses what is wrong, nothing else."""
    upload(person("engineer"), GOOD, strict="1")

    assert [one.new for one in world.walkby.stored] == [2]


def test_a_viewer_imports_nothing(person: Callable[..., Person], world: World) -> None:
    """Neither through the page nor through the API."""
    assert upload(person("viewer"), GOOD).status_code == 403
    assert world.walkby.stored == []


def test_the_api_takes_one_file_as_the_body(app: Flask, world: World) -> None:
    """Dry run first, then the import; a file of more than 8 MiB is refused."""
    client = app.test_client()
    token = client.post("/api/v1/session", json={"name": "engineer", "password": PASSWORD}).json["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    dry = client.post("/api/v1/walkby?name=a.csv&dry_run=1", data=GOOD, headers=bearer)
    done = client.post("/api/v1/walkby?name=a.csv", data=GOOD, headers=bearer)
    nameless = client.post("/api/v1/walkby", data=GOOD, headers=bearer)
    large = client.post("/api/v1/walkby?name=a.csv", data=bytes((8 << 20) + 1), headers=bearer)

    assert (dry.status_code, dry.json["stored"], dry.json["new"]) == (200, False, 2)
    assert (done.status_code, done.json["stored"], done.json["unknown_euis"]) == (201, True, ["0000000000000abc"])
    assert "expected the file" in nameless.json["error"]
    assert large.status_code == 413
    assert len(world.walkby.stored) == 1


def test_a_form_of_another_page_may_not_be_as_large(person: Callable[..., Person]) -> None:
    """The bound is raised for the page that takes files alone."""
    who = person("engineer")
    answer: Any = who.post("/language", language="x" * 100_000)

    assert answer.status_code == 413


class Sink(Resource):
    isLeaf = True                       # noqa: N815 — twisted's name

    def render_POST(self, request: Any) -> bytes:
        return f"took {len(request.content.read())}".encode()


@pytest.mark.parametrize(
    ("path", "known", "chunked", "answer"),
    [
        (b"/walkby", True, False, b"took 200000"), (b"/api/v1/walkby?name=x", True, False, b"took 200000"),
        (b"/walkby", True, True, b"took 200000"),
        (b"/walkby", False, False, b"413"), (b"/walkby", False, True, b"413"), (b"/alarms", True, False, b"413"),
    ],
)
def test_only_somebody_who_is_logged_in_sends_more_than_a_form(
    world: World, path: bytes, known: bool, chunked: bool, answer: bytes
) -> None:
    """A stranger's body is refused while it comes in, before any page is asked."""
    sessions = Sessions(world.clock, 30)
    token = sessions.open(Account("ana", Role.ENGINEER), Origin.HMI) if known else "nobody"
    made: Any = site(Sink(), sessions)      # type: ignore[arg-type]  # only its paths differ from the real root
    made.timeOut = None                     # no timer of the real reactor
    transport = StringTransport()
    protocol = BoundedFactory(made, 2).buildProtocol(None)
    protocol.makeConnection(transport)
    body = b"x" * 200_000
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 200000"
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n" + length
    protocol.dataReceived(head + b"\r\n\r\n" + (b"30d40\r\n" + body + b"\r\n" if chunked else body))
    if chunked and known:                   # to a stranger the line is closed by now
        protocol.dataReceived(b"0\r\n\r\n")

    assert answer in transport.value()
