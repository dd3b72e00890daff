"""What a run stands on: the runs that its configuration names, the faces, the judge; and what stands on it alone.

Nothing is declared: an id in a configuration is a need, whatever kind of run, a user's own attack too, has it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

AN_ID = re.compile(r"[\w.]+-[0-9a-f]{12}(?![0-9a-f])")
# Measured on finished runs for a figure or a judge: each goes with what it stands on, and is made again where it is missing.
MEASURED = ("bits", "probes", "map", "factors", "composition", "heldout", "curve")  # of rows, encoders and audits
LOOKED_AT = ("embedding", "check", "eyes")  # of faces and judges

Specs = Mapping[str, dict[str, Any]]  # what defines each run of a store, by its id


def ids_in(text: str) -> set[str]:
    """Whatever in `text` looks like the id of a run."""
    return set(AN_ID.findall(text))


def kind_of_id(id: str) -> str:
    """The kind of run that `id` names."""
    return id.rpartition("-")[0]


def needs(spec: dict[str, Any]) -> set[str]:
    """The ids that `spec` names."""
    return ids_in(json.dumps(spec))


def standing_on(ids: Iterable[str], specs: Specs) -> set[str]:
    """`ids` and all that they need, as far as `specs` has it."""
    found: set[str] = set()
    left = [id for id in ids if id in specs]
    while left:
        id = left.pop()
        if id not in found:
            found.add(id)
            left += [need for need in needs(specs[id]) if need in specs]
    return found


def measurements_on(ids: set[str], specs: Specs, kinds: Iterable[str] = MEASURED) -> set[str]:
    """The runs of `kinds` that need some of `ids` and nothing else."""
    found = set()
    for id, spec in specs.items():
        if kind_of_id(id) in kinds and (wanted := needs(spec)) and wanted <= ids:
            found.add(id)
    return found


def looked_at_for(ids: set[str], specs: Specs) -> set[str]:
    """What judges have seen of the faces of `ids`: the embeddings, checks and eyes of no other judge and no other faces."""
    judges = {_text(judge) for id in ids for judge in _judges(specs[id])}
    faces = {_text(spec) for id in ids for spec in faces_in(specs[id])}
    found = set()
    for id, spec in specs.items():
        if kind_of_id(id) in LOOKED_AT and needs(spec) <= ids:
            if all(_text(judge) in judges for judge in _judges(spec)) and all(
                _text(data) in faces for data in faces_in(spec)
            ):
                found.add(id)
    return found


def warm_of(id: str, specs: Specs) -> set[str]:
    """The runs of the first epochs of the encoder `id`: it goes on from there, and does not name them."""
    mine = specs[id]
    return {
        other
        for other, spec in specs.items()
        if kind_of_id(other) == "warm"
        and all(mine.get(name) == value for name, value in spec.items() if name not in ("kind", "version", "until"))
    }


def faces_in(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What defines the faces that `spec` names: the data, the extra data."""
    return [spec[name] for name in ("data", "extra_data") if isinstance(spec.get(name), dict)]


def on_photographs(ids: Iterable[str], specs: Specs) -> bool:
    """Whether `ids`, or what they need, have seen faces that were not drawn by code; of a doubt, yes."""
    seen = standing_on(ids, specs)
    if any(need not in specs for id in seen for need in needs(specs[id])):
        return True
    kinds = {faces.get("kind") for id in seen for faces in faces_in(specs[id])}
    return kinds != {"rendered"}


def _judges(spec: dict[str, Any]) -> list[Any]:
    beside = spec.get("judges")
    found = [spec.get("recogniser"), *(beside.values() if isinstance(beside, dict) else ())]
    return [judge for judge in found if isinstance(judge, dict)]


def _text(spec: Any) -> str:
    return json.dumps(spec, sort_keys=True)
