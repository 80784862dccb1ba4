"""What asyncua 2.1 leaves open on a network, closed: channel, session, services, sizes.

Read in its code and held by `tests/opcua_server/test_security.py`:

* any client certificate opens a channel, and the one checked later is a parameter of CreateSession, not the channel's;
* an unencrypted channel carries sessions even where no unencrypted endpoint is offered;
* session tokens are small consecutive numbers, and a failed ActivateSession leaves the foreign session attached;
* RegisterServer needs no log-in and fills memory; a chunk may announce any length and is buffered;
* every session may use the subscriptions of every other (`subscriptions.py`);
* methods are not told who calls them; password hashing would run on the event loop.
"""

import logging
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server import binary_server_asyncio
from asyncua.server.binary_server_asyncio import OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary

from scada.opcua_server.certificates import TrustList, application_uris
from scada.opcua_server.doorman import Doorman
from scada.opcua_server.subscriptions import OwnSubscriptions

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 100
MAX_SUBSCRIPTIONS: Final = 200
MAX_MESSAGE: Final = 4 << 20            # bytes; a request for 10,000 nodes is about 1 MB
MAX_CHUNK: Final = 65535
MAX_QUEUE: Final = 1000                 # values a monitored item may queue
MAX_LIFETIME: Final = 3000              # publishing cycles an orphaned subscription lives (asyncua issue 1982)
ACTIVATION_S: Final = 15.0

caller: ContextVar[str] = ContextVar("caller")             # name of the user whose call is being served
LoginNews = Callable[[str, bool, str, str], None]          # name, ok, peer, reason

