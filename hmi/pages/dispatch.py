"""Load shedding: select, review, execute, watch every module; the desk decides, this page shows what it says."""

from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import encode
from hmi.access import DISPATCH, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.services import Services
from scada.commands import TIMED, Action, CommandState, CommandStatus, LoadClass, ShedRequest
from scada.errors import CommandRejected

ACTIONS: Final = {action.name.lower(): action for action in sorted(TIMED)}
RESTORABLE: Final = (CommandState.COLLECTING, CommandState.ACTIVE, CommandState.UNKNOWN)


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("dispatch", __name__)

    @blueprint.get("/dispatch")
    @allow(STAFF)
    def page() -> Any:
        return _page(services)

    @blueprint.post("/dispatch/select")
    @allow(DISPATCH)
    def select() -> Any:
        minutes, level = request.form.get("minutes", ""), request.form.get("level", "")
        action = ACTIONS.get(request.form.get("action", "shed"), Action.SHED)
        wish = ShedRequest(
            request.form.get("group", ""), int(minutes) * 60 if minutes.isdecimal() and len(minutes) < 6 else 0,
            request.form.get("reason", "").strip()[:200], action,
            int(level) if action is Action.LIMIT and level.isdecimal() and len(level) < 8 else 0,
        )
        try:
            selection = services.in_reactor(services.desk.select, g.session.actor(), wish)
        except CommandRejected as error:
            return _page(services, refused=error.reasons, wish=wish, minutes=minutes), 409
        g.session.remember(selection)
        return redirect(url_for("dispatch.review", selection_id=selection.id))

    @blueprint.get("/dispatch/review/<selection_id>")
    @allow(DISPATCH)
    def review(selection_id: str) -> Any:
        selection = g.session.selections.get(selection_id)
        if selection is None:
            notice(_("This selection is not open any more: select again."), "error")
            return redirect(url_for("dispatch.page"))
        return render_template("review.html", selection=selection, group=_group(services, selection.request.group))

    @blueprint.post("/dispatch/execute")
    @allow(DISPATCH)
    def execute() -> Any:
        selection = g.session.selections.get(request.form.get("selection", ""))
        if selection is None:
            notice(_("This selection is not open any more: select again."), "error")
            return redirect(url_for("dispatch.page"))
        if request.form.get("confirm", "").strip() != selection.request.group:
            said = (_("Type the name of the group to confirm: nothing was sent."),)
            return render_template("review.html", selection=selection, refused=said,
                                   group=_group(services, selection.request.group)), 400
        try:
            command = services.in_reactor(services.desk.execute, g.session.actor(), selection.id)
        except CommandRejected as error:
            return render_template("review.html", selection=selection, refused=error.reasons,
                                   group=_group(services, selection.request.group)), 409
        return redirect(url_for("dispatch.command", command_id=command.id))

    @blueprint.get("/dispatch/commands/<command_id>")
    @allow(STAFF)
    def command(command_id: str) -> Any:
        return _command(services, _found(services, command_id))

    @blueprint.post("/dispatch/commands/<command_id>/restore")
    @allow(DISPATCH)
    def restore(command_id: str) -> Any:
        found = _found(services, command_id)
        try:
            services.in_reactor(services.desk.restore, g.session.actor(), found.id)
        except CommandRejected as error:
            return _command(services, found, error.reasons), 409
        return redirect(url_for("dispatch.command", command_id=found.id))

    return blueprint


def _page(services: Services, **more: Any) -> str:
    directory, actor = services.registry.directory, g.session.actor()
    groups = [
        {
            "group": group,
            "watts": sum(load.rated_w for eui in group.members if (load := directory.load_of_eui.get(eui))),
            "mine": actor.covers(group.area) and actor.role in DISPATCH,
            "longest": group.max_off_s // 60,
            "sheddable": group.load_class is not LoadClass.RED,
        }
        for group in directory.site.load_groups
    ]
    commands = services.desk.commands(30)
    return render_template("dispatch.html", groups=groups, commands=commands, actions=tuple(ACTIONS.values()), **more)


def _group(services: Services, name: str) -> Any:
    return services.registry.directory.load_group.get(name)


def _found(services: Services, command_id: str) -> CommandStatus:
    found = services.desk.command(command_id)
    return found if found is not None else abort(404)


def _command(services: Services, command: CommandStatus, refused: tuple[str, ...] = ()) -> str:
    return render_template(
        "command.html", command=command, refused=refused, restorable=command.state in RESTORABLE,
        encoded=encode.command(command),
    )
