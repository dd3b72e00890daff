"""What a test needs that not every user has."""

import importlib
import os
from types import ModuleType

import pytest


def need(module: str) -> ModuleType:
    """`module`, optional on a user's machine; in CI a missing part is a failure."""
    return importlib.import_module(module) if os.environ.get("CI") else pytest.importorskip(module)
