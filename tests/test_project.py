"The project keeps its own rules: export in sync, notebooks clean, README in step, layers, style, hygiene."
import ast, json, os, re, subprocess, sys, types
from pathlib import Path

import pytest

import density
import selfloop_nb
from project import FLOORS, PACKAGE, PROJECT, copy_tree, files, floor_of, imports, module_of, modules, notebooks
from project import reading_order, room_of, sources

MODULES = modules()
ORDER = [module_of(path) for path in reading_order()] # the order in which they are read
NO_TORCH = {"backend.core", "records", "text", "scoring", "selection", "mixing", "guards", "opened", "filters",
            "storage", "people", "charts", "metrics", "scorers.references", "scorers.rules", "scorers.expressions",
            "scorers.maths", "scorers.ensembles", "views.background", "views.view",
            "views.painter"} # that stay without torch
WITH_TORCH = {"storage.verify", "metrics.drift"} # of them, which ask torch for something all the same
LIGHT = [name for name in MODULES if {name, room_of(name)} & NO_TORCH and name not in WITH_TORCH]
HEAVY = ["torch", "transformers", "datasets", "pandas", "matplotlib", "ipywidgets", "nbdev", "fastcore"]
RUN_ROOMS = {"storage", "people", "phases", "loop", "opened", "views", "sweeps"}
BESIDE_RUNS = {"storage.disk", "storage.publish", "views.command", "views.trackers"} # the door; what writes elsewhere
RUN_MODULES = [name for name in MODULES if room_of(name) in RUN_ROOMS or name == "training.round_models"]
OF_OS = {"open", "read", "write", "fsync", "stat", "lstat", "fstat", "listdir", "scandir", "mkdir", "makedirs", "rmdir",
         "unlink", "remove", "replace", "rename", "link", "symlink", "truncate", "ftruncate", "chmod", "utime", "walk"}
OF_PATHS = {"exists", "is_file", "is_dir", "is_symlink", "lexists", "stat", "lstat", "iterdir", "glob", "rglob",
            "mkdir", "unlink", "rmdir", "touch", "chmod", "read_text", "read_bytes", "write_text", "write_bytes",
            "rename", "hardlink_to", "symlink_to", "open"}
OTHER_FILES = { # what is no file of a run: an entry of an archive, a pipe, the user's code and tables, libraries
    "storage.archive": {"archive.open"}, "sweeps.seeds": {"os.read"},
    "storage.tables": {"path.is_dir", "path.is_file", "path.read_text", "path.read_bytes"},
    "storage.environment": {"package.rglob", "file.read_bytes", "folder.rglob"}, # code
    "storage.repair": {"archive.open", "place.open", "self.open", "FolderCopies(folder).open", "os.link",
                       "shutil.copy", "shutil.copytree", "shutil.rmtree", "place / 'rounds'.mkdir"}, # a run of its own
    "views.background": {"place.glob", "place.with_name('torch.libs').glob"},
    "views.painter": {"Image.open"}} # of what is in memory
PLACES = re.compile(rf"{re.escape(str(Path.home()))}/|(?<![\w.])/(?:root|tmp|work|home/\w+|Users/\w+|var/folders)/")
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
BANNED = re.compile(r"""pypi\.org|python[h]osted|npmjs\.(?:org|com)|deb\.debian\.org|download\.pytorch\.org
    |(?<![\w.:/-])/(?:work|root|farm|home/\w+|Users/\w+|opt/wheels|opt/pypi)/|\.\./(?:shared|\.library)
    |trust_remote_code["']?\s*[=:]\s*True
    |\bimport\s+pickle\b|\bpickle\.\w+\(|\b(?:to|read)_pickle\(|\btorch\.(?:save|load)\(""", re.VERBOSE)


def python(code, cwd=PROJECT):
    "What a fresh Python prints that runs `code`; without IN_TEST, under which nbdev exports nothing."
    env = {name: value for name, value in os.environ.items() if name != "IN_TEST"}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(statement, names):
    "Which of the modules `names` are loaded after an import statement."
    return python(f"{statement}\nimport sys\nprint(*({set(names)!r} & set(sys.modules)))").split()


def changed(folder, names):
    "Which of the files differ in `folder` from the project's."
    def content(path): return path.read_bytes() if path.exists() else None
    return sorted(str(name) for name in names if content(folder / name) != content(PROJECT / name))


def functions(path):
    "All functions of a module, methods and inner ones too."
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def links(path):
    "Where the links of a notebook or a page lead, outside addresses left out."
    texts = sources(path, "markdown") if path.suffix == ".ipynb" else [path.read_text(encoding="utf-8")]
    return [place for text in texts for place in LINK.findall(text)]


