"""Rows of the table that are tests of `make test`: how many of them there are, and which fail.

    python tests/faults/suites.py
"""
import re, subprocess, sys
from pathlib import Path

from table import Row, show

TESTS = Path(__file__).parents[1]
SUITES = { # what is tried -> files of tests, and which of their tests
    "versions opened: runs that older ones made go on, those of newer ones are left alone":
        (["test_old_runs.py", "test_run_folder.py"], "old_runs or newer_version"),
    "strangers' models, archives and folders, under limits":
        (["test_untrusted.py", "test_strangers.py", "test_odd_files.py"], "not whole_run"),
    "what was lost, put back by its hash or made again": (["test_repair.py"], "test"),
}


def row(what, files, which):
    "The row of a suite."
    there = [TESTS / file for file in files if (TESTS / file).exists()]
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", *there, "-k", which,
               "-m", "not long", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent)
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed: failed = [done.stdout[-500:] + done.stderr[-500:]]
    return Row(what, sum(counts.values()), failed)


def main():
    "The rows of the table."
    there = {what: which for what, which in SUITES.items() if (TESTS / which[0][0]).exists()}
    return [row(what, *which) for what, which in there.items()]


if __name__ == "__main__": show(main())
