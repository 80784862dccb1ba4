"""One thing that is wrong with a site."""

import attrs

from scada.errors import Problem
from scada.registry.kinds import KIND
from scada.site import Site


@attrs.frozen
class Finding:
    """One thing wrong with one thing of the site; where it was written is added by who knows."""

    kind: str
    position: int                       # in the site's tuple of that kind
    field: str
    expected: str
    warning: bool = False

    def problem(self, site: Site) -> Problem:
        """Told without a file: the thing is named by its key."""
        label = KIND[self.kind].label(getattr(site, self.kind)[self.position])
        return Problem("registry", f"{self.kind}.{label}.{self.field}", self.expected)
