"""How far a group's key has come to its members: what the driver knows, and pages and commands show."""

import attrs


@attrs.frozen
class GroupKeyShare:
    """The members at one concentrator."""

    concentrator: str
    in_use: int                         # epoch that its commands go out under; 0: none yet
    members: int
    missing: tuple[int, ...]            # EUIs that are not known to hold the key of the newest epoch

    @property
    def held(self) -> int:
        return self.members - len(self.missing)


@attrs.frozen
class GroupKeyState:
    """One group in its newest epoch."""

    group: str
    number: int
    epoch: int
    shares: tuple[GroupKeyShare, ...]
    unplaced: tuple[int, ...] = ()      # EUIs of members that no concentrator lists

    @property
    def members(self) -> int:
        return sum(one.members for one in self.shares) + len(self.unplaced)

    @property
    def held(self) -> int:
        return sum(one.held for one in self.shares)
