"""Contracts belong to no test framework."""

from __future__ import annotations

import ast
import unittest
from pathlib import Path

import hxtorch.testing
from hxtorch.testing import ChipContract
from hxtorch.twin import Die, Noise, VirtualChip


def test_importing_needs_no_test_framework():
    for path in Path(hxtorch.testing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])] + [getattr(node, "module", "") or ""]
            assert not {"pytest", "unittest"} & {name.split(".")[0] for name in names}, path.name
            if isinstance(node, ast.Assert):  # python -O drops it: it may tell types, and nothing else
                assert any(words in ast.unparse(node) for words in ("isinstance(", "is not None")), node.lineno


def test_contracts_run_under_unittest():
    class IdealChip(ChipContract, unittest.TestCase):
        noisy = False

        def make_chip(self):
            return VirtualChip(Die.ideal(), Noise.off())

    names = ("test_follows_the_protocol", "test_trial_seeds")
    result = unittest.TestSuite(IdealChip(name) for name in names).run(unittest.TestResult())
    assert result.testsRun == 2 and result.wasSuccessful()
    IdealChip.noisy = True
    result = unittest.TestSuite([IdealChip("test_trial_seeds")]).run(unittest.TestResult())
    assert "The chip is noisy" in result.failures[0][1]