def text(path):
    "What a file says; nothing where it is binary."
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def test_export_in_sync(tmp_path):
    copy = copy_tree(tmp_path)
    package = copy / "selfloop_nb"
    for path in package.rglob("*.py"):
        if path.name == "_modidx.py" or "# AUTOGENERATED!" in path.read_text(encoding="utf-8"):
            path.unlink()
    python("from nbdev.doclinks import nbdev_export; nbdev_export()", cwd=copy)
    names = {path.relative_to(root) for root in (copy, PROJECT) for path in (root / "selfloop_nb").rglob("*.py")}
    assert (package / "_modidx.py").exists(), "nbdev_export did nothing"
    names = {name for name in names if name.name != "_modidx.py"} # nbdev's own index, which nobody keeps
    assert changed(copy, names) == [], "run `make export`; a module without a notebook is to be deleted"


def test_notebooks_are_clean(tmp_path):
    copy = copy_tree(tmp_path)
    subprocess.run([sys.executable, "tests/tools/clean_notebooks.py"], cwd=copy, check=True)
    assert changed(copy, [path.relative_to(PROJECT) for path in notebooks()]) == [], "run `make clean-notebooks`"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.name)
def test_notebook_is_fit_to_commit(path):
    nb = json.loads(path.read_text(encoding="utf-8"))
    assert "widgets" not in nb["metadata"], "saved widget state: run `make clean-notebooks`"
    ids = [cell["id"] for cell in nb["cells"]]
    assert len(set(ids)) == len(ids), "two cells have one id"
    assert path.stat().st_size < (200_000 if module_of(path) else 1_500_000)
    for output in (output for cell in nb["cells"] for output in cell.get("outputs", [])):
        data = {kind: data for kind, data in output.get("data", {}).items() if kind not in ("image/png", "image/jpeg")}
        assert not PLACES.search(json.dumps({**output, "data": data})), "an output names a folder of this machine"


def test_readme_in_step():
    command = [sys.executable, "tests/tools/readme.py", "--check"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *notebooks()], ids=str)
def test_links_lead_somewhere(path):
    assert [place for place in links(path) if not (path.parent / place).exists()] == []


def test_one_notebook_a_module():
    assert sorted(MODULES) == sorted(ORDER)
    assert {room_of(name) for name in MODULES} == set().union(*FLOORS)


def test_a_newcomer_sees_all_rooms_at_a_glance():
    kept = [path.relative_to(PACKAGE) for path in files() if path.is_relative_to(PACKAGE)]
    rooms = {path.parts[0] for path in kept if path.suffix == ".py"}
    assert len(rooms) <= 25, sorted(rooms)


def test_notebooks_of_the_method_are_numbered_without_gaps():
    numbers = [int(path.name[:2]) for path in reading_order() if path.parent == PROJECT / "nbs"]
    assert numbers == list(range(len(numbers)))


def test_the_chain_of_next_leads_through_all_notebooks():
    for path, following in zip(reading_order(), [*reading_order()[1:], PROJECT / "nbs" / "quickstart.ipynb"]):
        last = sources(path, "markdown")[-1]
        assert last.startswith("Next: ["), f"{path.name} does not say what comes next"
        assert (path.parent / LINK.findall(last)[0]).resolve() == following, path.name


def test_readme_has_the_same_order():
    part = next(text for text in sources(PROJECT / "nbs" / "index.ipynb", "markdown") if "## Learn it" in text)
    places = [PROJECT / "nbs" / place for place in LINK.findall(part)]
    assert [place for place in places if place in reading_order()] == reading_order()


@pytest.mark.parametrize("name", MODULES)
def test_layers(name):
    names = set(imports(MODULES[name]))
    own = {module[1:] for module in names if module.startswith(".") and module[1:] in MODULES}
    roots = {module.split(".")[0] for module in names}
    beside = {module for module in own if room_of(module) == room_of(name)}
    assert all(floor_of(module) < floor_of(name) for module in own - beside), "a room imports only rooms below it"
    assert all(ORDER.index(module) < ORDER.index(name) for module in beside), "a module imports what is read before it"
    assert "ipywidgets" not in roots or room_of(name) == "views"
    assert not roots & {"torch", "transformers"} or name not in LIGHT


def disk_calls(path):
    "What a module does to a disk by itself, call by call."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call): continue
        if isinstance(node.func, ast.Name) and node.func.id == "open": yield "open"
        if not isinstance(node.func, ast.Attribute): continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        if owner == "os" and name in OF_OS or owner == "shutil" and name != "copyfileobj": yield f"{owner}.{name}"
        if owner not in ("disk", "os") and name in OF_PATHS: yield f"{owner}.{name}"


