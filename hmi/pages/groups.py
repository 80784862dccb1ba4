"""One load group: its members, and how far its key has come to each of them."""

from typing import Any, Final

from flask import Blueprint, abort, render_template, request

from hmi.access import STAFF, allow
from hmi.paging import Page
from hmi.services import Services

SIZE: Final = 100


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("groups", __name__)

    @blueprint.get("/groups/<name>")
    @allow(STAFF)
    def page(name: str) -> Any:
        directory = services.registry.directory
        group = directory.load_group.get(name) or abort(404)
        state = services.group_keys.group_keys(name) or abort(404)
        missing = {eui for share in state.shares for eui in share.missing}
        unplaced = set(state.unplaced)
        members = sorted(group.members, key=lambda eui: eui not in missing and eui not in unplaced)
        shown = Page.of(members, request.args.get("page", "1"), SIZE)
        key = dict.fromkeys(missing, "missing") | dict.fromkeys(unplaced, "unplaced")
        rows = [(directory.module_of_eui.get(eui), eui, key.get(eui, "held")) for eui in shown.rows]
        return render_template("group.html", group=group, state=state, page=shown, rows=rows)

    return blueprint
