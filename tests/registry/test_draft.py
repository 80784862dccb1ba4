"""How what was written is put into a site: what stays, what goes, what the registry knows better."""

from pathlib import Path

import attrs
import pytest

from scada.commands import LoadClass
from scada.errors import ConfigError
from scada.registry import exchange
from scada.registry.draft import Outcome, put_into
from scada.site import LoadGroup, ModuleState, Site
from tests.registry.sites import HIGH, a_site


def put(tmp_path: Path, text: str, old: Site | None = None, *, replace: bool = False) -> Outcome:
    (tmp_path / "site.yaml").write_text(text)
    return put_into(exchange.read(tmp_path / "site.yaml"), a_site() if old is None else old, replace=replace)


def test_a_field_that_is_not_named_stays(tmp_path: Path) -> None:
    """An import of one field changes one field; the order of things stays too."""
    outcome = put(tmp_path, f"modules: [{{eui: {HIGH:016X}, title: Attic}}]")

    assert outcome.site.modules[0] == attrs.evolve(a_site().modules[0], title="Attic")
    assert outcome.site.modules[1:] == a_site().modules[1:]
    assert (outcome.changed["modules"], sum(outcome.added.values()), sum(outcome.removed.values())) == (1, 0, 0)


def test_a_form_factor_has_all_three_of_its_figures(tmp_path: Path) -> None:
    """Or none, and then the shipped one is taken; what is missing is named."""
    with pytest.raises(ConfigError, match=r"transformers\.0\.form_together: is missing"):
        put(tmp_path, "transformers: [{name: T02, form_alone: 0.9, form_alike: 0.5}]")
    made = put(tmp_path, "transformers: [{name: T02, form_alone: 0.9, form_together: 0, form_alike: 0.5}, {name: T03}]")

    assert [one.form_alike for one in made.site.transformers[1:]] == [0.5, None]


def test_with_replace_the_file_is_the_whole_site(tmp_path: Path) -> None:
    """What it does not hold goes; fields it does not name get their defaults."""
    outcome = put(tmp_path, "transformers: [{name: T01}]", replace=True)

    assert outcome.site.transformers[0].title == ""
    assert outcome.site.modules == ()
    assert (outcome.removed["modules"], outcome.changed["transformers"]) == (3, 1)


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_does_not_name_the_state_does_not_undo_an_adoption(tmp_path: Path, replace: bool) -> None:
    """The registry knows the life cycle better than a file from before the installation."""
    exchange.write(attrs.evolve(a_site(), modules=tuple(attrs.evolve(one, state=ModuleState.DISCOVERED)
                                                        for one in a_site().modules)), tmp_path / "site.yaml")
    outcome = put_into(exchange.read(tmp_path / "site.yaml"), a_site(), replace=replace)

    assert outcome.site.modules == a_site().modules
    assert outcome.unchanged


@pytest.mark.parametrize("replace", [False, True])
def test_the_epoch_rises_when_members_change_and_never_goes_back(tmp_path: Path, replace: bool) -> None:
    """Concentrators hold a membership under its epoch: an old number for a new membership would be obeyed wrongly."""
    text = (tmp_path / "whole.yaml")
    exchange.write(a_site(), text)
    old = attrs.evolve(a_site(), load_groups=(attrs.evolve(a_site().load_groups[0], epoch=5, members=(HIGH,)),))
    outcome = put_into(exchange.read(text), old, replace=replace)

    assert outcome.site.load_groups[0].members == (HIGH + 1, HIGH)
    assert outcome.site.load_groups[0].epoch == 6
    again = put_into(exchange.read(text), outcome.site, replace=replace)
    assert again.unchanged


