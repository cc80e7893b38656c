"""Signs that every engine confuses and that no rule should have to know about."""

from __future__ import annotations

import re

_DEGREE = re.compile(r"(?<=[Nn])(\.?)°|(?<=\d)°(?!\s?[CF\d])")


def mended(text: str) -> str:
    """*text* with the ordinal sign where an engine saw a degree: "N° 12" is "Nº 12", "1° de março" is "1º de março"."""
    return _DEGREE.sub(lambda match: f"{match[1] or ''}º", text)
