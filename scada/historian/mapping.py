"""InfluxDB 2.x knows no databases: `/query`, and `/write`, need a mapping from a database's name to a bucket (DBRP).

It is made when it is missing and the token may; what is mapped already is never changed. Newer 2.x make a virtual one for
every bucket; with those there is nothing to do. Pure, save what `ask` does.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from scada.settings import InfluxSettings

POLICY: Final = "autogen"               # the retention policy that nobody names


class Ask(Protocol):
    def __call__(
        self, method: str, path: str, query: list[tuple[str, str]], body: Mapping[str, Any] | None = None, /
    ) -> tuple[int, str]:
        """(status, body) of a request; raises what the transport raises."""


def ensure(settings: InfluxSettings, ask: Ask) -> str:
    """Make the mapping if there is none; why InfluxQL cannot read (or `/write` find) the bucket, "" if it can."""
    name = settings.database
    org = [("org", settings.organisation)] if settings.organisation else []
    status, said = ask("GET", "/api/v2/buckets", [*org, ("name", name)])
    bucket = next((one for one in _list(said, "buckets") if one.get("name") == name), None) if status == 200 else None
    owner = [("orgID", str(bucket["orgID"]))] if bucket and bucket.get("orgID") else org
    if status >= 500:
        return ""                           # it has other troubles; the next look is a new one
    status, said = ask("GET", "/api/v2/dbrps", [*owner, ("db", name)])
    mapped = [one for one in _list(said, "content") if one.get("database") == name] if status == 200 else []
    if mapped and bucket and all(one.get("bucketID") != bucket.get("id") for one in mapped):
        return f"InfluxQL reads another bucket under the name {name}, expected its mapping to name bucket {bucket['id']}"
    if any(one.get("default") or one.get("virtual") for one in mapped):
        return ""
    if mapped:
        return f"the mapping of {name} is no default, so InfluxQL must name its retention policy"
    if bucket is None:
        return f"the token may not read bucket {name}, so nobody knows whether InfluxQL can (a mapping is needed)"
    status, said = ask("POST", "/api/v2/dbrps", [], {
        "bucketID": bucket["id"], "orgID": bucket.get("orgID", ""), "database": name, "retention_policy": POLICY,
        "default": True,
    })
    if 200 <= status < 300:
        return ""
    return (
        f"InfluxQL cannot read bucket {name}: its mapping is missing and the token may not make it ({status}), "
        f"expected `influx v1 dbrp create --db {name} --rp {POLICY} --default --bucket-id {bucket['id']}`"
    )


def _list(said: str, key: str) -> list[dict[str, Any]]:
    try:
        parsed = json.loads(said)
    except ValueError:
        return []
    found = parsed.get(key) if isinstance(parsed, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
