"""Firmware: images with their signer, campaigns with their stages and why they stand, and every module's state."""

import re
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import ROLL_OUT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page, names
from hmi.reasons import in_words
from hmi.rollouts import DOINGS, bar, delivered, do, offered
from hmi.services import Services
from scada.errors import CommandRejected
from scada.rollout import CampaignRequest, CampaignStatus, UpdateFilter, UpdateState

SIZE: Final = 30                        # campaigns on a page
MODULES: Final = 200
CONFIRMED: Final = ("start", "approve", "resume", "abort")      # a pause needs no second thought
HOUR_S: Final = 3600
NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("firmware", __name__)

    @blueprint.get("/firmware")
    @allow(STAFF)
    def page() -> Any:
        return _page(services)

    @blueprint.post("/firmware")
    @allow(ROLL_OUT)
    def draft() -> Any:
        form, wrong = request.form, list[str]()
        wish = CampaignRequest(
            form.get("image", ""), names(form.get("concentrators", "")), names(form.get("groups", "")),
            round(_number("canary", 5, wrong)), round(_number("wave", 200, wrong)),
            round(_number("soak_hours", 24, wrong) * HOUR_S), _number("most_failed_percent", 5, wrong),
            round(_number("patience_hours", 48, wrong) * HOUR_S), form.get("reason", "").strip(),
        )
        if wrong:
            return _page(services, refused=wrong), 400
        try:
            made = services.in_reactor(services.firmware.draft, g.session.actor(), wish)
        except CommandRejected as error:
            return _page(services, refused=error.reasons), 409
        return redirect(url_for("firmware.campaign", number=made.number))

    @blueprint.get("/firmware/<int:number>")
    @allow(STAFF)
    def campaign(number: int) -> Any:
        found = _found(services, number)
        state, stage = request.args.get("state", ""), request.args.get("stage", "")
        asked = request.args.get("page", "1")
        wanted = UpdateFilter(
            (UpdateState[state.upper()],) if state.upper() in UpdateState.__members__ else (),
            int(stage) if stage.isdecimal() and len(stage) < 9 else None,
            most=MODULES,
        )
        _rows, total = services.firmware.updates(number, wanted)
        cut = Page.of(range(total), asked, MODULES)
        if cut.rows:
            wanted = UpdateFilter(wanted.states, wanted.stage, cut.rows[0], MODULES)
        rows, _total = services.firmware.updates(number, wanted)
        return render_template(
            "campaign.html", campaign=found, page=cut, rows=rows, wanted=wanted, doings=offered(found), bar=bar,
            delivered=delivered, UpdateState=UpdateState,
            query={"state": state, "stage": stage},
        )

    @blueprint.get("/firmware/<int:number>/<doing>")
    @allow(ROLL_OUT)
    def review(number: int, doing: str) -> Any:
        return _review(services, _found(services, number), doing)

    @blueprint.post("/firmware/<int:number>/<doing>")
    @allow(ROLL_OUT)
    def act(number: int, doing: str) -> Any:
        found = _found(services, number)
        if doing not in DOINGS:
            abort(404)
        if doing in CONFIRMED and request.form.get("confirm", "").strip() != found.image.version:
            said = (_("Type the version to confirm: nothing was changed."),)
            return _review(services, found, doing, said), 400
        why = request.form.get("why", "").strip()
        try:
            do(services, g.session.actor(), number, doing, why, retry=request.form.get("retry") == "1")
        except CommandRejected as error:
            if doing in CONFIRMED:
                return _review(services, found, doing, error.reasons), 409
            for reason in error.reasons:
                notice(in_words(reason), "error")
        return redirect(url_for("firmware.campaign", number=number))

    return blueprint


def _page(services: Services, refused: tuple[str, ...] | list[str] = ()) -> str:
    campaigns = services.firmware.campaigns()
    directory = services.registry.directory
    return render_template(
        "firmware.html", images=services.firmware.images(), refused=refused, bar=bar, form=request.form,
        UpdateState=UpdateState, page=Page.of(campaigns, request.args.get("page", "1"), SIZE),
        concentrators=[one.name for one in directory.site.concentrators[:MODULES]],
        groups=[one.name for one in directory.site.load_groups[:MODULES]],
    )


def _found(services: Services, number: int) -> CampaignStatus:
    return services.firmware.campaign(number) or abort(404)


def _review(services: Services, campaign: CampaignStatus, doing: str, refused: tuple[str, ...] = ()) -> str:
    if doing not in CONFIRMED:
        abort(404)
    return render_template("rollout.html", campaign=campaign, doing=doing, refused=refused, UpdateState=UpdateState)


def _number(name: str, default: float, wrong: list[str]) -> float:
    """A number of the form; what is none is named in `wrong`."""
    text = request.form.get(name, "").strip().replace(",", ".")
    if not text:
        return default
    if len(text) < 10 and NUMBER.fullmatch(text):
        return float(text)
    wrong.append(_("%(text)s is no number.", text=text[:40]))
    return default
