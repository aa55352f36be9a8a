"""The short form of `make faults`: a whole small run is killed, interrupted, cut off from power and from its disk at some of its calls, and careless stores are found out.

It runs in a process of its own, which forks for every fault; `python tests/faults/kills.py` tries every call.
"""
import subprocess, sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).with_name("faults")


def lines(script, *arguments):
    "The rows of the table that a script prints; an error with what was lost where something was."
    done = subprocess.run([sys.executable, "-W", "ignore", FAULTS / script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in done.stdout.splitlines() if line.startswith("| ")][1:]


def test_kills_interrupts_and_loss_of_power():
    rows = lines("kills.py", 36)
    assert all(row[2] == "0" for row in rows)
    assert {row[0]: int(row[1]) for row in rows}["careless stores found out"] == 3


def test_disks_that_fail_and_files_that_are_torn():
    assert all(row[2] == "0" for row in lines("disk.py", 36))
