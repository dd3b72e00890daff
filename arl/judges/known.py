"""What C makes of a data set's images, computed once for all runs and kept in the store."""

import hashlib
from typing import Any

import numpy as np
from torch import Tensor

from arl.data import FaceData
from arl.judges.base import Recogniser, embed_all
from arl.machine import prepare
from arl.messages import say
from arl.store import Run, obtain


def recognised(data: FaceData, index: np.ndarray, recogniser: Recogniser) -> tuple[Tensor, Tensor]:
    """C's embedding (n, d) and middle layer (n, m) of the images `index`, computed once for all runs."""
    digest = hashlib.sha256(np.ascontiguousarray(index, dtype="<i8").tobytes()).hexdigest()[:16]
    spec = {"kind": "embedding", "recogniser": recogniser.spec, "data": data.spec, "images": digest}

    def make(run: Run) -> dict[str, Any]:
        say(f"{run.id}  {recogniser.name} looks at {len(index)} images")
        embedding, middle = embed_all(recogniser, data.images, index, prepare())
        run.save({"embedding": embedding, "middle": middle.clone()})  # clone: a recogniser may return one tensor twice
        return {"checkpoint": True, "images": len(index)}

    tensors, _ = obtain(spec, make).load()
    return tensors["embedding"], tensors["middle"]
