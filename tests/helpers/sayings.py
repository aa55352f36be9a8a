"The sentences of errors and warnings, read from the source, as lines of a table: {a} where something is filled in."
import ast, string

from project import modules

DEEPEST = 6 # calls of functions that return a text


class Source:
    "A module's functions, and what it assigns to its names."

    def __init__(self, path):
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.names = assigned(self.tree)


def errors(module):
    "The texts of every error that a module raises, and of every warning, and those that are filled into them."
    source = Source(modules()[module])
    for function in (source.tree, *source.functions.values()):
        names = source.names | assigned(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and node.exc is not None: yield from texts(node.exc, names, source)
            if is_warning(node): yield from texts(node.args[0], names, source)


def is_warning(node):
    "Is it `warnings.warn(...)`?"
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "warn"


def assigned(tree):
    "Name -> what is assigned to it."
    found = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign): continue
        for target in node.targets:
            for name, value in pairs(target, node.value): found.setdefault(name, []).append(value)
    return found


def pairs(target, value):
    "A name and its value; several, where as many values are assigned to several names."
    if isinstance(target, ast.Name): yield target.id, value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts): yield from pairs(one, other)


def texts(node, names, source, depth=0):
    "The texts that an expression may become, and those of its parts."
    if depth > DEEPEST: return
    if isinstance(node, (ast.Constant, ast.JoinedStr)) or is_sum(node): yield line_of(node)
    for part in parts_of(node, names, source): yield from texts(part, names, source, depth + 1)


def parts_of(node, names, source):
    "What an expression is made of: the values of a name, what a function returns, what is filled into a text."
    if isinstance(node, ast.Name): return names.get(node.id, [])
    if isinstance(node, ast.JoinedStr): return [one.value for one in node.values if isinstance(one, ast.FormattedValue)]
    return [*ast.iter_child_nodes(node), *returned(node, source)]


def returned(node, source):
    "What a function of the module returns, where it is called here."
    if not isinstance(node, ast.Call): return
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    for inner in ast.walk(source.functions.get(name, ast.Module([], []))):
        if isinstance(inner, (ast.Return, ast.Yield)) and inner.value is not None: yield inner.value


def is_sum(node): return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)


def line_of(node):
    "A text, an f-string or a sum of such as a line of the table."
    letters = {}
    def line(part):
        if isinstance(part, ast.Constant): return str(part.value)
        if isinstance(part, ast.JoinedStr): return "".join(map(line, part.values))
        if is_sum(part): return line(part.left) + line(part.right)
        said = ast.dump(part.value if isinstance(part, ast.FormattedValue) else part)
        return "{" + letters.setdefault(said, string.ascii_letters[len(letters)]) + "}"
    return line(node)
