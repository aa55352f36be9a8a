"""The short form of `make faults`: a whole small run is killed, interrupted, cut off from power and from its disk at
some of its calls, and careless stores are found out.

It runs in a process of its own, which forks for every fault; `python tests/faults/kills.py` tries every call.
"""
import gc, subprocess, sys
from pathlib import Path

import pytest
from datasets import Dataset

pytestmark = pytest.mark.usefixtures("warm_python")
FAULTS = Path(__file__).with_name("faults")
sys.path.append(str(FAULTS))


def rows(script, *arguments):
    "The rows of the table that a script prints; an error with what was lost where something was."
    command = [sys.executable, "-W", "ignore", FAULTS / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in lines[1:]]


some_calls = pytest.mark.parametrize("every", [72, pytest.param(36, marks=pytest.mark.long)])


@some_calls
def test_kills_interrupts_and_loss_of_power(every):
    table = rows("kills.py", every)
    assert all(row[2] == "0" for row in table)
    assert {row[0]: int(row[1]) for row in table}["careless stores found out"] == 3


@some_calls
def test_disks_that_fail_and_files_that_are_torn(every):
    assert all(row[2] == "0" for row in rows("disk.py", every))


@pytest.mark.long
def test_after_a_fault_the_same_process_goes_on():
    table = rows("recovery.py", 18)
    assert len(table) == 6 and all(int(row[1]) > 0 and row[2] == "0" for row in table)


@pytest.mark.parametrize("n, n_controls", [(10_000, 2), pytest.param(20_000, 8, marks=pytest.mark.long)])
def test_histories_on_a_simulated_disk_and_what_was_put_back(n, n_controls):
    simulated, controls = rows("simulation.py", n, n_controls)
    assert int(simulated[1].replace(",", "")) >= n and simulated[2] == "0"
    assert int(controls[1]) == n_controls and controls[2] == "0"


def test_two_kernels_that_begin_one_folder_at_once():
    (pairs,) = rows("pairs.py", 5)
    assert pairs[1:3] == ["5", "0"]


def test_careless_libraries_are_found_out():
    (careless,) = rows("careless.py")
    assert careless[1:3] == ["4", "0"]


def test_a_round_touches_no_more_files_late_than_early(tmp_path):
    "What a long run would be slowed by, without waiting for it: `make faults` soaks for 2,000 rounds."
    from tiny import tiny_loop
    touched = []
    def watch(event, args):
        if event in ("open", "os.listdir", "os.scandir") and str(tmp_path) in str(args[0]): touched.append(event)
    sys.addaudithook(watch)
    loop = tiny_loop(tmp_path / "run")
    loop.start()
    counts, tables = [], []
    for _ in range(7):
        touched.clear()
        loop.step()
        counts.append(len(touched))
        tables.append(n_tables_alive())
    assert len(loop.rounds) == 8
    assert max(counts[2:]) <= min(counts[2:]) + 2, counts
    assert tables[2] == tables[-1], "Replace uses no kept samples of older rounds, so they are not held"


def n_tables_alive():
    "How many tables the memory holds."
    gc.collect()
    return sum(type(thing) is Dataset for thing in gc.get_objects())
