"""What a visitor sees when something does not work: a sentence, never a traceback."""

from typing import Any

from flask import Flask, g, jsonify, render_template
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException

from hmi.bridge import Unavailable
from hmi.i18n import _
from hmi.reasons import in_words
from hmi.security import wants_json
from scada.errors import CommandRejected, ScadaError

log = Logger()


def install(app: Flask) -> None:
    def answer(status: int, said: str, reasons: tuple[str, ...] = ()) -> Any:
        if not g.get("by_bearer"):                          # a program gets them as they are
            said, reasons = in_words(said), tuple(in_words(reason) for reason in reasons)
        if wants_json():
            return jsonify({"error": said, "reasons": list(reasons)}), status
        return render_template("error.html", status=status, said=said, reasons=reasons), status

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        status = error.code or 500
        texts = {
            400: _("This request cannot be understood."), 401: _("Log in first."), 403: _("Your role does not allow this."),
            404: _("There is no such page or object."), 405: _("This cannot be asked for in this way."),
            413: _("This request is too large."), 429: _("Too many attempts. Wait a while."),
        }
        ours = error.description if error.description != type(error).description else None     # not the library's English
        stated = ours if wants_json() or (status == 403 and "form" in (ours or "")) else None
        return answer(status, stated or texts.get(status, _("Something went wrong.")))

    @app.errorhandler(CommandRejected)
    def rejected(error: CommandRejected) -> Any:
        return answer(409, _("The request was refused."), error.reasons)

    @app.errorhandler(Unavailable)
    def unavailable(error: Unavailable) -> Any:
        return answer(503, str(error))

    @app.errorhandler(ScadaError)
    def failed(error: ScadaError) -> Any:
        return answer(503, str(error))

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Any:
        log.failure("page failed")
        return answer(500, _("Something went wrong. The server's log has the details."))
