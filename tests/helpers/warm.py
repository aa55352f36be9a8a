"""A Python that begins at once: a process that has read the libraries forks, and what is asked for is done in the fork.

To read torch and transformers takes six seconds of the processor, and the tests begin more than a hundred Pythons.
`warm_python` gives a stand-in for `sys.executable`: it hands its arguments, environment, folder and open files over,
waits, and ends as the fork ended, by the same signal too; where it is killed, so is the fork. Each reads the package
itself anew. Where a fork could not be what was asked for, as with another PYTHONHASHSEED, a fresh Python is begun.
"""
import gc, os, select, signal, socket, subprocess, sys, warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

LIBRARIES = ("torch", "transformers", "transformers.models.auto.modeling_auto", "transformers.generation",
             "transformers.models.llama.modeling_llama", "datasets", "safetensors.torch", "dill", "ipykernel.ipkernel")
READ_AT_THE_START = "PYTHON", "OMP_", "GOMP_", "LD_", "HF_HOME", "HF_DATASETS_", "TRANSFORMERS_"
STAND_IN = """#!{python} -ISE
import os, signal, socket, sys
def in_a_fork(line):
    what = repr((sys.argv, dict(os.environ), os.getcwd())).encode()
    socket.send_fds(line, [b"%12d" % len(what)], [0, 1, 2])
    line.sendall(what)
    pid = int(line.recv(12))
    for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(line.recv(12) or 1)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP): signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
asked = {{name: value for name, value in os.environ.items() if name.startswith({begins!r}) and name != "PYTHONPATH"}}
if asked == {settings!r} and sys.argv[1:] and (sys.argv[1][0] != "-" or sys.argv[1] in ("-c", "-m", "-W")):
    line = socket.socket(socket.AF_UNIX)
    try: line.connect({place!r})
    except OSError: pass
    else: in_a_fork(line)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


def warm_python(folder):
    "The path of the stand-in, and the process behind it; it ends with this one."
    place, python = folder / "line", folder / "python"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    listening.listen(64)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([sys.executable, __file__, str(listening.fileno())], env=environment,
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listening.fileno()])
    listening.close()
    settings = {name: value for name, value in environment.items() if name.startswith(READ_AT_THE_START)}
    how = dict(python=sys.executable, place=str(place), begins=READ_AT_THE_START, settings=settings)
    python.write_text(STAND_IN.format(**how))
    python.chmod(0o700)
    return python, process


def serve(listening):
    "Read the libraries, and fork for each who asks; what he asks for is returned in the fork."
    for name in LIBRARIES: import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        bury()
        if 0 in ready: sys.exit() # whoever has begun this is gone, or needs it no more
        line, _ = listening.accept()
        if not os.fork(): return begun(line)
        line.close()


def bury():
    "Let go of the forks that have ended."
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]: pass


def begun(line):
    "In a fork of the fork: (arguments, environment, folder). The fork stands by."
    size, files, _, _ = socket.recv_fds(line, 12, 3)
    asked = b""
    while len(asked) < int(size): asked += line.recv(int(size) - len(asked))
    if pid := os.fork(): stand_by(line, pid)
    os.setsid()
    for number, file in enumerate(files): os.dup2(file, number)
    os.closerange(3, max(files) + 1)
    return eval(asked)


def stand_by(line, pid):
    "Tell how a process ended; where nobody is left to hear it, end it."
    line.send(b"%12d" % pid)
    end = os.pidfd_open(pid)
    ready, _, _ = select.select([line, end], [], [])
    if end not in ready: os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    try: line.send(b"%12d" % os.waitstatus_to_exitcode(status))
    finally: os._exit(0)


def run(arguments, environment, folder):
    "Run what a fresh Python would: `-c` and a program, `-m` and a module, or a file; before it `-W` and what to do."
    import huggingface_hub.constants
    huggingface_hub.constants.HF_HUB_OFFLINE = environment.get("HF_HUB_OFFLINE") == "1"
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable, what, *sys.argv = arguments
    if what == "-W":
        warnings.simplefilter(sys.argv.pop(0))
        what = sys.argv.pop(0)
    first = {"-c": "", "-m": folder}.get(what, str(Path(what).parent.resolve()))
    places = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [first, *map(os.path.abspath, places)]
    if what == "-m":
        import runpy
        return runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    main = sys.modules["__main__"] = ModuleType("__main__")
    if what == "-c": code, sys.argv[0] = compile(sys.argv[0], "<string>", "exec"), what
    else:
        main.__file__ = os.path.abspath(what)
        code = compile(Path(what).read_bytes(), main.__file__, "exec")
        sys.argv.insert(0, what)
    exec(code, vars(main))


if __name__ == "__main__": run(*serve(socket.socket(fileno=int(sys.argv[1]))))
