"""Which regular expressions are refused since they could take for ever."""

import pytest
from pydantic import ValidationError

from act_core.engine.rule_table import ABOVE, ARC_ERRORS, HOLDS
from act_core.settings.patterns import endless
from act_core.settings.policy import Rule


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        r"(\w+\s?)+error",
        "(?:a*)*b",
        "(a|ab|b)*c",
        "((a{2,40})x?){3,}",
        "(?=(a+)+b)",
        "(.*,){11}P",
        "(x+x+)+y",
        ".*a.*a.*b",
        "[^a]*b[^c]*d.+?e",
    ],
)
def test_what_could_take_for_ever(pattern: str) -> None:
    assert endless(pattern)
    with pytest.raises(ValidationError, match="inside a repetition"):
        Rule(pattern=pattern, regex=True, action="fail")
    assert Rule(pattern=pattern, action="fail").pattern == pattern  # as a text it is one


@pytest.mark.parametrize(
    "pattern",
    [
        r"exit code - \d\b",
        "error.*node.*lost",
        r"exit\s+code\s+-\s+\d+",
        "a.{0,40}b.{0,40}c.{0,40}d",
        "(foo|bar) failed",
        "(a+){2}",
        "(?:a++)+b",
        "(?>a+)+b",
        "[ab]+c",
        r"^hold (3|26|5|27)\b",
        *(row.pattern for row in (*ABOVE, *ARC_ERRORS, *HOLDS) if row.regex),
    ],
)
def test_what_is_quick(pattern: str) -> None:
    assert not endless(pattern)
