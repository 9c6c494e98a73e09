"""What submission_log.json has to look like: its sections, their keys, and a JSON Schema (draft 2020-12).

Whether the values are right, and whether the arrays fit together, is for the checks to say.
"""

from __future__ import annotations

from typing import Any, Final

from autograder.assignment import Section
from autograder.settings import MAX_CODE_BYTES, MAX_MATRIX_ITEMS

_NUMBERS: Final = {
    "type": "array",
    "minItems": 1,
    # The items of a list that is too long are not looked at.
    "if": {"maxItems": MAX_MATRIX_ITEMS},
    # np.eye(3, dtype=bool).tolist() holds booleans, and computes as it should.
    "then": {"items": {"type": ["number", "boolean"]}},
    "else": {"maxItems": MAX_MATRIX_ITEMS},
}
_SOURCE: Final = {"type": "string", "minLength": 1, "maxLength": MAX_CODE_BYTES}
_SIZES: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": 32,
    "items": {"type": "integer", "minimum": 0, "maximum": 2**31},
}

KEYS: Final[dict[Section, dict[str, dict[str, Any]]]] = {
    Section.TIME: {"time": {"type": "number"}},
    Section.MODEL: {
        "torch_transformer_shape": _SIZES,
        "torch_transformer_value": _NUMBERS,
        "torch_transformer_init": _SOURCE,
        "torch_transformer_forward": _SOURCE,
    },
    Section.CONTENT: {
        "attention_by_content": _NUMBERS,
        "attention_by_content_Q": _NUMBERS,
        "attention_by_content_K": _NUMBERS,
        "attention_by_content_V": _NUMBERS,
    },
    Section.POSITION: {
        "attention_by_position": _NUMBERS,
        "attention_by_position_pos": _NUMBERS,
        "attention_by_position_Q": _NUMBERS,
        "attention_by_position_K": _NUMBERS,
        "attention_by_position_V": _NUMBERS,
    },
}
"""Section by section, each key with the schema of its value."""

SECTION_OF: Final[dict[str, Section]] = {key: section for section, keys in KEYS.items() for key in keys}

LOG_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "submission_log.json",
    "type": "object",
    "properties": {key: schema for keys in KEYS.values() for key, schema in keys.items()},
    "required": list(SECTION_OF),
}
