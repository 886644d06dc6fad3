"""The contract needs nothing but the standard library: a subject need not install the lab's dependencies."""

from __future__ import annotations

import subprocess
import sys

import pytest

_CODE = """
import sys
before = set(sys.modules)
import {module}
print(*(name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names))
"""
_ALLOWED = {"operatorlab", *(f"operatorlab.{part}" for part in ("subject", "running", "breaking", "procedure"))}


@pytest.mark.parametrize("module", ["operatorlab.subject", "operatorlab.procedure"])
def test_the_contract_imports_only_the_standard_library(module: str):
    told = subprocess.check_output([sys.executable, "-c", _CODE.format(module=module)], text=True)
    assert module in told.split()
    assert set(told.split()) <= _ALLOWED


@pytest.mark.parametrize("name", ["link", "ingress", "reader"])
def test_a_relay_starts_without_the_lab_s_dependencies(name: str):
    module = f"operatorlab.deploy.{name}"
    told = subprocess.check_output([sys.executable, "-c", _CODE.format(module=module)], text=True)
    assert set(told.split()) == {"operatorlab", "operatorlab.deploy", module}