def test_what_the_desk_will_refuse_is_a_warning_with_its_place(tmp_path: Path) -> None:
    """Red, never, yellow in a green group, protected: the import goes on, the person is told."""
    site = a_site()
    loads = (
        attrs.evolve(site.loads[0], load_class=LoadClass.RED, consumer="K2"),
        attrs.evolve(site.loads[1], never=True),
    )
    groups = (LoadGroup("LG-1", 7, LoadClass.GREEN, members=(HIGH, HIGH + 1)),)
    exchange.write(attrs.evolve(site, loads=loads, load_groups=groups), tmp_path / "site.yaml")
    outcome = put_into(exchange.read(tmp_path / "site.yaml"), Site())
    told = [str(one).partition("members: ")[2] for one in outcome.warnings]

    assert told == [
        "load FEDCBA9876543210 is red and is never shed",
        "load FEDCBA9876543210 belongs to the protected consumer K2",
        "load FEDCBA9876543211 is marked never and refuses by itself",
        "load FEDCBA9876543211 is yellow in a green group: minutes, not hours",
    ]
    assert all(one.line for one in outcome.warnings)


def test_a_group_without_feed_and_a_channel_too_many_are_warnings(tmp_path: Path) -> None:
    """Both are filled in later, or corrected by the field."""
    outcome = put(
        tmp_path,
        "balance_groups: [{name: BG-9, medium: water, members: [W1]}]\n"
        "meters: [{serial: w, point: W1, eui: 0000000000000003, channel: 1, pulses_per_unit: 100,"
        " valid_from: 2026-01-01T00:00Z}]",
    )

    assert [str(one).rpartition(": ")[2] for one in outcome.warnings] == [
        "no balance can be made", "channel 1 of a module with 1 channels (the first is 0)"
    ]


def test_periods_that_touch_do_not_overlap_and_periods_that_do_are_named(tmp_path: Path) -> None:
    """A long period over two short ones is found too; the end is exclusive."""

    def meter(serial: str, channel: int, first: int, end: int) -> str:
        return (
            f"- {{serial: {serial}, point: W1, eui: 0000000000000003, channel: {channel}, pulses_per_unit: 1,"
            f" valid_from: 2026-01-0{first}T00:00Z, valid_to: 2026-01-0{end}T00:00Z}}"
        )

    put(tmp_path, "\n".join(["meters:", meter("a", 0, 1, 2), meter("b", 0, 2, 3)]))
    wrong = [meter("long", 0, 1, 6), meter("in", 0, 2, 3), meter("late", 1, 5, 7), meter("back", 2, 7, 6)]
    with pytest.raises(ConfigError) as caught:
        put(tmp_path, "\n".join(["meters:", *wrong]))

    assert [(one.line, one.expected.partition(" (")[0]) for one in caught.value.problems] == [
        (3, "overlaps meter 'long' on the same channel"),
        (3, "overlaps meter 'long' on the same point"),
        (4, "overlaps meter 'long' on the same point"),
        (5, "expected an hour after valid_from"),
    ]


def test_an_error_against_what_the_registry_holds_is_told_at_the_line_of_the_file(tmp_path: Path) -> None:
    """The new meter overlaps one that was imported last year."""
    with pytest.raises(ConfigError, match=r"site.yaml:1: meters.0.valid_from: overlaps meter 'A2' on the same channel"):
        put(tmp_path, f"meters: [{{serial: A3, point: W1, eui: {HIGH:016X}, channel: 0, pulses_per_unit: 1,"
                      " valid_from: 2026-01-01T00:00Z}]")


