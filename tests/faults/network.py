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
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") and "127.0.0.1" not in str(args): asked.append((event, str(args)))
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


def calls_out(offend=False):
    "Connections that the run has asked for, and places where a secret of the environment is stored; with `offend`, it asks for one, to see that it is seen."
    with tempfile.TemporaryDirectory() as folder:
        store, trace = Path(folder) / "run", Path(folder) / "trace"
        env = {**{k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}, "HF_TOKEN": SECRET, "JUDGE_KEY": SECRET}
        strace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", trace] if shutil.which("strace") else []
        done = subprocess.run([*strace, sys.executable, "-c", CODE.format(faults=str(Path(__file__).parent), store=str(store), offend=offend)], env=env, capture_output=True, text=True)
        if done.returncode: return [done.stderr[-2000:]]
        seen = [line for line in (trace.read_text().splitlines() if strace else []) if "AF_INET" in line and "127.0.0.1" not in line and "::1" not in line]
        asked = done.stdout.partition("asked: ")[2].strip()
        stored = [str(f.relative_to(folder)) for f in Path(folder).rglob("*") if f.is_file() and f != trace and (SECRET.encode() in (data := f.read_bytes()) or (str(Path.home()) + "/").encode() in data)]
        return [*seen, *([asked] if asked != "[]" else []), *(f"stored in {name}" for name in stored)]


def main():
    "The rows of the table."
    caught = calls_out(offend=True)
    return [Row("a run that does ask, noticed", 1, [] if caught else ["it was not seen"]), Row("whole run with report and archive: connections beyond this machine", 1, calls_out(), "seen by strace" if shutil.which("strace") else "seen by Python's audit hook; strace is not installed")]


if __name__ == "__main__": show(main())
