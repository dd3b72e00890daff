"""Modules and optimisers as flat, named tensors."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
Part = nn.Module | torch.optim.Optimizer


def pack(**parts: Part) -> Tensors:
    """The state of modules and Adam-like optimisers as one flat dictionary of tensors, for `Run.save`."""
    tensors = {}
    for part, value in parts.items():
        if isinstance(value, nn.Module):
            tensors |= {f"{part}/{name}": t for name, t in value.state_dict().items()}
        else:
            for i, slots in value.state_dict()["state"].items():
                tensors |= {f"{part}/{i}/{slot}": torch.as_tensor(t) for slot, t in slots.items()}
    return tensors


def unpack(tensors: Tensors, **parts: Part) -> None:
    """Load what `pack` packed into `parts`, in place. Raises RuntimeError or KeyError where they do not fit."""
    for part, value in parts.items():
        mine = {name.removeprefix(f"{part}/"): t for name, t in tensors.items() if name.startswith(f"{part}/")}
        if isinstance(value, nn.Module):
            value.load_state_dict(mine)
        else:
            _unpack_optimiser(mine, value)


def _unpack_optimiser(tensors: Tensors, optimiser: torch.optim.Optimizer) -> None:
    state: dict[int, Tensors] = {}
    for name, t in tensors.items():
        i, slot = name.split("/")
        state.setdefault(int(i), {})[slot] = t
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for p, slots in optimiser.state.items():  # fused Adam walks memory in order: the layout must be the parameter's
        for slot, t in slots.items():
            if t.shape == p.shape:
                slots[slot] = torch.empty_like(p, dtype=t.dtype).copy_(t)


def digest(tensors: Tensors, state: dict[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of `tensors`, and over `state`."""
    found = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name]
        found.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        found.update(t.reshape(-1).view(torch.uint8).numpy() if t.numel() else b"")
    return found.hexdigest()