_OPEN: Final = {                        # services a client may use before it has a session, to find its way
    ua.NodeId(ua.ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.FindServersRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.CloseSecureChannelRequest_Encoding_DefaultBinary),
}
_CREATE: Final = ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary)
_ACTIVATE: Final = ua.NodeId(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_REFUSED: Final = {                     # never, for anybody: a tag server changes nothing on a client's word
    ua.NodeId(ua.ObjectIds.RegisterServerRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.RegisterServer2Request_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.AddNodesRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.DeleteNodesRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.AddReferencesRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.DeleteReferencesRequest_Encoding_DefaultBinary),
}


class GuardedSession(OwnSubscriptions):
    """A client's session: its token cannot be guessed, its certificate is remembered, its calls carry its user."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.certificate: bytes | None = None
        if self.external:
            self.iserver.unregister_external_session(self)
            self.auth_token = ua.NodeId(secrets.token_bytes(16), 0, ua.NodeIdType.ByteString)
            self.iserver.register_external_session(self)

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        token = caller.set(self.user.name or "")
        try:
            return list(await super().call(params))
        finally:
            caller.reset(token)


class Gatekeeper:
    """asyncua's user manager: it only reads the verdict that the doorman has already given, so it never blocks."""

    def get_user(
        self, iserver: Any, username: str | None = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        name = _admitted.get("")
        return User(role=UserRole.User, name=name) if name and name == username else None


_admitted: ContextVar[str] = ContextVar("admitted")


class GuardedServer(InternalServer):
    """The internal server with our sessions and our limits."""

    def __init__(self, doorman: Doorman, trust: TrustList, *, allow_unencrypted: bool, on_login: LoginNews) -> None:
        super().__init__(user_manager=Gatekeeper())
        self.doorman, self.trust, self.allow_unencrypted, self.on_login = doorman, trust, allow_unencrypted, on_login
        self.allow_remote_admin = False
        self.supported_tokens = (ua.UserNameIdentityToken,)
        self.max_connections = MAX_CONNECTIONS
        self.max_subscriptions = MAX_SUBSCRIPTIONS
        self.max_monitored_item_queue_size = MAX_QUEUE
        self.max_unacked_messages_per_subscription = 50
        self.max_lifetime_count = MAX_LIFETIME
        self.max_pending_activation_seconds = ACTIVATION_S
        self.max_pending_messages_per_connection = 100

    def create_session(self, name: Any, user: User | None = None, external: bool = False) -> GuardedSession:
        user = user or User(role=UserRole.Anonymous)
        return GuardedSession(self, self.aspace, self.subscription_service, name, user=user, external=external)

    async def dismiss(self, names: set[str]) -> None:
        """End the sessions of users who may no longer come in."""
        for session in list(self._external_sessions.values()):
            if session.is_activated() and session.user.name in names:
                await session.close_session(True)


class GuardedProcessor(UaProcessor):
    """One client connection, with the door checks in front of asyncua's services."""

    session: GuardedSession | None

    async def process(self, header: Any, body: Any) -> bool:
        try:
            return bool(await super().process(header, body))
        except ServiceError as error:                      # before a session there is nobody to send a fault to
            self._close_with(error.code)
        except Exception as error:
            log.info("connection from %s ended: %s", self.name, error)
            self._close_with(ua.StatusCodes.BadTcpInternalError)
        return False

    def _close_with(self, code: int) -> None:
        status = ua.StatusCode(code)
        self._transport.write(uatcp_to_binary(ua.MessageType.Error, ua.ErrorMessage(status, status.doc)))

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """Renewals come here too, so trust that was withdrawn ends the channel within its lifetime."""
        policy = self._connection.security_policy
        if policy.Mode != ua.MessageSecurityMode.None_:
            objection = self.iserver.trust.objection(policy.peer_certificate)
            if objection:
                log.warning("client certificate from %s refused: %s", self.name, objection)
                raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        super().open_secure_channel(algohdr, seqhdr, body)

    @property
    def _secure(self) -> bool:
        return bool(self._connection.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt)

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        if typeid in _REFUSED:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        if typeid not in _OPEN and not self._secure and not self.iserver.allow_unencrypted:
            raise ServiceError(ua.StatusCodes.BadSecurityModeRejected)
        if typeid == _CREATE:
            return await self._create(typeid, requesthdr, seqhdr, body)
        if typeid == _ACTIVATE:
            return await self._activate(typeid, requesthdr, seqhdr, body)
        if self.session is not None and self.session.state is SessionState.Closed and typeid not in _OPEN:
            raise ServiceError(ua.StatusCodes.BadSessionClosed)
        return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))

    async def _create(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        """One session per connection, and its application is the one the channel's certificate names."""
        if self.session is not None and self.session.state is not SessionState.Closed:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        params = struct_from_binary(ua.CreateSessionParameters, body.copy())
        peer = self._connection.security_policy.peer_certificate
        if self._secure:
            if params.ClientCertificate and params.ClientCertificate != peer:
                raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
            if params.ClientDescription.ApplicationUri not in application_uris(peer):
                raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)
        answered = bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        if self.session is not None:
            self.session.certificate = peer
        return answered

    async def _activate(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        """Check the password off the loop; only the same client and user take over the session of a lost connection."""
        params = struct_from_binary(ua.ActivateSessionParameters, body.copy())
        own: GuardedSession | None = self.session
        session = own or self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        if session is None or session.state is SessionState.Closed:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if own is None and session.certificate != self._connection.security_policy.peer_certificate:
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        name = await self._admit(session, params.UserIdentityToken)
        if session.is_activated() and session.user.name != name:
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        admitted = _admitted.set(name)
        try:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        except BaseException:
            self.session = own                             # asyncua has attached the foreign session already
            raise
        finally:
            _admitted.reset(admitted)

    async def _admit(self, session: GuardedSession, token: Any) -> str:
        if not isinstance(token, ua.UserNameIdentityToken):
            self.iserver.on_login("", False, self._peer, "no user name")
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        try:
            name, password = self.iserver.decrypt_user_token(session, token)
        except Exception:                                  # whatever is wrong with what a stranger encrypted
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from None
        verdict = await self.iserver.doorman.verify(name or "", password or "", self._peer)
        if verdict.credential is None:
            if verdict.counted:
                self.iserver.on_login(name or "", False, self._peer, verdict.reason)
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        if not session.is_activated():
            self.iserver.on_login(verdict.credential.name, True, self._peer, "")
        return str(verdict.credential.name)

    @property
    def _peer(self) -> str:
        return str(self.name[0]) if self.name else "?"


class GuardedProtocol(OPCUAProtocol):
    """Bounds what one connection may make us hold before a single message is complete (asyncua issues 1962, 1963)."""

    _buffer: bytes

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > MAX_CHUNK + 1024 and self.transport is not None:
            log.warning("connection from %s ended: a chunk above %d bytes", self.peer_name, MAX_CHUNK)
            self._buffer = b""
            self.transport.abort()


def install() -> None:
    """Make asyncua's listener build our connections; it names both classes as module globals and has no other seam."""
    binary_server_asyncio.OPCUAProtocol = GuardedProtocol
    binary_server_asyncio.UaProcessor = GuardedProcessor
