"""All parts of `make faults`, two at a time, and their rows in one table.

    python tests/faults [SHARE]      of the whole that is tried: 1 where it is left out; 0.1 for a tenth

Each part can be run alone: see the head of its file.
"""
import subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from table import HEAD


def parts(share):
    "Script and size of each part."
    every = max(1, round(1 / share))
    def some(n): return max(1, round(n * share))
    return [
        ("simulation.py", some(1_000_000)), # the longest first
        ("kills.py", every),
        ("disk.py", every),
        ("recovery.py", every),
        ("phases.py", every),
        ("pairs.py", max(5, some(100))),
        ("careless.py",),
        ("suites.py",),
        ("elsewhere.py",),
        ("../test_state_machine.py", some(300)),
        ("../test_hostile.py",),
        ("hostile.py",),
        ("network.py",),
        ("fuzz.py", some(60)),
        ("soak.py", max(100, some(2000))),
        ("load.py", some(1_000_000)),
    ]


def run(part):
    "One part, in a process of its own."
    script, *arguments = map(str, part)
    print(time.strftime("%H:%M:%S"), Path(script).name, *arguments, file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", Path(__file__).parent / script, *arguments]
    return script, subprocess.run(command, capture_output=True, text=True, errors="replace")


def main(share):
    "Run the parts; the exit code says whether something was lost."
    failed = []
    print(HEAD, flush=True)
    with ThreadPoolExecutor(2) as pool: # two at a time: each computes in one thread
        for script, done in pool.map(run, parts(share)):
            rows = [line for line in done.stdout.splitlines() if line.startswith("| ") and line not in HEAD]
            for row in rows: print(row, flush=True)
            if done.returncode: failed.append(f"{script}: {done.stderr[-3000:]}")
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__": main(float(sys.argv[1]) if sys.argv[1:] else 1.0)
