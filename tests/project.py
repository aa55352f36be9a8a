"What the tests know of the project's files."
import ast, json, re, shutil, subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "selfloop_nb"


def notebooks(project):
    "All notebooks, in the order they are read; checkpoints and folders that nbdev passes over left out."
    found = sorted((project / "nbs").rglob("*.ipynb"))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(project).parts)]


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


def module_of(path):
    "The module that a notebook exports, or None."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names = re.findall(r"^#\|\s*default_exp\s+(\w+)", "\n".join("".join(cell["source"]) for cell in cells), re.MULTILINE)
    return names[0] if names else None


def imports(path):
    "All modules that a file imports, also inside functions; those of its own package start with a dot."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_dotted(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _dotted("." * node.level + (node.module or ""))
            yield from (f".{alias.name}" for alias in node.names) if module == "." else (module,)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
            yield _dotted(str(getattr(node.args[0], "value", "?")))


def _dotted(name):
    return "." + name.partition(".")[2] if name.split(".")[0] == "selfloop_nb" else name
