"""The reference: a page for each module, with every public name as it is written, its parameters and their comments.

The modules are read, not imported: what is shown stands in the source, and nothing has to be installed for it.
"""
import ast, inspect, re
from dataclasses import dataclass

from project import PACKAGE, PROJECT, module_of, reading_order

SPECIAL = re.compile(r"([*\[\]<>$_|\\#{}])")
CODE = re.compile(r"(`[^`]*`)")


@dataclass
class Module:
    "A module's source, and the notebook that it is made from."
    name: str
    notebook: str # from the folder of the notebooks on

    @property
    def source(self):
        return PACKAGE.joinpath(*self.name.split(".")).with_suffix(".py").read_text(encoding="utf-8")

    @property
    def tree(self):
        return ast.parse(self.source)

    @property
    def names(self):
        "The public names, in the order of the source."
        node = next(node for node in self.tree.body if "__all__" in assigned(node))
        return ast.literal_eval(node.value)


def modules():
    "All modules, in reading order."
    paths = reading_order()
    return [Module(module_of(path), path.relative_to(PROJECT / "nbs").as_posix()) for path in paths]


def top_names():
    "Module -> the names that `from selfloop_nb import *` gives of it."
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    node = next(node for node in tree.body if "_names" in assigned(node))
    return {module: names.split() for module, names in ast.literal_eval(node.value).items()}


def assigned(node):
    "The names that a statement assigns."
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def prose(text):
    "A docstring as Markdown: signs that would be taken for formatting are escaped, code is not."
    parts = CODE.split(inspect.cleandoc(text or ""))
    parts[::2] = [SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def summary(node):
    "The first sentence of a docstring."
    text = prose(ast.get_docstring(node)) if hasattr(node, "body") else ""
    return text.split("\n\n")[0].replace("\n", " ")


def head(node, lines):
    "The lines of a definition up to its docstring, with the comments of its parameters."
    text = "\n".join(lines[node.lineno - 1:node.body[0].lineno - 1])
    if node.body[0].lineno == node.lineno: # all of it on one line
        text = lines[node.lineno - 1][:node.body[0].col_offset]
    return inspect.cleandoc(text).rstrip()


def fields(node, lines):
    "The annotated fields of a class, as they are written."
    kept = [line for child in node.body if isinstance(child, ast.AnnAssign)
            for line in lines[child.lineno - 1:child.end_lineno]]
    return "\n".join(kept)


def is_function(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def patched(node):
    "The class to which `@patch_to` adds a function; '' where it adds it to none."
    calls = [one for one in getattr(node, "decorator_list", []) if isinstance(one, ast.Call)]
    return next((ast.unparse(call.args[0]) for call in calls if getattr(call.func, "id", "") == "patch_to"), "")


def definition(title, node, lines, depth):
    "A heading, the code that says how it is called, and the docstring."
    code = head(node, lines)
    if isinstance(node, ast.ClassDef) and fields(node, lines):
        code += "\n" + fields(node, lines)
    text = prose(ast.get_docstring(node))
    return f"{'#' * depth} {prose(title)}\n\n```python\n{code}\n```\n\n{text}\n"


def methods(name, module):
    "The public methods of a class: those in its body, and those that the module adds."
    tree = module.tree
    inside = [node for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name for node in one.body]
    added = [node for node in tree.body if patched(node) == name]
    public = [node for node in inside + added if is_function(node)]
    return [node for node in public if node.name == "__init__" or not node.name.startswith("_")]


def origins(module):
    "Name -> the module of the library that it is imported from."
    package = module.name.split(".")[:-1]
    found = {}
    for node in module.tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.level or not node.module: continue
        above = package[:len(package) - node.level + 1]
        for alias in node.names: found[alias.asname or alias.name] = ".".join([*above, node.module])
    return found


def attached(name, module):
    "Functions of other modules that a module makes methods of a class: the method's name, the function, its module."
    known = origins(module)
    for node in module.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != name: continue
        if getattr(node.value, "id", "") not in known: continue
        theirs = Module(known[node.value.id], "")
        yield target.attr, next(one for one in theirs.tree.body if getattr(one, "name", "") == node.value.id), theirs


def entry(name, module):
    "What the page of a module says of a public name."
    lines = module.source.splitlines()
    nodes = [node for node in module.tree.body if getattr(node, "name", None) == name and not patched(node)]
    if not nodes:
        return value(name, module, lines)
    parts = [anchor(name), definition(name, nodes[0], lines, 2)]
    for method in methods(name, module) if isinstance(nodes[0], ast.ClassDef) else []:
        title = f"{name}()" if method.name == "__init__" else f"{name}.{method.name}"
        parts.append(definition(title, method, lines, 3))
    for method, node, theirs in attached(name, module):
        parts.append(definition(f"{name}.{method}", node, theirs.source.splitlines(), 3))
    return "\n".join(parts)


def anchor(name):
    "Where a link to a name leads: its own, also where another differs by a capital alone."
    return f'<span id="of-{name}"></span>\n'


def value(name, module, lines):
    "A constant, as it is written; of a long one its beginning."
    node = next(node for node in module.tree.body if name in assigned(node))
    written = lines[node.lineno - 1:node.end_lineno]
    code = "\n".join(written[:12] + ["..."] * (len(written) > 12))
    return f"{anchor(name)}\n## {prose(name)}\n\n```python\n{code}\n```\n"


def others(module):
    "Methods that a module adds to classes of other modules."
    own = {node.name for node in module.tree.body if isinstance(node, ast.ClassDef)}
    added = [node for node in module.tree.body if patched(node) and patched(node) not in own]
    lines = module.source.splitlines()
    public = [node for node in added if not node.name.startswith("_")]
    return [definition(f"{patched(node)}.{node.name}", node, lines, 2) for node in public]


def page(module):
    "The page of a module."
    said = prose(ast.get_docstring(module.tree))
    parts = [f"# {prose(module.name)}\n\n{said}\n\nExplained in [its notebook](../{module.notebook}).\n"]
    return "\n".join([*parts, *(entry(name, module) for name in module.names), *others(module)])


def row(name, module):
    "The line of a public name: a link to its entry, and its first sentence."
    nodes = [node for node in module.tree.body if getattr(node, "name", "") == name]
    link = f'<a href="{module.name}.html#of-{name}">{name}</a>'
    return f"| {link} | {summary(nodes[0]) if nodes else ''} |"


def index(found):
    "The first page: what `from selfloop_nb import *` gives, and all modules."
    home = {name: module for module in found for name in module.names}
    public = [name for names in top_names().values() for name in names]
    rows = sorted(public, key=lambda name: found.index(home[name]))
    head = ["# Reference\n", "What `from selfloop_nb import *` gives:\n", "| name | what it is |", "|---|---|"]
    names = "\n".join(module.name for module in found)
    tree = f"\n```{{toctree}}\n:caption: Modules\n:maxdepth: 1\n\n{names}\n```\n"
    return "\n".join([*head, *(row(name, home[name]) for name in rows), tree])


def write(folder):
    "A page for each module, and the first one."
    folder.mkdir()
    found = modules()
    for module in found:
        (folder / f"{module.name}.md").write_text(page(module), encoding="utf-8")
    (folder / "index.md").write_text(index(found), encoding="utf-8")
