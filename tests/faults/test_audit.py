"""An audit claims nothing about packages of which the index says nothing."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "diagnostics/audit.py"
GOOD = {"name": "one", "version": "1.0", "vulns": []}
WEAK = {"name": "two", "version": "2.0", "vulns": [{"id": "CVE-1"}]}
UNKNOWN = {"name": "three", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "words", "code"),
    [
        ([GOOD], "1 of 1 packages were audited, 0 weaknesses are known", 0),
        ([GOOD, WEAK], "2 of 2 packages were audited, 1 weaknesses are known\ntwo 2.0: CVE-1", 1),
        ([GOOD, UNKNOWN], "1 of 2 packages were audited, 0 weaknesses are known\nnot audited, .*: three", 1),
        ([UNKNOWN, UNKNOWN], "nothing was audited: the index knows none of 2 packages", 1),
        ([], "nothing was audited", 1),
    ],
)
def test_only_what_is_known_counts_as_audited(packages, words, code):
    spec = importlib.util.spec_from_file_location("audit", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said, exit_code = module.verdict(packages)
    assert exit_code == code
    assert re.match(words, said), said
