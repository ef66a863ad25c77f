"""Writes src/merx/models.py, the shapes of requests and answers, from the API's OpenAPI document.

    python tools/generate.py          writes
    python tools/generate.py --check  fails where the file is old
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[2] / "openapi" / "merx.json"
TARGET = HERE.parent / "src" / "merx" / "models.py"
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def type_of(schema: dict) -> str:
    """A schema as a Python annotation; what is too free for one is `Any`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return "str" if name == "Id" else name
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(type_of(part) for part in schema[union]))
    if "enum" in schema:
        return "Literal[" + ", ".join(repr(value) for value in schema["enum"]) + "]"
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return " | ".join(type_of({**schema, "type": kind}) for kind in kinds)
    if kinds == "array":
        return f"list[{type_of(schema.get('items', {}))}]"
    if kinds == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"dict[str, {type_of(schema['additionalProperties'])}]"
    return PLAIN.get(kinds, "Any")


def definition(name: str, schema: dict) -> str:
    """Annotations are texts: they name shapes that stand further down."""
    if "properties" not in schema:
        return f"{name}: TypeAlias = {type_of(schema)!r}\n"
    required = set(schema.get("required", []))
    members = []
    for member, part in schema["properties"].items():
        annotation = repr(type_of(part))
        members.append(f"    {member!r}: {annotation if member in required else f'NotRequired[{annotation}]'},\n")
    return f"{name} = TypedDict({name!r}, {{\n{''.join(members)}}})\n"


def generate() -> str:
    schemas = json.loads(DOCUMENT.read_text())["components"]["schemas"]
    head = '"""Shapes of requests and answers. Made by tools/generate.py from openapi/merx.json."""\n\n' \
           "from typing import Any, Literal, NotRequired, TypeAlias, TypedDict\n"
    parts = [definition(name, schema) for name, schema in schemas.items() if name != "Id"]
    return head + "\n" + "\n".join(parts)


if __name__ == "__main__":
    text = generate()
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit("src/merx/models.py is old: python sdk/python/tools/generate.py")
