"""The process that renders for `arl.data.rendered`: requests come as lines on standard input, bytes go to standard output.

It is run by its path, with `-P`: no module of the current folder can take the place of one that is meant.
A request is JSON, [positional arguments, named ones] of `faces.render`; it ends with its standard input.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType


def this_package() -> ModuleType:
    """The package `arl` that this file belongs to, whichever others can be found."""
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location("arl", root / "__init__.py", submodule_search_locations=[str(root)])
    package = importlib.util.module_from_spec(spec)
    sys.modules["arl"] = package
    spec.loader.exec_module(package)
    return package


def main() -> None:
    this_package()
    from arl import faces

    for line in sys.stdin:
        arguments, names = json.loads(line)
        images, attributes, _ = faces.render(*arguments, **names)
        try:
            sys.stdout.buffer.write(images.tobytes() + attributes.tobytes())
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody listens any more
            os._exit(1)


if __name__ == "__main__":
    sys.path += sys.argv[1:]  # last: they can add modules, and replace none
    main()
