"""Link keys of the simulated field: made once, kept private, wrong files named."""

import json
from pathlib import Path

import pytest

from scada.errors import ConfigError
from scada.simulate.keys import link_keys

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
