"""Who may open what: every view says its roles; one that does not is refused to everybody.

The desk and the alarm book check again: a button that is hidden here is a courtesy, not a guard.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Flask

from scada import leaks
from scada.cases import MAY_DECIDE
from scada.commands import Role
from scada.phase_orders import MAY_ORDER
from scada.rollout import MAY_ROLL_OUT

View = TypeVar("View", bound=Callable[..., Any])

PUBLIC: Final = frozenset({"public"})
EVERYBODY: Final = frozenset(Role)
STAFF: Final = frozenset(Role) - {Role.SUBSCRIBER, Role.INSTALLER}
DISPATCH: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
LOCAL: Final = DISPATCH | {Role.ENGINEER}
ACKNOWLEDGE: Final = frozenset({Role.DISPATCHER, Role.ENGINEER, Role.ADMINISTRATOR})
READ_NOW: Final = frozenset({Role.DISPATCHER, Role.ENGINEER, Role.ADMINISTRATOR})
ADOPT: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
IMPORT: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
ROLL_OUT: Final = MAY_ROLL_OUT
INSTALL: Final = frozenset({Role.INSTALLER, Role.ENGINEER, Role.ADMINISTRATOR})
PHOTOS: Final = INSTALL | {Role.DISPATCHER}
DECIDE: Final = MAY_DECIDE
ORDER_MOVES: Final = MAY_ORDER
DECIDE_LEAKS: Final = leaks.MAY_DECIDE
COSTS: Final = frozenset({Role.ADMINISTRATOR})
AUDITORS: Final = frozenset({Role.ENGINEER, Role.DISPATCHER, Role.ADMINISTRATOR})


def allow(roles: frozenset[Any], *, takes: int = 0) -> Callable[[View], View]:
    """Classify a view. The same table serves the guard and the test that walks all routes.

    `takes` bytes of body may come where that is more than a form has.
    """

    def mark(view: View) -> View:
        view.__dict__.update(roles=roles, takes=takes)
        return view

    return mark


def roles_of(app: Flask, endpoint: str | None) -> frozenset[Any] | None:
    """The roles that may call an endpoint; None if nobody classified it."""
    view = app.view_functions.get(endpoint or "")
    return getattr(view, "roles", None)


def taken_by(app: Flask, endpoint: str | None) -> int:
    """The bytes of body that an endpoint takes beyond those of a form; 0 if it is one."""
    view = app.view_functions.get(endpoint or "")
    return int(getattr(view, "takes", 0))
