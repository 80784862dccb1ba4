"""What means over an hour hide of a transformer's consumers: the form factor that was fitted to them, kept or forgotten."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from scada.registry.checks import check
from scada.registry.draft import refused
from scada.site import Site, Transformer

FIELDS: Final = ("form_alone", "form_together", "form_alike", "form_doubt", "form_minutes", "form_source")


def with_form(site: Site, transformer: str, values: Mapping[str, Any]) -> Site:
    """
    Return the site with another form factor at one of its transformers; no `values` at all: the one that is shipped.

    Raises `ConfigError` with everything that is wrong with the figures.
    """
    forgotten = {name: attrs.fields_dict(Transformer)[name].default for name in FIELDS}
    made = tuple(
        attrs.evolve(one, **{**forgotten, **values}) if one.name == transformer else one for one in site.transformers
    )
    if wrong := [one for one in check(Site(transformers=made)) if not one.warning]:
        raise refused(Site(transformers=made), wrong)
    return attrs.evolve(site, transformers=made)