def test_devices_share_one_name_space(tmp_path: Path) -> None:
    """A concentrator called like a transformer would speak with its tags; so would everything else that has some."""
    with pytest.raises(ConfigError, match=r"concentrators\.0\.name: concentrator T01 and transformer T01 share a name"):
        put(tmp_path, "concentrators: [{name: T01, link_id: 00000001}]")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("balance_groups", "LG-1", "balance group LG-1 and load group LG-1 share a name"),
        ("balance_groups", "C01-001", "balance group C01-001 and module C01-001 share a name"),
        ("balance_groups", "Dispatch", "balance group Dispatch and the desk's own tags share a name"),
        ("balance_groups", "Alarms", "balance group Alarms and the alarms' own tags share a name"),
        ("balance_groups", "Alarm.T01", "balance group Alarm.T01 and the alarm tags of a device share a name"),
        ("balance_groups", "C01-001.ch0", "balance group C01-001.ch0 and a part of module C01-001 share a name"),
        ("balance_groups", "C01-sensors", "balance group C01-sensors and a part of concentrator C01 share a name"),
        ("balance_groups", "C01-network", "balance group C01-network and a part of concentrator C01 share a name"),
        ("balance_groups", "T01-losses", "balance group T01-losses and the losses of transformer T01 share a name"),
        ("transformers", "BG-1-phases", "transformer BG-1-phases and the phases of balance group BG-1 share a name"),
        ("transformers", "server.process", "transformer server.process and the server's own tags share a name"),
    ],
)
def test_both_who_share_a_name_are_named(tmp_path: Path, kind: str, name: str, said: str) -> None:
    """Groups, and what the server itself puts on the bus, are in the name space too; the second is refused."""
    medium = ", medium: water" if kind == "balance_groups" else ""
    with pytest.raises(ConfigError) as caught:
        put(tmp_path, f"{kind}: [{{name: {name}{medium}}}]")

    assert [one.expected for one in caught.value.problems] == [
        f"{said}; expected another one, for whatever has tags needs its own"
    ]


def test_a_name_that_only_looks_like_a_part_is_free(tmp_path: Path) -> None:
    """Of something that has no such parts, or does not exist."""
    put(tmp_path, "balance_groups: [{name: T01.ch0, medium: water}, {name: north-sensors, medium: water}]")


@pytest.mark.parametrize("name", ["", " ", "x/y", "x" * 65, "a\\tb"])
def test_a_name_that_cannot_be_a_key_is_refused(tmp_path: Path, name: str) -> None:
    """Names stand in tag ids, files and pages."""
    with pytest.raises(ConfigError, match=r"transformers\.0\.name: expected"):
        put_into(exchange.read(_named(tmp_path, name)), Site())


def _named(tmp_path: Path, name: str) -> Path:
    (tmp_path / "site.yaml").write_text(f'transformers: [{{name: "{name}", title: x}}]')
    return tmp_path / "site.yaml"


def test_a_thousand_errors_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    """A file in the wrong format does not fill the terminal for ever."""
    with pytest.raises(ConfigError) as caught:
        put(tmp_path, "points:\n" + "- {nam: x}\n" * 1500)
    assert len(caught.value.problems) == 1001
    assert caught.value.problems[-1].expected == "and 500 more"


def test_a_supply_that_cannot_be_is_an_error_and_one_without_a_meter_a_warning(tmp_path: Path) -> None:
    """A contactor on water, two supplies on one module, a point that is not there; and a bypass nobody would see."""
    with pytest.raises(ConfigError) as refused:
        put(
            tmp_path,
            "supplies:\n"
            "- {point: W1, eui: 0000000000000003, kind: contactor}\n"
            f"- {{point: P2, eui: {HIGH:016X}, kind: breaker}}\n"
            "- {point: P9, eui: 0000000000000009, kind: valve}",
        )
    outcome = put(tmp_path, "supplies: [{point: W1, eui: 0000000000000003, kind: valve}]")

    assert [str(one).partition("supplies.")[2] for one in refused.value.problems] == [
        "0.kind: point W1 measures water; expected a valve",
        f"1.eui: '{HIGH:016X}' stands twice, the other is P1; expected it once",
        "2.point: no point P9; expected one that exists",
        "2.eui: no module 0000000000000009; expected one that exists",
    ]
    assert [str(one).rpartition(": ")[2] for one in outcome.warnings] == ["a bypass of its supply would not be seen"]
    assert outcome.added["supplies"] == 1
