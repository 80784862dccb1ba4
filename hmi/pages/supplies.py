"""Single supplies: how each stands and who holds it off; and one of them with its two persons, holders and history."""

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import labels
from hmi.access import DISPATCH, LOCAL, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page, fits
from hmi.reasons import in_words
from hmi.services import Services
from scada.errors import CommandRejected
from scada.supplies import (
    Effect,
    Holding,
    HoldReason,
    SupplyNews,
    SupplyRequest,
    SupplyState,
    SupplyStatus,
    SwitchAction,
    SwitchState,
)

SIZE: Final = 100
HISTORY: Final = 50
WORDS: Final = {
    **{action.value: text for action, text in labels.SWITCH_ACTION.items()},
    **{reason.value: text for reason, text in labels.HOLD_REASON.items()},
}
SHOWN: Final[dict[str, Callable[[SupplyStatus], bool]]] = {
    "all": lambda one: True,
    "off": lambda one: one.state is SupplyState.OFF or bool(one.holders),
    "pending": lambda one: one.switch is not None and one.switch.state is SwitchState.REQUESTED,
    "bypass": lambda one: one.effect is Effect.BYPASS,
}


def make(services: Services) -> Blueprint:
    blueprint, supplies = Blueprint("supplies", __name__), services.supplies

    def then(back: str, said: str, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do it, say so on the page it goes back to; or say every reason against it."""
        try:
            services.in_reactor(work, g.session.actor(), *args, **kwargs)
        except CommandRejected as error:
            for reason in error.reasons:
                notice(in_words(reason), "error")
        else:
            notice(said)
        return redirect(url_for("supplies.one", point=back) if back else url_for("supplies.page"))

    @blueprint.get("/supplies")
    @allow(STAFF)
    def page() -> Any:
        every = supplies.supplies()
        counts = {shown: sum(map(fitting, every)) for shown, fitting in SHOWN.items()}
        name = request.args.get("show", "all")
        query = request.args.get("q", "")[:200]
        chosen = SHOWN.get(name, SHOWN["all"])
        found = [one for one in every if chosen(one) and fits(query, one.point, one.title, one.module, one.area)]
        shown = Page.of(found, request.args.get("page", "1"), SIZE)
        areas = sorted({one.area for one in services.registry.directory.site.concentrators if one.area})
        return render_template(
            "supplies.html", page=shown, show=name, counts=counts, query=query, locals=supplies.locals(), areas=areas
        )

    @blueprint.get("/supplies/<point>")
    @allow(STAFF)
    def one(point: str) -> Any:
        found = supplies.supply(point) or abort(404)
        before = request.args.get("before", "")
        news = supplies.history(point, int(before) if before.isdecimal() and len(before) < 12 else None, HISTORY)
        return render_template(
            "supply.html", one=found, news=[(line, _told(line)) for line in news], size=HISTORY, reasons=tuple(HoldReason),
            mine=found.switch is not None and found.switch.requested_by == g.session.account.name,
        )

    @blueprint.post("/supplies/<point>/disconnect")
    @allow(DISPATCH)
    def disconnect(point: str) -> Any:
        holding = _holding()
        wish = SupplyRequest(
            point, SwitchAction.DISCONNECT, holding.reason if holding else None, *_texts("tag", "name", "note")
        )
        return then(point, _("Asked for. A second person must confirm before anything is sent."), supplies.request, wish)

    @blueprint.post("/supplies/<point>/reconnect")
    @allow(DISPATCH)
    def reconnect(point: str) -> Any:
        wish = SupplyRequest(point, SwitchAction.RECONNECT, note=_texts("note")[0])
        return then(point, _("Asked for. A second person must confirm before anything is sent."), supplies.request, wish)

    @blueprint.post("/supplies/<point>/confirm")
    @allow(DISPATCH)
    def confirm(point: str) -> Any:
        said = _("Confirmed. What the field answers is shown here.")
        return then(point, said, supplies.confirm, point, request.form.get("switch", ""))

    @blueprint.post("/supplies/<point>/withdraw")
    @allow(DISPATCH)
    def withdraw(point: str) -> Any:
        return then(point, _("The request is withdrawn."), supplies.withdraw, point, request.form.get("switch", ""))

    @blueprint.post("/supplies/<point>/hold")
    @allow(DISPATCH)
    def hold(point: str) -> Any:
        holding = _holding() or abort(400)
        said = _("Entered: the supply returns only when everybody has released it.")
        return then(point, said, supplies.hold, point, holding)

    @blueprint.post("/supplies/<point>/release")
    @allow(DISPATCH)
    def release(point: str) -> Any:
        tag, name, note = _texts("tag", "name", "note")
        return then(
            point, _("Released. The supply does not return by that."), supplies.release, point,
            request.form.get("holder", ""), tag=tag, name=name, note=note,
        )

    @blueprint.post("/supplies")
    @allow(LOCAL)
    def local() -> Any:
        """The say goes to people on site, or comes back."""
        form, on = request.form, request.form.get("local") == "1"
        point, area = form.get("point", ""), form.get("area", "")
        said = _("In local: nothing is switched from here.") if on else _("In remote: it may be switched from here.")
        return then(point, said, supplies.set_local, point=point, area=area, local=on, note=_texts("note")[0])

    return blueprint


def _told(line: SupplyNews) -> str:
    """The detail of a line of history; what was asked for, and why, in the words of the page."""
    if line.what not in ("requested", "hold", "release"):
        return in_words(line.detail)
    return " ".join(str(WORDS.get(word.rstrip(":"), word)) for word in line.detail.split(" "))


def _texts(*names: str) -> tuple[str, ...]:
    return tuple(request.form.get(name, "").strip() for name in names)


def _holding() -> Holding | None:
    given = request.form.get("reason", "")
    tag, name, note = _texts("tag", "name", "note")
    return Holding("", HoldReason(given), "", 0, tag, name, note) if given in tuple(HoldReason) else None
