"""Attacks: one file each. `named(Attack, name)` finds one."""

from arl.attacks.base import Attack, Batches, Player, Public, Schedule, Shapes

__all__ = ["Attack", "Batches", "Player", "Public", "Schedule", "Shapes"]
