"""The methods of the `Dispatch` object: what an OPC UA client says, checked and forwarded with its real user.

Nothing is decided here. A call that the desk refuses ends with a Bad status, and the reasons stand in the outputs; as
many clients show only the status of a failed call, `WhyRefused` repeats a user's last reasons.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
from asyncua import Server, ua

from scada.opcua_server.attributes import NAMESPACE
from scada.opcua_server.link import Answer
from scada.opcua_server.model import Model
from scada.opcua_server.security import caller

MAX_TEXT: Final = 500                   # characters of a string argument
MAX_REMEMBERED: Final = 200             # users whose last refusal is kept
Ask = Callable[[str, str, Sequence[Any]], Awaitable[Answer]]       # user, method, arguments


@attrs.frozen
class Signature:
    """A method as clients see it: (name, type, description) of each argument."""

    name: str
    text: str
    inputs: tuple[tuple[str, ua.VariantType, str], ...]
    outputs: tuple[tuple[str, ua.VariantType, str], ...]


_STRING, _UINT32, _DOUBLE = ua.VariantType.String, ua.VariantType.UInt32, ua.VariantType.Double
EMPTY: Final[dict[ua.VariantType, Any]] = {_STRING: "", _UINT32: 0, _DOUBLE: 0.0}
SIGNATURES: Final = (
    Signature(
        "SelectShed", "Freeze and check a load group for review; nothing is sent. Then ExecuteShed, while it is valid.",
        (
            ("group", _STRING, "Name of the load group"),
            ("offForSeconds", _UINT32, "How long the loads stay off [s]"),
            ("reason", _STRING, "Why; kept in the audit"),
        ),
        (
            ("selectionId", _STRING, "For ExecuteShed, by the same user"),
            ("loads", _UINT32, "Members the command will go to"),
            ("mayNotAnswer", _UINT32, "Those of them that may not answer"),
            ("expectedPower", _DOUBLE, "Rated power of the others, at most [W]"),
            ("message", _STRING, "What a reviewer should know, or why not"),
        ),
    ),
    Signature(
        "ExecuteShed", "Shed what was reviewed, once; a repeat answers the same command.",
        (("selectionId", _STRING, "From SelectShed"),),
        (("commandId", _STRING, "For CommandState and RestoreGroup"), ("message", _STRING, "What was done, or why not")),
    ),
    Signature(
        "ShedGroup", "SelectShed and ExecuteShed in one call, without a review between them; the same checks.",
        (
            ("group", _STRING, "Name of the load group"),
            ("offForSeconds", _UINT32, "How long the loads stay off [s]"),
            ("reason", _STRING, "Why; kept in the audit"),
        ),
        (("commandId", _STRING, "For CommandState and RestoreGroup"), ("message", _STRING, "What was done, or why not")),
    ),
    Signature(
        "LimitGroup", "Limit what each load of a group may draw, for a time; the same checks, without a review.",
        (
            ("group", _STRING, "Name of the load group"),
            ("level", _UINT32, "What each load may still draw [W]"),
            ("forSeconds", _UINT32, "How long the limit holds [s]"),
            ("reason", _STRING, "Why; kept in the audit"),
        ),
        (("commandId", _STRING, "For CommandState and RestoreGroup"), ("message", _STRING, "What was done, or why not")),
    ),
    Signature(
        "EconomyGroup", "Have the loads of a group economise, for a time; the same checks, without a review.",
        (
            ("group", _STRING, "Name of the load group"),
            ("forSeconds", _UINT32, "How long it holds [s]"),
            ("reason", _STRING, "Why; kept in the audit"),
        ),
        (("commandId", _STRING, "For CommandState and RestoreGroup"), ("message", _STRING, "What was done, or why not")),
    ),
    Signature(
        "RestoreGroup", "Give the supply back before the time is over, staggered.",
        (("commandId", _STRING, "From ExecuteShed or ShedGroup"),),
        (("message", _STRING, "What was done, or why not"),),
    ),
    Signature(
        "CommandState", "How far a command has come.",
        (("commandId", _STRING, "From ExecuteShed or ShedGroup"),),
        (
            ("state", _STRING, "sending, collecting, active, restoring, closed, failed or unknown"),
            ("executed", _UINT32, "Members whose load is off"),
            ("refused", _UINT32, "Members that refused"),
            ("noAnswer", _UINT32, "Members that did not answer"),
            ("confirmation", _STRING, "confirmed, not_confirmed or cannot_tell by the transformers; empty until measured"),
            ("shedPower", _DOUBLE, "Power shed as measured, NaN where it was not [W]"),
            ("shedUncertainty", _DOUBLE, "Its uncertainty, about 95 % [W]"),
        ),
    ),
    Signature(
        "WhyRefused", "The reasons of your last refused call, for clients that hide the outputs of a failed one.",
        (), (("message", _STRING, "Empty when nothing of yours was refused"),),
    ),
)


class Methods:
    """Puts the methods into the address space and serves them."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._refusals: dict[str, str] = {}

    async def install(self, server: Server, model: Model) -> None:
        parent = server.get_node(model.add_object("Dispatch", "Commands to load groups, through the site's one desk"))
        for signature in SIGNATURES:
            await parent.add_method(
                ua.NodeId(f"/Dispatch/{signature.name}", NAMESPACE), ua.QualifiedName(signature.name, NAMESPACE),
                self._handler(signature),
                [_argument(*one) for one in signature.inputs], [_argument(*one) for one in signature.outputs],
            )

    def _handler(self, signature: Signature) -> Callable[..., Awaitable[ua.CallMethodResult]]:
        async def handle(_parent: ua.NodeId, *arguments: ua.Variant) -> ua.CallMethodResult:
            checked = check_arguments(signature, arguments)
            if checked is not None:
                return checked
            user = caller.get()
            if signature.name == "WhyRefused":
                return _result(signature, Answer("Good", (self._refusals.get(user, ""),)))
            answer = await self._ask(user, signature.name, [argument.Value for argument in arguments])
            if answer.reasons:
                self._refusals.pop(user, None)
                self._refusals[user] = answer.reasons
                if len(self._refusals) > MAX_REMEMBERED:
                    del self._refusals[next(iter(self._refusals))]
            return _result(signature, answer)

        return handle


