"""Link keys of the simulated field: made once, kept private, wrong files named."""

import json
from pathlib import Path

import pytest

from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.numbers import KeyTarget
from scada.errors import ConfigError
from scada.simulate.keys import keep, link_keys, module_rings

LINKS = (0xD0C00001, 0xD0C00002)


def test_missing_keys_are_made_private_and_kept(tmp_path: Path) -> None:
    """A fresh file, mode 0600, other keys for every link; the next start reads the same ones."""
    path = tmp_path / "keys.json"
    keys = link_keys(path, LINKS)

    assert path.stat().st_mode & 0o777 == 0o600
    assert len({*keys.values()}) == 2
    assert link_keys(path, LINKS) == keys
    assert json.loads(path.read_text())["d0c00001"] == keys[LINKS[0]].hex()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ('{"d0c00001": "00", "d0c00002": "zz"}', 0o600, ["d0c00001", "d0c00002"]),
        ("{}", 0o644, ["0644", "d0c00001", "d0c00002"]),
        ("[]", 0o600, ["mapping"]),
        ("not json", 0o600, ["JSON"]),
    ],
)
def test_a_wrong_key_file_is_refused_with_every_reason(tmp_path: Path, content: str, mode: int, said: list[str]) -> None:
    """Short keys, no hex, other people's access, no JSON: named, and no key is shown."""
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(mode)

    with pytest.raises(ConfigError) as refused:
        link_keys(path, LINKS)
    assert all(word in str(refused.value) for word in said)
    assert len(refused.value.problems) == max(1, len(said))


def test_keys_that_were_changed_over_the_air_are_there_after_a_restart(tmp_path: Path) -> None:
    """Links and modules, with all that a ring holds; the other keys stay as they were, and the file private."""
    path = tmp_path / "keys.json"
    before = link_keys(path, LINKS)
    ring = Ring(Key(7, bytes(16)), Key(9, bytes([1] * 16)), old=Key(0, bytes([2] * 16)), until=5)
    keep(path, KeyTarget.LINK, LINKS[0], ring)
    keep(path, KeyTarget.MODULE, 0x02DF, ring)
    after = link_keys(path, LINKS)

    assert after == {**before, LINKS[0]: ring}
    assert module_rings(path) == {0x02DF: ring}
    assert path.stat().st_mode & 0o777 == 0o600
