"""A whole small run is killed at every write, fsync and rename that it does, at random moments, and by a loss of power;
whatever was committed must be there, and the resumed run must give the same bytes.

    python tests/faults/kills.py [EVERY]      every EVERY-th call; 1 (all) where it is left out
"""
import random, re, signal, sys, tempfile, warnings
from pathlib import Path

from failpoints import Failpoints, child, replace_everywhere, values
from table import Row, show
from tiny import finish, outcome, tiny_loop, warm_up


def life(store, report, rounds=2, listener=lambda event: None):
    "Run to the end, and report every round that is committed."
    loop = tiny_loop(store)
    def report_round(event):
        if event.kind == "round": report({"committed": event.data["record"].id})
    loop.on(listener)
    loop.on(report_round)
    loop.start()
    while len(loop.rounds) <= rounds: loop.step()
    report({"outcome": outcome(loop.store)})


def afterlife(store, report):
    "What is there after a fault, and what comes of it; a warning of damage is an error here."
    warnings.simplefilter("error", UserWarning)
    report({"rounds": [record.id for record in tiny_loop(store).rounds]})
    report({"outcome": finish(store)})


def calls_of(folder, work=life):
    "What an undisturbed run does to its folder, call by call, and its outcome."
    def watched(report):
        points = Failpoints(folder / "run")
        work(folder / "run", report)
        report({"log": points.log})
    status, reports = child(watched)
    assert status == 0, values(reports, "error")
    return values(reports, "log")[0], values(reports, "outcome")[0]


def calls_in_passing(work=life):
    "The same, of a run that is not kept."
    with tempfile.TemporaryDirectory() as folder: return calls_of(Path(folder), work)


def loss(store, reports, expected):
    "What was lost, in words; None where all is well."
    status, after = child(lambda report: afterlife(store, report))
    if status:
        error, = values(after, "error") or [f"died with {status}"]
        return error.strip().splitlines()[-1]
    gone = set(values(reports, "committed")) - set(values(after, "rounds")[0])
    if gone: return f"committed and gone: {sorted(gone)}"
    return None if values(after, "outcome") == [expected] else "other weights or samples"


def disturb(fault, at, expected, work=life):
    "One run with a fault at the n-th call; returns what was lost."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        def faulty(report):
            Failpoints(store, at, fault)
            work(store, report)
        status, reports = child(faulty)
        if fault in ("kill", "power") and status != -signal.SIGKILL:
            return f"no kill happened: {status} {values(reports, 'error')}"
        return loss(store, reports, expected)


def losses_at(places, log, fault, disturbed):
    "What is lost by a fault at each of these calls (from 1); `disturbed(n)` tries one of them."
    found = {n: disturbed(n) for n in places}
    return [f"{fault} at call {n}, {' of '.join(log[n - 1])}: {lost}" for n, lost in found.items() if lost]


def at_every_call(log, expected, every=1):
    "A row a fault."
    names = {"kill": "kill -9 at a write, fsync, rename or other call", "power": "loss of power there",
             "interrupt": "interrupt there"}
    for number, (fault, name) in enumerate(names.items()):
        places = range(1 + number * every // 3, len(log) + 1, every)
        yield Row(name, len(places), losses_at(places, log, fault, lambda n: disturb(fault, n, expected)))


def at_random(n, expected, seed=0):
    "SIGKILL and SIGINT in turn, at random moments of the run's 0.8 seconds."
    moments = random.Random(seed)
    losses = []
    for k in range(n):
        which = (signal.SIGKILL, signal.SIGINT)[k % 2]
        after = moments.uniform(0.01, 0.8)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            store = Path(folder) / "run"
            _, reports = child(lambda report: life(store, report), (after, which))
            lost = loss(store, reports, expected)
        if lost: losses.append(f"{which.name} after {after:.3f} s: {lost}")
    return Row("SIGKILL and SIGINT at random moments", n, losses)


def without_temporary_file():
    "Files are written in their place."
    from selfloop_nb.storage.files import write_file
    def write(path, data): path.write_bytes(data.encode() if isinstance(data, str) else data)
    replace_everywhere(write_file, write)


def no_sync(disk, handle): pass


def without_fsync():
    "Nothing is brought to the disk."
    from selfloop_nb.storage.disk import Disk
    Disk.sync = no_sync


def with_head_first():
    "A branch points to a round before it is there."
    from selfloop_nb.storage.store import Run
    commit = Run.commit
    def head_first(run, draft, record):
        run.set_head(record.id)
        commit(run, draft, record)
    Run.commit = head_first


CONTROLS = { # stores that take no care, and the fault that finds each out
    "no temporary file": (without_temporary_file, "kill"),
    "no fsync": (without_fsync, "power"),
    "head first": (with_head_first, "kill"),
}


def n_found(take_no_care, fault):
    "How many losses a careless store is found to have, of faults around the records and heads of the second round."
    def careless_life(store, report):
        take_no_care()
        life(store, report)
    log, expected = calls_in_passing(careless_life)
    matters = [call in ("write", "rename") and re.search("round.json|heads.json", path) for call, path in log]
    places = [n for n, does in enumerate(matters, 1) if does][-3:]
    return sum(disturb(fault, n, expected, careless_life) is not None for n in places)


def controls():
    "The harness itself is tried: it must find out every careless store."
    found = {name: n_found(*control) for name, control in CONTROLS.items()}
    unnoticed = [f"{name} was not noticed" for name, n in found.items() if not n]
    return Row("careless stores found out", len(found), unnoticed, f"losses seen: {found}")


def order_of_calls(log):
    "Files reach the disk in this order: bytes, fsync of the file, rename, fsync of the folder; what breaks it."
    renames = [(n, Path(path)) for n, (call, path) in enumerate(log) if call == "rename"]
    losses = []
    for n, path in renames:
        synced_before = log[n - 1][0] == "fsync" and Path(log[n - 1][1]).parent in path.parents
        if not synced_before: losses.append(f"{path} is renamed before it is synced")
        if log[n + 1:n + 2] != [["fsync", str(path.parent)]]:
            losses.append(f"the folder of {path} is not synced after the rename")
    return Row("renames with fsync before and after", len(renames), losses)


def main(every=1, n_random=100):
    "The rows of the table."
    warm_up()
    log, expected = calls_in_passing()
    return [*at_every_call(log, expected, every), at_random(n_random, expected), order_of_calls(log), controls()]


if __name__ == "__main__":
    every = int(sys.argv[1]) if sys.argv[1:] else 1
    show(main(every, 100 // every))