def check_arguments(signature: Signature, arguments: Sequence[ua.Variant]) -> ua.CallMethodResult | None:
    """The refusal of a call whose arguments do not fit, None where they do; asyncua checks nothing itself."""
    if len(arguments) != len(signature.inputs):
        few = len(arguments) < len(signature.inputs)
        code = ua.StatusCodes.BadArgumentsMissing if few else ua.StatusCodes.BadTooManyArguments
        return ua.CallMethodResult(StatusCode=ua.StatusCode(code))
    found = [_fault(argument, kind) for argument, (_, kind, _) in zip(arguments, signature.inputs, strict=True)]
    if all(code == ua.StatusCodes.Good for code in found):
        return None
    return ua.CallMethodResult(
        StatusCode=ua.StatusCode(ua.StatusCodes.BadInvalidArgument),
        InputArgumentResults=[ua.StatusCode(code) for code in found],
    )


def _fault(argument: ua.Variant, kind: ua.VariantType) -> int:
    if argument.VariantType != kind or argument.is_array or argument.Value is None:
        return int(ua.StatusCodes.BadTypeMismatch)
    if kind == _STRING and len(argument.Value) > MAX_TEXT:
        return int(ua.StatusCodes.BadOutOfRange)
    return int(ua.StatusCodes.Good)


def _result(signature: Signature, answer: Answer) -> ua.CallMethodResult:
    outputs = answer.outputs
    if len(outputs) != len(signature.outputs):             # a refusal has only its reasons: they stand in `message`
        outputs = tuple(
            answer.reasons if name == "message" else EMPTY[kind] for name, kind, _ in signature.outputs
        )
    return ua.CallMethodResult(
        StatusCode=ua.StatusCode(getattr(ua.StatusCodes, answer.status)),
        OutputArguments=[ua.Variant(value, kind) for value, (_, kind, _) in zip(outputs, signature.outputs, strict=True)],
    )


def _argument(name: str, kind: ua.VariantType, text: str) -> ua.Argument:
    return ua.Argument(name, ua.NodeId(kind.value), -1, [], ua.LocalizedText(text))
