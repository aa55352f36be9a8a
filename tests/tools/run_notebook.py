"""Run a notebook without a browser: what its cells print appears live, the executed copy and its files go to a folder.

It leaves out papermill's stores, engines and languages: one notebook, one fresh kernel of this very Python.
"""
import argparse, ast, re, shutil, sys, time
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

PROJECT = Path(__file__).resolve().parents[2]
STARTUP = 600 # seconds that a kernel may take to begin: nbclient's 60 are few on a busy machine
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal:
    "Prints streams; away from a terminal a line that is redrawn appears once in `every` seconds, and when it ends."
    def __init__(self, out=None, every=5.0):
        self.out = out or sys.stdout
        self.every = every
        self.last = time.monotonic()
        self.lines = {} # stream -> its line so far; standard output and errors arrive interleaved

    def write(self, text, stream="stdout"):
        self.out.write(text if self.out.isatty() else self._calm(text, stream))
        self.out.flush()

    def close(self):
        "Print what was left without an end of line."
        for stream in [stream for stream, line in self.lines.items() if line]:
            self.write("\n", stream)

    def _calm(self, text, stream):
        *whole, line = (self.lines.get(stream, "") + text).replace("\r\n", "\n").split("\n")
        ready = [_redrawn(one) for one in whole]
        if "\r" in line:
            line = "\r" + _redrawn(line)
            ready += [line[1:]] if time.monotonic() - self.last > self.every else []
        self.last = time.monotonic() if ready else self.last
        self.lines[stream] = line
        return "".join(f"{one}\n" for one in ready)


def _redrawn(line):
    "What a terminal shows of a line with carriage returns: its last version that is not blank."
    return next((part for part in reversed(ESCAPES.sub("", line).split("\r")) if part.strip()), "")


class ThisPython(AsyncKernelManager):
    "A kernel of the Python that runs this file, whatever kernels the machine has registered."
    @property
    def kernel_spec(self):
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"]
        return KernelSpec(argv=command, display_name="this Python", language="python")


class LiveClient(NotebookClient):
    "Executes a notebook and passes on what its cells print; cells tagged `summary` are printed at the end instead."
    terminal = None

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream" and not has_tag(cell, "summary"):
            self.terminal.write(msg["content"]["text"], msg["content"]["name"])
        return super().process_message(msg, cell, cell_index)

    async def _async_cleanup_kernel(self):
        "Once: nbclient asks for it twice when it is interrupted."
        if self.km is not None:
            await super()._async_cleanup_kernel()


def has_tag(cell, tag):
    "Whether a notebook's cell carries the tag."
    return tag in cell.metadata.get("tags", [])


def override(nb, values):
    "Set parameters in a cell of its own, right after the one tagged `parameters` (papermill's convention)."
    at = next((i for i, cell in enumerate(nb.cells) if has_tag(cell, "parameters")), -1)
    names = assigned(nb.cells[at].source) if at >= 0 else []
    if unknown := sorted(set(values) - set(names)):
        raise ValueError(f"no parameter {', '.join(unknown)}: the notebook has {', '.join(names) or 'none'}")
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    nb.cells.insert(at + 1, nbformat.v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]}))


def assigned(source):
    "The names that a parameters cell assigns, in their order."
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return [node.id for node in nodes if isinstance(node.ctx, ast.Store)]


def run(notebook, out=PROJECT / "demo_output", values=None, timeout=None, terminal=None):
    "Execute `notebook` in the folder `out`, save the executed copy there even if a cell fails, and return it."
    nb, out = nbformat.read(notebook, as_version=4), Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    beside, taken = Path(notebook).resolve().parent / "recorded", out / "recorded" # runs that a lab opens
    if beside.is_dir() and beside != taken: shutil.copytree(beside, taken, dirs_exist_ok=True)
    if values:
        override(nb, values)
    client = LiveClient(nb, kernel_manager_class=ThisPython, timeout=timeout, startup_timeout=STARTUP,
                        coalesce_streams=True, record_timing=False, resources={"metadata": {"path": str(out)}})
    client.terminal = terminal or Terminal()
    try:
        return client.execute()
    finally:
        client.terminal.close()
        nbformat.write(nb, out / Path(notebook).name)


def summary(nb):
    "The text that the cells tagged `summary` put out."
    outputs = [o for cell in nb.cells if has_tag(cell, "summary") for o in cell.get("outputs", [])]
    return "\n".join(str(o.get("text") or o.get("data", {}).get("text/plain", "")).rstrip() for o in outputs)


def setting(text):
    "name=value from the command line; what is not a Python literal is a string."
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, default=PROJECT / "demo_output",
                        help="working folder and place of the executed copy")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE",
                        help="override a parameter")
    parser.add_argument("--timeout", type=int, help="seconds that a single cell may take")
    return parser.parse_args()


def main():
    args = _arguments()
    try:
        nb = run(args.notebook, args.out, dict(args.set), args.timeout)
    except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError, OSError) as error:
        sys.exit(f"{args.notebook} failed: {error}")
    print(f"{summary(nb)}\nPaths start at {args.out}, where the executed notebook {args.notebook.name} is too.")


if __name__ == "__main__":
    main()
