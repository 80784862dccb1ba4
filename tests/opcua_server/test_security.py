"""Who gets in, and what he may do: every door asyncua leaves open is tried from outside."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto import security_policies

from tests.opcua_server.clients import asyncua_client, node_client
from tests.opcua_server.conftest import CLIENT_URI, METER, TRANSFORMER, Identity, Site, make_identity, running, trust

POWER = "ns=2;s=T01-meter/power_active_l1"
DISPATCH, SHED = "ns=2;s=/Dispatch", "ns=2;s=/Dispatch/ShedGroup"


@pytest.fixture(autouse=True)
def _quiet_client() -> None:
    """asyncua's client logs each refusal as an exception; refusals are what is tested here."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


async def log_in(site: Site, identity: Identity | None, **login: Any) -> None:
    async with asyncua_client(site.url, identity, **login):
        pass


async def read_for(client: Client, seconds: float) -> None:
    """Read on until it fails or the time is over."""
    for _ in range(int(seconds * 20)):
        await client.get_node(POWER).read_display_name()
        await asyncio.sleep(0.05)


async def call(client: Client, method: str, *arguments: ua.Variant) -> ua.CallMethodResult:
    """A raw Call, so that a Bad status and its outputs can both be looked at."""
    request = ua.CallMethodRequest(
        ua.NodeId.from_string(DISPATCH), ua.NodeId.from_string(f"{DISPATCH}/{method}"), list(arguments)
    )
    (result,) = await client.uaclient.call([request])
    return result


def shed(group: str = "LG-1", seconds: int = 600) -> list[ua.Variant]:
    return [
        ua.Variant(group, ua.VariantType.String), ua.Variant(seconds, ua.VariantType.UInt32),
        ua.Variant("peak", ua.VariantType.String),
    ]


# ---------------------------------------------------------------------------------------- log-in
def test_a_wrong_password_is_refused_and_audited(site: Site, identity: Identity) -> None:
    """BadUserAccessDenied to the client; the audit has the name, the address and the reason."""
    with pytest.raises(ua.UaStatusCodeError) as refusal:
        asyncio.run(log_in(site, identity, password="wrong"))

    assert refusal.value.code == ua.StatusCodes.BadUserAccessDenied
    row = site.until(lambda: [one for one in site.do("audited") if one[1] == "login.failed"])[-1]
    assert row == [
        "dana", "login.failed", "opcua", {"address": "127.0.0.1", "reason": "unknown name or wrong password"}
    ]


def test_a_log_in_is_audited_with_its_user(site: Site, identity: Identity) -> None:
    """One row per session."""
    asyncio.run(log_in(site, identity, user="vera", password="right-Vera"))

    site.until(lambda: ["vera", "login", "opcua", {"address": "127.0.0.1"}] in site.do("audited"))


def test_an_unknown_user_named_admin_is_nobody(site: Site, identity: Identity) -> None:
    """asyncua's default would make "admin" its administrator, with any password."""
    with pytest.raises(ua.UaStatusCodeError) as refusal:
        asyncio.run(log_in(site, identity, user="admin", password="anything"))

    assert refusal.value.code == ua.StatusCodes.BadUserAccessDenied


@pytest.mark.parametrize("name", ["Mihai", "Radu"])
def test_a_subscriber_or_an_installer_does_not_see_the_site(site: Site, identity: Identity, name: str) -> None:
    """Their accounts are for pages of their own; the values of everybody are behind this door."""
    with pytest.raises(ua.UaStatusCodeError) as refusal:
        asyncio.run(log_in(site, identity, user=name.lower(), password=f"right-{name}"))

    assert refusal.value.code == ua.StatusCodes.BadUserAccessDenied


def test_an_anonymous_client_is_refused(site: Site, identity: Identity) -> None:
    """A trusted certificate alone opens nothing."""
    with pytest.raises(ua.UaStatusCodeError) as refusal:
        asyncio.run(log_in(site, identity, user=None))

    assert refusal.value.code == ua.StatusCodes.BadIdentityTokenRejected


