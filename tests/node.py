"""Where Node is: on the path, or beside Python, where `scripts/with-node` puts it on a machine that has none."""

import os
import shutil
import sys
from pathlib import Path


def node() -> str:
    """The program; fails with what to do about it."""
    found = shutil.which("node", path=os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent))))
    assert found, "Node is missing: `make test` installs it, or put `node` on the PATH"
    return found
