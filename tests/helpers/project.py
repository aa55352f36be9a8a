"What the tests know of the project's files."
import ast, json, re, shutil, subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "selfloop_nb"
FAMILIES = ["backend", "scorers", "filters", "training", "metrics", "storage", "people", "charts", "views", "sweeps",
            "course"]
FOLDERS = {"course": "teaching"} # where a family's notebooks lie elsewhere: nbs/course holds the labs
# Who may import whom: a room imports only rooms of the floors below, and modules of its own that are read before.
FLOORS = [
    {"text"},
    {"backend"},
    {"records", "guards"},
    {"storage"},
    {"tasks", "models", "scoring", "selection", "mixing"},
    {"people"},
    {"filters"},
    {"sampling"},
    {"scorers", "tuning", "charts"},
    {"metrics", "training", "opened"},
    {"phases"},
    {"loop"},
    {"views", "sweeps"},
    {"course"},
]


def notebooks(project=PROJECT):
    "All notebooks; checkpoints and folders that nbdev passes over left out."
    found = sorted((project / "nbs").rglob("*.ipynb"))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(project).parts)]


def reading_order(project=PROJECT):
    "The library's notebooks in the order in which they are read: the method, then the families."
    folders = [project / "nbs", *(project / "nbs" / FOLDERS.get(family, family) for family in FAMILIES)]
    return [path for folder in folders for path in sorted(folder.glob("[0-9]*.ipynb"))]


def files(project=PROJECT):
    "The files git tracks or would track, as they are in the working tree."
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted({project / name for name in names if name and (project / name).is_file()})


def copy_tree(folder):
    "A copy of the project's files, for tests that change or break them."
    for path in files():
        copy = folder / path.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


def sources(path, kind):
    "The texts of a notebook's cells of one kind."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def module_of(path):
    "The module that a notebook exports, such as `charts.rounds`, or None."
    names = re.findall(r"^#\|\s*default_exp\s+([\w.]+)", "\n".join(sources(path, "code")), re.MULTILINE)
    return names[0] if names else None


def modules():
    "The modules that notebooks export, by name."
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name not in ("__init__.py", "_modidx.py")]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


def room_of(module):
    "The folder of a module, or the module itself where it lies flat."
    return module.split(".")[0]


def floor_of(module):
    "The number of the floor on which a module's room stands."
    return next(number for number, rooms in enumerate(FLOORS) if room_of(module) in rooms)


def imports(path):
    "All modules that a file imports, also inside functions; those of its own package start with a dot."
    package = path.relative_to(PACKAGE).parts[:-1] if path.is_relative_to(PACKAGE) else ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_own(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, package)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield _own(str(getattr(node.args[0], "value", "?")))


def _called(node):
    "The name of the function that is called."
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _imported_from(node, package):
    "The modules of a `from ... import ...`; of a folder, the modules in it."
    if not node.level:
        module = _own(node.module)
    else:
        above = package[:len(package) - node.level + 1]
        module = "." + ".".join([*above, *filter(None, [node.module])])
    if module == "." or module[1:] in FAMILIES:
        yield from (f"{module.rstrip('.')}.{alias.name}" for alias in node.names)
    else:
        yield module


def _own(name):
    "A module's name; one of the package's own starts with a dot."
    return "." + name.partition(".")[2] if name.split(".")[0] == "selfloop_nb" else name
