"""`scada site modules`, `commission`, `adopt`, `retire`, `move`: the life of modules, beside a running server."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from scada.cli.output import print_json, print_table
from scada.cli.site import AS_JSON, CONFIG, person, registry_of, site
from scada.registry.kinds import EUI, hour_text
from scada.site import Directory, ModuleState, SiteChange, Step, StepKind

MOST = 100
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")


def eui_of(directory: Directory, text: str) -> int:
    """A module by its name or EUI; raises `click.UsageError`."""
    module = directory.module_of_name.get(text)
    try:
        return int(module.eui if module else EUI.read(text))
    except ValueError as error:
        raise click.UsageError(f"{text}: no module has this name, and as an EUI: {error}") from None


@site.command("modules")
@CONFIG
@click.option("--state", type=click.Choice([one.value for one in ModuleState]), help="Only these.")
@click.option("--concentrator", default="", help="Only its modules.")
@click.option("--limit", default=MOST, show_default=True, help="Lines shown; the counts are of all.")
@AS_JSON
def modules(config: Path, state: str | None, concentrator: str, limit: int, as_json: bool) -> None:
    """Modules by the state of their life, with counts."""
    with registry_of(config) as database:
        found = [
            one for one in database.load().modules
            if (state is None or one.state.value == state) and (not concentrator or one.concentrator == concentrator)
        ]
    counts = Counter(one.state for one in found)
    rows = [
        (one.name, f"{one.eui:016X}", str(one.state), one.concentrator, str(one.index or "-"), one.adapter, one.building)
        for one in found[:limit]
    ]
    if as_json:
        names = ("name", "eui", "state", "concentrator", "index", "adapter", "building")
        print_json({"counts": dict(counts), "modules": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    said = ", ".join(f"{count} {one}" for one in ModuleState if (count := counts[one])) or "none"
    print_table(f"modules: {said}", ("name", "EUI", "state", "concentrator", "index", "adapter", "building"), rows)
    if len(found) > limit:
        click.echo(f"{len(found) - limit} more; --limit shows them")


def _step(config: Path, kind: StepKind, module: str, concentrator: str, dry_run: bool, as_json: bool) -> None:
    with registry_of(config) as database:
        wish = Step(kind, eui_of(database.directory(database.load()), module), concentrator)
        change = database.preview(person(), wish)
        if not dry_run:
            database.step(person(), wish)
    tell_change(change, dry_run=dry_run, as_json=as_json)


@site.command("commission")
@CONFIG
@click.argument("module")
@DRY_RUN
@AS_JSON
def commission(config: Path, module: str, dry_run: bool, as_json: bool) -> None:
    """Begin to put MODULE (name or EUI) into service: whoever has begun says when it is done."""
    _step(config, StepKind.COMMISSION, module, "", dry_run, as_json)


@site.command("adopt")
@CONFIG
@click.argument("module")
@DRY_RUN
@AS_JSON
def adopt(config: Path, module: str, dry_run: bool, as_json: bool) -> None:
    """MODULE (name or EUI) is in service."""
    _step(config, StepKind.ADOPT, module, "", dry_run, as_json)


@site.command("retire")
@CONFIG
@click.argument("module")
@DRY_RUN
@AS_JSON
def retire(config: Path, module: str, dry_run: bool, as_json: bool) -> None:
    """Take MODULE (name or EUI, without meters) out of service for good; it leaves its groups and the radio list."""
    _step(config, StepKind.RETIRE, module, "", dry_run, as_json)


@site.command("move")
@CONFIG
@click.argument("module")
@click.argument("concentrator")
@DRY_RUN
@AS_JSON
def move(config: Path, module: str, concentrator: str, dry_run: bool, as_json: bool) -> None:
    """MODULE (name or EUI) belongs to CONCENTRATOR: the answer to a module that is heard in another subnet."""
    _step(config, StepKind.MOVE, module, concentrator, dry_run, as_json)


def tell_change(change: SiteChange, *, dry_run: bool, as_json: bool, **more: Any) -> None:
    """What changed, or would."""
    if as_json:
        click.echo(json.dumps({
            "dry_run": dry_run, "modules": {now.name: str(now.state) for _, now in change.modules},
            "closed": [one.serial for one in change.closed], "opened": [one.serial for one in change.opened],
            "groups": {now.name: now.epoch for _, now in change.groups}, **more,
        }))
        return
    if change.nothing:
        click.echo("nothing changes: it is so already")
        return
    rows = [("module", now.name, f"{was.state} at {was.concentrator}" if was else "-", f"{now.state} at {now.concentrator}")
            for was, now in change.modules]
    rows += [
        ("meter ends", f"{one.serial} at {one.point}", hour_text(one.valid_from), _end(one.valid_to, one.final_register))
        for one in change.closed
    ]
    rows += [("meter begins", f"{one.serial} at {one.point}", "-", hour_text(one.valid_from)) for one in change.opened]
    rows += [("load group", now.name, f"epoch {was.epoch}, {len(was.members)} members",
              f"epoch {now.epoch}, {len(now.members)} members") for was, now in change.groups]
    print_table("would change" if dry_run else "changed", ("what", "name", "was", "is"), rows)


def _end(hour: int | None, register: float | None) -> str:
    at = "-" if hour is None else hour_text(hour)
    return f"{at}, final register {'not given' if register is None else f'{register:g}'}"
