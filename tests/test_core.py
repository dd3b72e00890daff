"""The core stands alone: what the paper is made of imports torch and itself, nothing runs up, nothing in a circle."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "arl"
CORE = {"losses", "models", "adversary", "protect", "evaluate", "metrics", "training", "plateau", "parameters", "names"}
CORE |= {"parallel", "identity", "answers", "defences", "attacks", "whitebox"}
# From the ground up: a room may import those before it, and the core.
ROOMS = """messages watch machine store config inputs listing faces data judges feeds row lineup measure watched devices gradients
    experiment unopened plugins gate stages cluster schedule audit paper workbook check cli""".split()


def room(module: str) -> str:
    """arl.data.celeba is in the room data; arl.losses is a room of its own."""
    return module.split(".")[1] if module.count(".") else module


def imports() -> dict[str, set[str]]:
    """For each module: the modules of `arl` that it imports when it is imported itself."""
    paths = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        found[name] = set()
        for node in _at_import(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "arl":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name].add(whole if whole in paths else node.module)
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names if alias.name.split(".")[0] == "arl"}
    return found


def _at_import(node: ast.AST):
    """The statements that run at import: not those of functions, nor of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_import(child)


def anywhere(module: str) -> set[str]:
    """What a module imports anywhere, in functions too."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.walk(ast.parse(path.read_text()))
    return {
        name
        for node in tree
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name and name.split(".")[0] == "arl"
    }


def test_the_core_imports_nothing_of_arl_but_itself():
    for module in imports():
        if room(module) in CORE:
            strangers = {name for name in anywhere(module) if name != "arl" and room(name) not in CORE}
            assert not strangers, f"{module} imports {strangers}"


def test_no_import_runs_up():
    for module, imported in imports().items():
        mine = room(module)
        if mine in CORE or module == "arl":
            continue
        assert mine in ROOMS, f"{module}: where does it stand?"
        for name in imported:
            theirs = room(name)
            if theirs in CORE or theirs == "arl" or theirs == mine:
                continue
            assert ROOMS.index(theirs) < ROOMS.index(mine), f"{module} imports {name}, which stands above it"


def test_no_import_runs_in_a_circle():
    graph = {module: {name for name in imported if name != module} for module, imported in imports().items()}
    for name in ("arl", *(m for m in graph if any(other.startswith(m + ".") for other in graph))):
        graph[name] = graph[name] if name != "arl" else set()
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("statement", ["import arl", "import arl; arl.RunConfig(lambda1=1)", "import arl.cli"])
def test_a_mistyped_parameter_does_not_wait_for_torch(statement):
    program = f"{statement}\nimport sys\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_kernel_that_finds_its_rows_does_not_wait_for_what_it_does_not_use():
    """Each took a second or two of each of the fifteen notebooks."""
    late = ("torchvision", "torch._dynamo", "sklearn", "torchmetrics", "nbformat", "papermill")
    program = "import arl, sys; arl.notebook, arl.run; import arl.paper.tables\n"
    program += f"sys.exit(', '.join(name for name in {late} if name in sys.modules) or 0)"
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
