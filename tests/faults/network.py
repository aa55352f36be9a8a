"""A whole small run, its report and its archive: who is asked over the network, and what of the environment is stored.

    python tests/faults/network.py
"""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

from table import Row, show

SECRET = "hf_thisisasecretthatnobodymaysee"
CODE = """
import os, sys
asked = []
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
def watch(event, args):
    if event in EVENTS and "127.0.0.1" not in str(args): asked.append((event, str(args)))
sys.addaudithook(watch)
sys.path.insert(0, {faults!r})
from tiny import tiny_loop
os.environ.pop("HF_HUB_OFFLINE") # what tiny.py sets: here the library must do without
store = {store!r}
tiny_loop(store).run(rounds=1)
loop = tiny_loop(store)
loop.step()
loop.report()
from selfloop_nb import export_run
export_run(loop, store + ".zip")
if {offend}:
    import socket
    try: socket.create_connection(("192.0.2.1", 9), timeout=0.01)
    except OSError: pass
print("asked:", asked)
"""


TRACE = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o"]


def calls_out(offend=False):
    """Connections that the run has asked for, and places where a secret of the environment is stored.

    With `offend` it asks for one, to see that it is seen."""
    with tempfile.TemporaryDirectory() as folder:
        store, trace = Path(folder) / "run", Path(folder) / "trace"
        code = CODE.format(faults=str(Path(__file__).parent), store=str(store), offend=offend)
        strace = [*TRACE, trace] if shutil.which("strace") else []
        env = {**os.environ, "HF_TOKEN": SECRET, "JUDGE_KEY": SECRET}
        env.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run([*strace, sys.executable, "-c", code], env=env, capture_output=True, text=True)
        if done.returncode: return [done.stderr[-2000:]]
        asked = done.stdout.partition("asked: ")[2].strip()
        seen = trace.read_text().splitlines() if strace else []
        trace.unlink(missing_ok=True)
        stored = [f"stored in {path.relative_to(folder)}" for path in Path(folder).rglob("*") if holds_secret(path)]
        return [*filter(leaves_the_machine, seen), *([] if asked == "[]" else [asked]), *stored]


def leaves_the_machine(line):
    "Does a call that strace has seen go beyond this machine?"
    return "AF_INET" in line and "127.0.0.1" not in line and "::1" not in line


def holds_secret(path):
    "Does a file hold the secret, or the name of who runs this?"
    data = path.read_bytes() if path.is_file() else b""
    return SECRET.encode() in data or f"{Path.home()}/".encode() in data


def main():
    "The rows of the table."
    caught = calls_out(offend=True)
    how = "seen by strace" if shutil.which("strace") else "seen by Python's audit hook; strace is not installed"
    return [Row("a run that does ask, noticed", 1, [] if caught else ["it was not seen"]),
            Row("whole run with report and archive: connections beyond this machine", 1, calls_out(), how)]


if __name__ == "__main__": show(main())