def test_failures_of_one_name_are_limited_and_others_still_come_in(tmp_path: Path, identity: Identity) -> None:
    """Five failures in a minute and the name has to wait, its right password included; the others do not notice."""
    trust(tmp_path, identity)
    with running(tmp_path, [METER]) as site:
        for _ in range(5):
            with pytest.raises(ua.UaStatusCodeError):
                asyncio.run(log_in(site, identity, password="wrong"))
        with pytest.raises(ua.UaStatusCodeError):
            asyncio.run(log_in(site, identity))
        asyncio.run(log_in(site, identity, user="vera", password="right-Vera"))

        refused = [one for one in site.do("audited") if one[1] == "login.failed"]
        assert len(refused) == 5
        site.until(lambda: site.do("health")["figures"]["logins_refused"] == 6)


def test_a_user_who_is_removed_is_put_out(tmp_path: Path, identity: Identity) -> None:
    """Withdrawn rights count at once, open sessions included."""
    trust(tmp_path, identity)

    async def run(site: Site) -> None:
        async with asyncua_client(site.url, identity) as client:
            await client.get_node(POWER).read_display_name()
            await asyncio.to_thread(site.do, "set_users", users={"vera": ["right-Vera", "viewer"]})
            with pytest.raises(ua.UaError):
                await read_for(client, seconds=5)

    with running(tmp_path, [METER]) as site:
        asyncio.run(run(site))


# -------------------------------------------------------------------------------- certificates, channels
def test_an_unknown_certificate_is_refused_kept_and_can_be_trusted(tmp_path: Path) -> None:
    """The administrator moves the file from rejected/ to trusted/, and the client comes in without a restart."""
    stranger = make_identity(tmp_path / "stranger", "stranger")
    with running(tmp_path, [METER]) as site:
        with pytest.raises((ua.UaError, ConnectionError)):
            asyncio.run(log_in(site, stranger))
        (kept,) = (tmp_path / "opcua" / "rejected").iterdir()
        assert kept.read_bytes() == stranger.certificate.read_bytes()
        kept.rename(tmp_path / "opcua" / "trusted" / kept.name)

        asyncio.run(log_in(site, stranger))


def test_node_opcua_with_an_unknown_certificate_is_refused(site: Site, tmp_path: Path) -> None:
    """The independent client does not get a session either."""
    stranger = make_identity(tmp_path / "other", "other")
    with (
        node_client(tmp_path, site.url) as node,
        pytest.raises(RuntimeError, match=r"refused|security|disconnect|reject|Bad|closed"),
    ):
        node.do(
            "connect", url=site.url, certificate=str(stranger.certificate), key=str(stranger.key), uri=CLIENT_URI,
            pki=str(tmp_path / "pki"), user="dana", password="right-Dana",
        )


def test_an_expired_certificate_is_refused_even_when_trusted(tmp_path: Path) -> None:
    """Trust does not outlive the certificate."""
    old = make_identity(tmp_path / "old", "old", days=-1)
    trust(tmp_path, old)
    with running(tmp_path, [METER]) as site, pytest.raises((ua.UaError, ConnectionError)):
        asyncio.run(log_in(site, old))


def test_commissioning_accepts_any_certificate_but_no_stranger(tmp_path: Path) -> None:
    """`trust_any_client` opens channels; names and passwords still count."""
    stranger = make_identity(tmp_path / "stranger", "stranger")
    with running(tmp_path, [METER], trust_any_client=True) as site:
        asyncio.run(log_in(site, stranger))
        with pytest.raises(ua.UaStatusCodeError):
            asyncio.run(log_in(site, stranger, password="wrong"))


def test_an_application_that_claims_another_name_is_refused(site: Site, identity: Identity) -> None:
    """The application URI has to be the one in the certificate."""
    with pytest.raises(ua.UaStatusCodeError) as refusal:
        asyncio.run(log_in(site, identity, uri="urn:somebody:else"))

    assert refusal.value.code == ua.StatusCodes.BadCertificateUriInvalid


def test_an_unencrypted_channel_carries_no_session(site: Site) -> None:
    """asyncua would serve one although no such endpoint is offered; only discovery works unencrypted."""

    async def run() -> None:
        client = Client(site.url)
        client.set_user("dana")
        client.set_password("right-Dana")
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            with pytest.raises(ua.UaStatusCodeError) as refusal:
                await client.create_session()
            assert refusal.value.code == ua.StatusCodes.BadSecurityModeRejected
        finally:
            client.disconnect_socket()

    asyncio.run(run())


