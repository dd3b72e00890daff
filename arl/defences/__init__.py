"""Defences: one file each. `named(Defence, name)` finds one."""

from arl.defences.base import Batch, Defence

__all__ = ["Batch", "Defence"]
