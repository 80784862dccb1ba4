"""The documentation is part of the product, so what can be tested in it is tested."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scada.cli import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path for path in ROOT.rglob("*.md")
    if not {"node_modules", ".venv", ".cache", "demo-data"} & set(path.relative_to(ROOT).parts)
)


def test_the_generated_pages_are_what_the_models_say() -> None:
    """Whoever changes a setting or a command runs `make reference`."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"], capture_output=True, text=True, check=False
    )

    assert done.stderr.split() == []
    assert done.returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    """A page that was moved takes its links along."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_command_is_explained_to_a_person() -> None:
    """Beyond the generated reference, some guide or README says when to use it."""
    prose = "".join(page.read_text(encoding="utf-8") for page in PAGES if "reference" not in page.parts)

    assert [name for name in COMMANDS if f"scada {name}" not in prose] == []


def test_the_rooms_of_the_architecture_page_exist() -> None:
    """The table of rooms names folders that are there."""
    rooms = re.findall(r"^\| `([a-z_/]+)` \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert rooms
    assert [room for room in rooms if not (ROOT / room).is_dir()] == []


def test_the_files_where_one_begins_to_read_a_room_exist() -> None:
    """In the room's folder, or in the repository where a path is given."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/.*]+)` \|[^|]*\| ([^|]+) \|$", text, re.MULTILINE)
    named = [(room.removesuffix("/*.py"), name) for room, names in rows for name in re.findall(r"`([^`]+)`", names)]

    assert len(rows) > 10
    assert len(named) >= len(rows)
    assert [where for where in named if not any((ROOT / base / where[1]).is_file() for base in (where[0], "."))] == []


def test_the_recipes_name_files_that_exist() -> None:
    """Every path in CONTRIBUTING is real."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:scada|hmi|config|tests|docs)/[\w./-]*)`", text)

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
