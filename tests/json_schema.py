"""The part of JSON Schema that docs/schema/ uses: enough to check every data file of a site."""

import re
from typing import Any

KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
    "boolean": bool,
}

KNOWN = {
    *("$schema", "$defs", "$ref", "title", "type", "const", "enum", "pattern", "minimum"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
}


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Where a value breaks a schema; none where it does not.

    Args:
        value: what `json.loads` gave.
        schema: to hold it against.
        root: the whole schema, for `#/$defs/…`.
        at: where in the file the value stands.
    """
    assert not set(schema) - KNOWN, f"the validator does not know {set(schema) - KNOWN}"
    if "$ref" in schema:
        return problems(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, at)
    found = []
    kinds = schema.get("type", list(KINDS))
    kinds = kinds if isinstance(kinds, list) else [kinds]
    known = any(isinstance(value, KINDS[kind]) for kind in kinds)
    if not known or (isinstance(value, bool) and "boolean" not in kinds):  # True is an int too
        found.append(f"{at} is {value!r}, not {kinds}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at} is {value!r}, not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at} is {value!r}, not one of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at} is {value!r}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at} is {value!r}, below {schema['minimum']}")
    if isinstance(value, dict):
        found += object_problems(value, schema, root, at)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            found.append(f"{at} has {len(value)} items")
        for place, item in enumerate(value):
            found += problems(item, schema.get("items", {}), root, f"{at}[{place}]")
    return found


def object_problems(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> list[str]:
    """Where an object misses a field or has one too many."""
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    found = [f"{at}.{name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        if name in known:
            found += problems(item, known[name], root, f"{at}.{name}")
        elif others is False:
            found.append(f"{at}.{name} is not in the schema")
        elif isinstance(others, dict):
            found += problems(item, others, root, f"{at}.{name}")
    return found
