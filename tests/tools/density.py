"""How full the code is: lines, statements and cells that hold more than one thing, in the library and in the tests.

    python tests/tools/density.py

Style is checked by it (tests/test_project.py). No formatter is run: it would tear parameters from their comments.
"""
import ast, json, re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
WIDTH = 120  # columns of a line of code
WIDER = 140  # of a parameter with its comment, or of a line with an address
FULL = 4     # constructs: a statement that holds so many says too much at once
CONSTRUCTS = (ast.IfExp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Lambda,
              ast.BoolOp, ast.JoinedStr)
BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
ADDRESS = re.compile(r"https?://|arxiv", re.IGNORECASE)
PARAMETER = re.compile(r"^\s*(?:\)\s*->|[*\w\[\]]+\s*[:=,]).*\s# ")


@dataclass
class Source:
    "A piece of Python: a module, or a cell of a notebook."
    place: str
    text: str

    @property
    def lines(self):
        "The lines of code, without blank ones and directives."
        return [line for line in self.text.splitlines() if line.strip() and not line.lstrip().startswith("#|")]

    @property
    def tree(self):
        return ast.parse(self.text)


def modules(*folders):
    "The Python files below some folders of the project."
    paths = [path for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]
    return [Source(path.relative_to(PROJECT).as_posix(), path.read_text(encoding="utf-8"))
            for path in paths if path.name != "_modidx.py"]


def cells(path):
    "The code cells of a notebook; lines that only IPython understands are taken out."
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]
    name = path.relative_to(PROJECT).as_posix()
    return [Source(f"{name} [{number}]", re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE))
            for number, source in enumerate(sources)]


def notebook_cells():
    "The code cells of all notebooks that hold code."
    paths = sorted((PROJECT / "nbs").rglob("*.ipynb"))
    paths = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    return [cell for path in paths for cell in cells(path) if cell.lines]


def own_nodes(statement):
    "The expressions of a statement, without the statements inside it."
    for name, value in ast.iter_fields(statement):
        if name in BODIES or name == "decorator_list":
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST):
                yield from ast.walk(node)


def statements(source):
    return [node for node in ast.walk(source.tree) if isinstance(node, ast.stmt)]


def n_constructs(statement):
    "How many constructs a statement holds."
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return 0
    return sum(isinstance(node, CONSTRUCTS) for node in own_nodes(statement))


def wide_lines(source):
    "Lines that are too long for what they are."
    def bound(line):
        return WIDER if ADDRESS.search(line) or PARAMETER.match(line) else WIDTH
    return [line for line in source.lines if len(line) > bound(line)]


def full_statements(source):
    return [node for node in statements(source) if n_constructs(node) >= FULL]


def wide_assignments(source):
    "Assignments of several values to more than two targets; to unpack one value is no such."
    found = []
    for node in statements(source):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
            continue
        targets = [target for target in node.targets if isinstance(target, ast.Tuple)]
        if any(len(target.elts) > 2 for target in targets):
            found.append(node)
    return found


def named_lambdas(source):
    "Lambdas that are given a name: they want to be functions."
    found = []
    for node in statements(source):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        if any(isinstance(value, ast.Lambda) for value in values):
            found.append(node)
    return found


def crowded_lines(source):
    "Lines on which two statements stand beside each other."
    bodies = [getattr(node, name) for node in ast.walk(source.tree) for name in BODIES[:3] if hasattr(node, name)]
    pairs = [pair for body in bodies if isinstance(body, list) for pair in zip(body, body[1:])]
    return [second for first, second in pairs if first.end_lineno == second.lineno]


def imports_of(cell):
    "The imports of a notebook's cell."
    return [node for node in cell.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def mixed_imports(cell):
    "Imports of a notebook's cell that holds other code, too: whoever makes pages of the notebooks runs such cells."
    found = imports_of(cell)
    return [] if len(found) == len(cell.tree.body) else found


def late_imports(cells):
    "Cells of a notebook with imports of the module that do not stand at its head."
    exported = [cell for cell in cells if cell.text.startswith("#| export")]
    return [cell for cell in exported[1:] if imports_of(cell)]


def unsorted_imports(cell):
    "Blocks of imports that are in no order, by what is imported: `import` before `from`, our own modules last."
    blocks = []
    for node in imports_of(cell):
        goes_on = blocks and node.lineno == blocks[-1][-1].end_lineno + 1
        if goes_on: blocks[-1].append(node)
        else: blocks.append([node])
    return [block for block in blocks if block != sorted(block, key=_place)]


def _place(node):
    "Where an import stands in its block."
    if isinstance(node, ast.Import): return 0, node.names[0].name.lower()
    return 2 if node.module.startswith("selfloop_nb") else 1, node.module.lower()


def faults(source):
    "What is too full in a piece of Python, one fault a line."
    said = [f"{source.place}: {len(line)} columns: {line.strip()[:60]}" for line in wide_lines(source)]
    kinds = {"holds too many constructs": full_statements, "assigns too much at once": wide_assignments,
             "names a lambda": named_lambdas, "is the second statement of its line": crowded_lines}
    for text, find in kinds.items():
        said += [f"{source.place}:{node.lineno}: {ast.unparse(node)[:60]!r} {text}" for node in find(source)]
    return said


def table():
    "What is counted, for the library and for the tests."
    rows = {}
    for name, sources in {"library": modules("selfloop_nb"), "tests": modules("tests")}.items():
        lines = [line for source in sources for line in source.lines]
        rows[name] = dict(lines=len(lines), over_120=sum(len(line) > WIDTH for line in lines) / len(lines),
                          full=sum(len(full_statements(source)) for source in sources),
                          lambdas=sum(len(named_lambdas(source)) for source in sources))
    return rows


def main():
    print("         lines   over 120 columns   full statements   named lambdas")
    for name, row in table().items():
        print("{:8}{:6,}{:19.2%}{:18}{:16}".format(name, *row.values()))
    found = notebook_cells()
    n_lines = sum(len(cell.lines) for cell in found)
    average = n_lines / len(found)
    print("code lines a notebook cell: {:.1f} ({:,} lines, {:,} cells)".format(average, n_lines, len(found)))


if __name__ == "__main__":
    main()