def test_unencrypted_sessions_only_where_the_settings_allow_them(tmp_path: Path) -> None:
    """`allow_unencrypted` offers SecurityPolicy None, still with a user and password, still not anonymous."""
    with running(tmp_path, [METER], allow_unencrypted=True) as site:
        asyncio.run(log_in(site, None))
        with pytest.raises(ua.UaStatusCodeError):
            asyncio.run(log_in(site, None, password="wrong"))
        with pytest.raises(ua.UaStatusCodeError):
            asyncio.run(log_in(site, None, user=None))


def test_the_key_is_for_its_owner_only_and_survives_a_restart(tmp_path: Path, identity: Identity) -> None:
    """Clients pin our certificate: a second start must show the same one."""
    with running(tmp_path, [METER]):
        pass
    trust(tmp_path, identity)
    folder = tmp_path / "opcua"
    first = (folder / "server.der").read_bytes()
    assert (folder / "server.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    with running(tmp_path, [METER]) as site:
        asyncio.run(log_in(site, identity))

    assert (folder / "server.der").read_bytes() == first


# ------------------------------------------------------------------------------ sessions of other people
async def _second_channel(site: Site, identity: Identity, session_of: Client) -> Client:
    """A fresh secure channel without a session of its own, that names the session of another client."""
    other = Client(site.url)
    other.application_uri = CLIENT_URI
    await other.set_security(
        security_policies.SecurityPolicyBasic256Sha256, str(identity.certificate), str(identity.key),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    await other.connect_socket()
    await other.send_hello()
    await other.open_secure_channel()
    other.uaclient.protocol.authentication_token = session_of.uaclient.protocol.authentication_token
    other._policy_ids = session_of._policy_ids
    return other


@pytest.mark.parametrize("password", [b"wrong", b"right-Dana"])
def test_a_failed_activation_does_not_leave_a_foreign_session_attached(
    password: bytes, site: Site, identity: Identity
) -> None:
    """asyncua attaches the named session before it checks anything: the next request would run as its user.

    The thief knows the token, and even the password; what he cannot make is the signature over the session's nonce.
    """

    async def run() -> None:
        async with asyncua_client(site.url, identity) as victim:
            channel = await _second_channel(site, identity, victim)
            thief = channel.uaclient
            try:
                wrong = ua.ActivateSessionParameters()
                wrong.UserIdentityToken = ua.UserNameIdentityToken(UserName="dana", Password=password)
                with pytest.raises(ua.UaError):
                    await thief.activate_session(wrong)
                wanted = ua.ReadValueId(ua.NodeId.from_string(POWER), ua.AttributeIds.Value)
                request = ua.ReadParameters(NodesToRead=[wanted])
                with pytest.raises(ua.UaError):
                    await thief.read(request)
            finally:
                channel.disconnect_socket()

    asyncio.run(run())


@pytest.mark.parametrize(("user", "password", "refused"), [
    ("dana", "right-Dana", None),
    ("vera", "right-Vera", "BadIdentityChangeNotSupported"),
    ("dana", "x", "BadUserAccessDenied"),
])
def test_a_client_comes_back_to_its_session_on_a_new_channel_as_the_same_user_only(
    user: str, password: str, refused: str | None, site: Site, identity: Identity
) -> None:
    """What a client does whose network was away (OPC 10000-4, 6.7); nobody becomes another user on the way."""

    async def run() -> str | None:
        async with asyncua_client(site.url, identity) as first:
            second = await _second_channel(site, identity, first)
            second._server_nonce = first._server_nonce
            try:
                await second.activate_session(user, password)
                return (await second.get_node(POWER).read_browse_name()).Name
            except ua.UaStatusCodeError as error:
                return ua.StatusCode(error.code).name
            finally:
                second.disconnect_socket()

    assert asyncio.run(run()) == (refused or "power_active_l1")


def test_another_client_does_not_take_a_session_over(site: Site, identity: Identity, tmp_path: Path) -> None:
    """The same user with another trusted certificate: that is another client."""
    other = make_identity(tmp_path / "other", "other")
    trust(site.data_dir, other)

    async def run() -> str:
        async with asyncua_client(site.url, identity) as first:
            second = await _second_channel(site, other, first)
            second._server_nonce = first._server_nonce
            try:
                with pytest.raises(ua.UaStatusCodeError) as refusal:
                    await second.activate_session("dana", "right-Dana")
                return ua.StatusCode(refusal.value.code).name
            finally:
                second.disconnect_socket()

    assert asyncio.run(run()) == "BadSecurityChecksFailed"


def test_session_tokens_cannot_be_guessed(site: Site, identity: Identity) -> None:
    """asyncua counts them from 1001."""

    async def run() -> set[Any]:
        found = set()
        for _ in range(2):
            async with asyncua_client(site.url, identity) as client:
                found.add(client.uaclient.protocol.authentication_token.Identifier)
        return found

    tokens = asyncio.run(run())
    assert len(tokens) == 2
    assert all(isinstance(one, bytes) and len(one) == 16 for one in tokens)


# -------------------------------------------------------------------------------------------- sizes
def test_a_chunk_that_announces_a_gigabyte_ends_the_connection(site: Site) -> None:
    """asyncua would buffer what comes until the announced length is there."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as one:
        one.sendall(b"HELF" + struct.pack("<I", 1 << 30))
        with pytest.raises(OSError, match=r"reset|pipe"):
            one.sendall(bytes(1 << 28))                    # more than any socket buffer holds


def test_garbage_and_silent_connections_do_not_disturb_a_client(site: Site, identity: Identity) -> None:
    """Two hundred strangers, half of them silent: refused beyond the limit, and the real client reads on."""

    async def run() -> int:
        async with asyncua_client(site.url, identity) as client:
            sockets = [socket.socket() for _ in range(200)]
            for number, one in enumerate(sockets):
                one.settimeout(5)
                one.connect(("127.0.0.1", site.port))
                if number % 2:
                    one.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
            name = (await client.get_node(POWER).read_browse_name()).Name
            for one in sockets:
                one.close()
            return len(name or "")

    assert asyncio.run(run()) == len("power_active_l1")


# ------------------------------------------------------------------------------------------ methods
def test_a_viewer_may_not_shed_and_reads_why(site: Site, identity: Identity) -> None:
    """Bad status, the desk's reasons in the output, and again from WhyRefused; the desk saw the viewer's own role."""

    async def run() -> tuple[ua.CallMethodResult, ua.CallMethodResult]:
        async with asyncua_client(site.url, identity, user="vera", password="right-Vera") as client:
            return await call(client, "ShedGroup", *shed()), await call(client, "WhyRefused")

    refused, why = asyncio.run(run())
    assert refused.StatusCode.name == "BadUserAccessDenied"
    assert [one.Value for one in refused.OutputArguments] == ["", "a viewer may not shed"]
    assert [one.Value for one in why.OutputArguments] == ["a viewer may not shed"]
    assert (site.do("asked")[-1]["actor"], site.do("asked")[-1]["role"]) == ("vera", "viewer")


def test_a_dispatcher_sheds_asks_and_restores(site: Site, identity: Identity) -> None:
    """The whole life of a command, through asyncua's ordinary call."""

    async def run() -> tuple[list[Any], list[Any], Any]:
        async with asyncua_client(site.url, identity) as client:
            parent = client.get_node(DISPATCH)
            command, message = await parent.call_method("2:ShedGroup", *shed())
            state = await parent.call_method("2:CommandState", command)
            return [command, message], state, await parent.call_method("2:RestoreGroup", command)

    (command, message), state, restored = asyncio.run(run())
    assert len(command) == 32
    assert "LG-1: 4 loads, off for 600 s" in message
    assert state == pytest.approx(["sending", 2, 1, 1, "", float("nan"), float("nan")], nan_ok=True)   # no effect measured
    assert "LG-1" in restored


def test_a_dispatcher_reviews_before_he_executes(site: Site, identity: Identity) -> None:
    """Two calls: the first sends nothing and says who may not answer, the second runs that selection and no other."""

    async def run() -> tuple[list[Any], list[Any], list[Any], ua.CallMethodResult]:
        async with asyncua_client(site.url, identity) as client:
            parent = client.get_node(DISPATCH)
            selected = await parent.call_method("2:SelectShed", *shed())
            before = len(site.do("executed"))
            command, message = await parent.call_method("2:ExecuteShed", selected[0])
            assert len(site.do("executed")) == before + 1
            state = await parent.call_method("2:CommandState", command)
            nothing = await call(client, "ExecuteShed", ua.Variant("S0", ua.VariantType.String))
            return selected, [command, message], state, nothing

    (selection, *figures, review), (command, message), state, nothing = asyncio.run(run())
    assert figures == [4, 1, 3000.0]
    assert "4 loads, off for 600 s, nothing is sent yet; may not answer: C01-003 (module lost)" in review
    assert "one load is off already" in review
    assert site.do("executed")[-1] == selection
    assert (len(command), state[0]) == (32, "sending")
    assert "LG-1: 4 loads" in message
    assert nothing.StatusCode.name == "BadRequestNotAllowed"
    assert nothing.OutputArguments[1].Value == "no such selection; it may have expired: select again"


def test_a_viewer_may_not_even_select(site: Site, identity: Identity) -> None:
    """Every output is there, empty, and the reason stands in the last."""

    async def run() -> ua.CallMethodResult:
        async with asyncua_client(site.url, identity, user="vera", password="right-Vera") as client:
            return await call(client, "SelectShed", *shed())

    refused = asyncio.run(run())
    assert refused.StatusCode.name == "BadUserAccessDenied"
    assert [one.Value for one in refused.OutputArguments] == ["", 0, 0, 0.0, "a viewer may not shed"]


def test_each_user_is_himself_however_calls_interleave(site: Site, identity: Identity) -> None:
    """Two users call at the same time, many times: no call ever runs under the other name."""

    async def run() -> None:
        async with (
            asyncua_client(site.url, identity) as dana,
            asyncua_client(site.url, identity, user="vera", password="right-Vera") as vera,
        ):
            answers = await asyncio.gather(*(
                call(client, "ShedGroup", *shed(seconds=seconds))
                for seconds in range(60, 90) for client in (dana, vera)
            ))
        assert [one.StatusCode.name for one in answers] == ["Good", "BadUserAccessDenied"] * 30

    asyncio.run(run())
    asked = site.do("asked")[-60:]
    assert {(one["actor"], one["role"]) for one in asked} == {("dana", "dispatcher"), ("vera", "viewer")}


def test_the_area_of_the_user_reaches_the_desk(site: Site, identity: Identity) -> None:
    """A dispatcher of the south may not shed in the north; the reasons come as one sentence."""

    async def run() -> ua.CallMethodResult:
        async with asyncua_client(site.url, identity, user="sorin", password="right-Sorin") as client:
            return await call(client, "ShedGroup", *shed("LG-9"))

    refused = asyncio.run(run())
    assert refused.StatusCode.name == "BadRequestNotAllowed"
    assert refused.OutputArguments[1].Value == "no load group LG-9; LG-1 is in the area north, which is not yours"


@pytest.mark.parametrize(("arguments", "status"), [
    (shed()[:2], "BadArgumentsMissing"),
    ([*shed(), ua.Variant(1, ua.VariantType.Int32)], "BadTooManyArguments"),
    ([shed()[0], ua.Variant("600", ua.VariantType.String), shed()[2]], "BadInvalidArgument"),
    ([shed()[0], ua.Variant(600, ua.VariantType.Int64), shed()[2]], "BadInvalidArgument"),
    ([ua.Variant("x" * 501, ua.VariantType.String), *shed()[1:]], "BadInvalidArgument"),
    ([ua.Variant(["LG-1"], ua.VariantType.String), *shed()[1:]], "BadInvalidArgument"),
])
def test_arguments_that_do_not_fit_never_reach_the_desk(
    arguments: list[ua.Variant], status: str, site: Site, identity: Identity
) -> None:
    """asyncua passes on whatever comes."""
    before = len(site.do("asked"))

    async def run() -> ua.CallMethodResult:
        async with asyncua_client(site.url, identity) as client:
            return await call(client, "ShedGroup", *arguments)

    assert asyncio.run(run()).StatusCode.name == status
    assert len(site.do("asked")) == before


def test_an_unknown_command_is_not_found(site: Site, identity: Identity) -> None:
    """CommandState of something nobody ran."""

    async def run() -> ua.CallMethodResult:
        async with asyncua_client(site.url, identity) as client:
            return await call(client, "CommandState", ua.Variant("ff" * 16, ua.VariantType.String))

    assert asyncio.run(run()).StatusCode.name == "BadNotFound"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, identity: Identity) -> Iterator[Site]:
    """A server of this module's own: its log-in failures count against nobody else."""
    data_dir = tmp_path_factory.mktemp("security")
    trust(data_dir, identity)
    with running(data_dir, [METER, TRANSFORMER]) as one:
        yield one
