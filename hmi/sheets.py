"""Lists as CSV files, for the crew and for whoever goes on reckoning with them."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response


def sheet(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """A file to be downloaded; with the mark by which spreadsheets know UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([[_cell(one) for one in row] for row in rows])
    return Response("\ufeff" + out.getvalue(), mimetype="text/csv", headers={
        "Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store",
    })


def _cell(value: Any) -> Any:
    """A name that begins like a formula is not to be reckoned by a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
