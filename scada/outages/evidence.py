"""What is known when a cause is looked for: who was last heard when, who said what, who hangs on whom. Pure."""

from collections.abc import Mapping
from functools import cached_property

import attrs


@attrs.frozen
class Witness:
    """One module."""

    name: str
    concentrator: str
    parent: str = ""                    # module it was last heard through, by the tree of then; "" the concentrator itself
    building: str = ""
    riser: str = ""
    heard: int = 0                      # ns, last, by whomever
    lost: int = 0                       # ns, since when its concentrator calls it lost; 0: it does not
    dark: int = 0                       # ns, since when it says its supply is lost; 0: it does not
    battery_low: bool = False


@attrs.frozen
class Post:
    """One concentrator."""

    name: str
    up: bool = True
    changed: int = 0                    # ns, when its link went up or down; 0: it was never up since the start
    dark: int = 0                       # ns, since when it says its own supply is lost; 0: it does not
    area: str = ""


@attrs.frozen
class Evidence:
    posts: tuple[Post, ...]
    witnesses: tuple[Witness, ...]

    @cached_property
    def post(self) -> Mapping[str, Post]:
        return {one.name: one for one in self.posts}

    @cached_property
    def witness(self) -> Mapping[str, Witness]:
        return {one.name: one for one in self.witnesses}

    @cached_property
    def out(self) -> Mapping[str, int]:
        """Who is out, and since when [ns]: silent, or heard and saying that its supply is lost."""
        return {one.name: since for one in self.witnesses if (since := self._since(one))}

    @cached_property
    def silent(self) -> Mapping[str, int]:
        """Who is not heard by anybody, and since when. [ns]"""
        return {one.name: since for one in self.witnesses if (since := self._silent(one))}

    def _since(self, one: Witness) -> int:
        signs = [one.dark] if one.dark else []
        if silent := self._silent(one):
            signs.append(silent)
        return min(signs, default=0)

    def _silent(self, one: Witness) -> int:
        """Since when a module is not heard, 0 if it is: a word after the loss, whoever heard it, ends it."""
        if one.lost and one.heard <= one.lost:
            return one.lost
        post = self.post.get(one.concentrator)
        if post is not None and not post.up and post.changed and one.heard <= post.changed:
            return post.changed
        return 0
