"""The life of modules for programs: the list, one module, each step and swap; `dry_run` shows what would change."""

from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import encode
from hmi.access import ADOPT, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.life import FormError, counted, eui_of, hour_of
from hmi.pages.modules import matching
from hmi.paging import Page
from hmi.services import Services
from scada.site import Module, ModuleState, Step, StepKind, Swap, SwappedMeter

METER = {"final_register": float, "new_channel": int, "serial": str, "pulses_per_unit": float, "start_register": float}


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/modules")
    @allow(STAFF)
    def modules() -> Any:
        directory = services.registry.directory
        state = request.args.get("state", "")
        if state and state not in ModuleState._value2member_map_:
            raise BadRequest(f"state: expected one of {', '.join(ModuleState)}")
        where = request.args.get("concentrator", "")
        found = matching(directory, q=request.args.get("q", ""), state=state, concentrator=where)
        page = Page.of(found, request.args.get("page", "1"), whole("size", 100, 1, 1000))
        return jsonify({"modules": [encode.module(one) for one in page.rows], "page": page.number, "pages": page.pages,
                        "total": page.total})

    @blueprint.get("/modules/<eui>")
    @allow(STAFF)
    def module(eui: str) -> Any:
        directory = services.registry.directory
        found = _found(eui)
        heir = directory.replacement_of_eui.get(found.eui)
        return jsonify(encode.module(found) | {
            "meters": [encode.meter(one) for one in directory.meters_of_eui.get(found.eui, ())],
            "heir": f"{heir.heir:016x}" if heir else None,
        })

    @blueprint.post("/modules/<eui>/steps")
    @allow(ADOPT)
    def step(eui: str) -> Any:
        kind = fields(step=str)["step"]
        if kind not in StepKind._value2member_map_:
            raise BadRequest(f"step: expected one of {', '.join(StepKind)}")
        return _do(Step(StepKind(kind), _found(eui).eui, optional("concentrator")), services.registry.step)

    @blueprint.post("/modules/<eui>/swap")
    @allow(ADOPT)
    def swap(eui: str) -> Any:
        body = fields(new_eui=str, at=str)
        try:
            hour, new = hour_of(body["at"], services.site.timezone), eui_of(body["new_eui"])
        except FormError as error:
            raise BadRequest(str(error)) from None
        return _do(counted(services, Swap(_found(eui).eui, new, hour, _meters())), services.registry.swap)

    @blueprint.get("/groups/<name>/keys")
    @allow(STAFF)
    def group_keys(name: str) -> Any:
        found = services.group_keys.group_keys(name) or abort(404, f"no load group {name}")
        return jsonify(encode.group_keys(found))

    def _do(wish: Step | Swap, carry_out: Any) -> Any:
        """The change as it is previewed; carried out unless it is a dry run. Again is once."""
        actor = g.session.actor()
        change = services.in_reactor(services.registry.preview, actor, wish)
        body = request.get_json(silent=True)
        if isinstance(body, dict) and body.get("dry_run") is True:
            return jsonify({"change": encode.change(change), "done": False})
        module = services.in_reactor(carry_out, actor, wish)
        return jsonify({"change": encode.change(change), "done": True, "module": encode.module(module)})

    def _found(eui: str) -> Module:
        try:
            found = services.registry.directory.module_of_eui.get(eui_of(eui))
        except FormError as error:
            raise BadRequest(str(error)) from None
        return found or abort(404, f"no module {eui}")


def _meters() -> tuple[SwappedMeter, ...]:
    body: Any = request.get_json(silent=True)
    given = body.get("meters", [])
    if not isinstance(given, list) or len(given) > 8:
        raise BadRequest("meters: expected a list of at most 8 channels")
    found = []
    for one in given:
        channel = one.get("channel") if isinstance(one, dict) else None
        if not isinstance(channel, int) or isinstance(channel, bool) or set(one) - {"channel", *METER}:
            raise BadRequest(f"meters: expected objects of channel (int) and any of {', '.join(METER)}")
        values: dict[str, Any] = {}
        for name, kind in METER.items():
            value = one.get(name)
            numeric = (int, float) if kind is float else kind
            if value is not None and (not isinstance(value, numeric) or isinstance(value, bool)):
                raise BadRequest(f"meters: {name}: expected {kind.__name__}")
            if value is not None:
                values[name] = kind(value)
        found.append(SwappedMeter(channel, **values))
    return tuple(found)
