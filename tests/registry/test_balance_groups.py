"""What is wrong with balance groups and their members is named all at once, and what counts twice is named too."""

from pathlib import Path

import pytest

from scada.errors import ConfigError
from scada.registry import exchange
from scada.registry.draft import put_into
from scada.site import BalanceMember, GroupKind, Medium, MemberRole, Site

POINTS = "points: [{name: P1, medium: electricity}, {name: P2, medium: electricity}, {name: P3, medium: electricity}]\n"


def put(folder: Path, text: str, points: str = POINTS):
    (folder / "site.yaml").write_text(points + text, encoding="utf-8")
    return put_into(exchange.read(folder / "site.yaml"), Site())


def test_every_error_of_the_groups_is_named_at_once(tmp_path: Path) -> None:
    """Circles, unknown names, other media, two memberships at a time: one list."""
    with pytest.raises(ConfigError) as caught:
        put(tmp_path, """
balance_groups:
  - {name: A, medium: electricity, members: [B]}
  - {name: B, medium: electricity, members: [A, X]}
  - {name: W, medium: water, members: [P1, A], metering_w: 5}
  - {name: C, medium: electricity, feed_point: P2, members: [P1], kind: village}
  - {name: D, medium: electricity, feed_point: P2, members: [P1, E]}
  - {name: E, medium: electricity, members: [P2]}
balance_members:
  - {group: D, member: P1}
  - {group: D, member: P3, valid_from: 2026-01-01T00:00Z}
  - {group: D, member: P3, valid_from: 2026-02-01T00:00Z, valid_to: 2026-01-01T00:00Z}
  - {group: Z, member: P3}
  - {group: E, member: W}
  - {group: E, member: P1}
  - {group: E, member: P1}
""")
    found = sorted(f"{one.key}: {one.expected}" for one in caught.value.problems)

    assert found == sorted([
        "balance_groups.0.members: A > B > A: a circle; expected groups that do not hold themselves",
        "balance_groups.1.members: B > A > B: a circle; expected groups that do not hold themselves",
        "balance_groups.1.members: no point or balance group X; expected one that exists",
        "balance_groups.2.members: point P1 measures electricity; expected water",
        "balance_groups.2.members: balance group A is of electricity; expected water",
        "balance_groups.2.metering_w: own consumption in W of a group of water; expected 0",
        "balance_groups.3.kind: expected one of free, riser, entry, house, street, district, city, region, country, "
        "found 'village'",
        "balance_groups.4.feed_point: is a member too; expected another point",
        "balance_members.0.member: P1 is always a member of D; expected it in one of the two places",
        "balance_members.2.valid_from: overlaps its membership from 2026-01-01T00:00Z to open; expected one at a time",
        "balance_members.2.valid_to: expected an hour after valid_from",
        "balance_members.3.group: no balance group Z; expected one that exists",
        "balance_members.4.member: balance group W is of water; expected electricity",
        "balance_members.6.group: stands twice, first in "
        f"{tmp_path / 'site.yaml'}:16",
    ])


def test_what_counts_in_two_branches_is_said_and_does_not_stop_the_import(tmp_path: Path) -> None:
    """It is counted once; whoever did not mean it reads it at the import."""
    outcome = put(tmp_path, """
balance_groups:
  - {name: TOP, medium: electricity, feed_tag: M/energy, members: [A, B, P1]}
  - {name: A, medium: electricity, feed_point: P3, members: [P1]}
  - {name: B, medium: electricity, members: [P2]}
  - {name: C, medium: electricity, members: [B, P2]}
""")
    said = {one.expected for one in outcome.warnings if one.key.endswith("members")}

    assert said == {
        "P1 (in P3) is measured by another meter of the group too: counted once",
        "P2 is in it by more than one way: counted once",
    }


def test_a_sub_meter_that_is_in_a_circle_or_of_another_medium_is_an_error(tmp_path: Path) -> None:
    """A meter cannot hang behind itself, and a water meter does not measure electricity."""
    with pytest.raises(ConfigError) as caught:
        put(tmp_path, "", "points: [{name: P1, medium: electricity, sub_meter_of: P2}, {name: W, medium: water, "
            "sub_meter_of: P1}, {name: P2, medium: electricity, sub_meter_of: P1}]\n")

    assert [f"{one.key}: {one.expected}" for one in caught.value.problems] == [
        "points.0.sub_meter_of: P1 in P2 in P1: a circle; expected a meter that no sub-meter of its own measures",
        "points.1.sub_meter_of: P1 measures electricity; expected water",
        "points.2.sub_meter_of: P2 in P1 in P2: a circle; expected a meter that no sub-meter of its own measures",
    ]


def test_one_point_that_takes_and_generates_is_an_error(tmp_path: Path) -> None:
    """Its sign would depend on the way by which it was found."""
    with pytest.raises(ConfigError, match="P1 counts both as consumption and as generation"):
        put(tmp_path, "balance_groups: [{name: A, medium: electricity, members: [B]}, {name: B, medium: electricity, "
            "members: [P1]}]\nbalance_members: [{group: A, member: P1, role: generation}]\n")


def test_a_loss_that_nobody_gave_is_that_of_the_medium(tmp_path: Path) -> None:
    """8, 12, 9 and 12 per cent; a given one stays, also zero."""
    outcome = put(tmp_path, "balance_groups: [" + ", ".join(
        f"{{name: G{n}, medium: {medium.value}}}" for n, medium in enumerate(Medium)
    ) + ", {name: H, medium: gas, normal_loss: 0}]\n")

    assert [one.normal_share for one in outcome.site.balance_groups] == [0.08, 0.12, 0.09, 0.12, 0.0]


def test_members_are_a_file_of_their_own(tmp_path: Path) -> None:
    """A CSV of members beside what the registry holds; read again, it changes nothing."""
    site = put(tmp_path, "balance_groups: [{name: A, medium: electricity, kind: house}]\n").site
    file = tmp_path / "balance_members.csv"
    file.write_text("group,member,valid_from,valid_to,role\nA,P1,,,common\nA,P2,2026-01-01T00:00Z,,generation\n")
    outcome = put_into(exchange.read(file), site)

    assert outcome.site.balance_groups[0].kind is GroupKind.HOUSE
    assert outcome.site.balance_members == (
        BalanceMember("A", "P1", role=MemberRole.COMMON),
        BalanceMember("A", "P2", 490_896, None, MemberRole.GENERATION),
    )
    assert put_into(exchange.read(file), outcome.site).unchanged