@pytest.mark.parametrize("name", sorted(set(RUN_MODULES) - BESIDE_RUNS))
def test_a_run_is_reached_by_one_door(name):
    "What keeps runs goes to the disk through storage.disk, where the tests can put another one."
    assert not set(disk_calls(MODULES[name])) - OTHER_FILES.get(name, set())


def test_no_module_hides_a_public_name():
    "A module at the top whose name is public would take the function's place as soon as it is imported."
    assert not {room_of(name) for name in MODULES} & set(selfloop_nb.__all__)
    assert not any(isinstance(getattr(selfloop_nb, name), types.ModuleType) for name in selfloop_nb.__all__)


def names_asked(path):
    "(module, name) of each `from selfloop_nb... import name` in a file."
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    def is_ours(node): return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name)
    asked = filter(is_ours, nodes)
    return [(node.module, one.name) for node in asked for one in node.names if one.name != "*"]


FIND_LOST = """
from importlib import import_module
from importlib.util import find_spec

def is_there(module, name):
    found = import_module(module)
    return hasattr(found, name) or hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None

def lost(pairs): return [pair for pair in pairs if not is_there(*pair)]
"""


def test_what_is_run_by_hand_imports_what_there_is():
    "A bench imports late, and is seldom run: a name that has moved would end it after an hour."
    asked = {pair for path in files() if path.suffix == ".py" and "tests" in path.parts for pair in names_asked(path)}
    assert len(asked) > 100
    assert python(f"{FIND_LOST}\nprint(lost({sorted(asked)!r}))") == "[]\n"


def test_light_modules_load_no_torch():
    assert loaded(f"import {', '.join(f'selfloop_nb.{name}' for name in LIGHT)}", ["torch", "transformers"]) == []


def test_import_is_light():
    assert loaded("import selfloop_nb", HEAVY) == []


def test_help_tells_the_parameters():
    "What stands beside them in the source is shown where `help` and Jupyter's Shift-Tab look."
    loop, how = selfloop_nb.Loop, selfloop_nb.FineTune
    assert "\nstore: run folder; None: one that goes when the program ends\n" in loop.__doc__
    assert loop.run.__doc__.endswith('"loss", or a measure') and "\nrounds: how many" in loop.run.__doc__
    assert "\nlr: peak learning rate" in how.__doc__ and "\nlive: with" in loop.report.__doc__
    assert "\nlow: units of `segment`" in selfloop_nb.length.__doc__, "a function that is wrapped"
    assert "\nbeta: how dear" in selfloop_nb.DPO.__doc__ and "\nlr: for a tiny" in selfloop_nb.DPO.__doc__


@pytest.mark.parametrize("name", MODULES)
def test_size(name):
    path = MODULES[name]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert [node.name for node in functions(path) if node.end_lineno - node.lineno >= 50] == []


@pytest.mark.parametrize("path", sorted((PROJECT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_a_name_is_given_once(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert sorted(names) == sorted(set(names)), "the second hides the first"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.relative_to(PROJECT / "nbs").as_posix())
def test_cells_say_one_thing_a_line(path):
    cells = density.cells(path)
    assert [fault for cell in cells for fault in density.faults(cell)] == []
    assert [cell.place for cell in cells if density.mixed_imports(cell)] == [], "imports have a cell of their own"
    unsorted = [cell.place for cell in cells if density.unsorted_imports(cell)]
    assert unsorted == [], "imports are in alphabetical order, our own last"
    assert [cell.place for cell in density.late_imports(cells)] == [], "a module's imports stand in its first cell"


@pytest.mark.parametrize("source", density.modules("tests", ".ci"), ids=lambda source: source.place)
def test_tests_say_one_thing_a_line(source):
    assert density.faults(source) == []


def test_cells_are_small():
    cells = density.notebook_cells()
    assert sum(len(cell.lines) for cell in cells) / len(cells) <= 7.5


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    body = ast.parse(MODULES[name].read_text(encoding="utf-8")).body
    exported = [node.value for node in body if isinstance(node, ast.Assign) and _is_named(node, "__all__")]
    public = ast.literal_eval(exported[0])
    assert [node.name for node in body if getattr(node, "name", None) in public and not ast.get_docstring(node)] == []


def _is_named(node, name):
    "Is it the assignment of this name?"
    return getattr(node.targets[0], "id", None) == name


def test_hygiene():
    found = {str(path.relative_to(PROJECT)): BANNED.search(text(path)) for path in files()}
    assert {name: match[0] for name, match in found.items() if match} == {}
