"""A whole small run is killed at every write, fsync and rename that it does, at random moments, and by a loss of power; whatever was committed must be there, and the resumed run must give the same bytes.

    python tests/faults/kills.py [EVERY]      every EVERY-th call; 1 (all) where it is left out
"""
import os, random, signal, sys, tempfile, warnings
from pathlib import Path

from failpoints import Failpoints, child
from table import Row, show
from tiny import finish, outcome, tiny_loop, warm_up


def life(store, say, rounds=2, listener=lambda event: None):
    "Run to the end, and tell of every round that is committed."
    loop = tiny_loop(store)
    loop.on(listener)
    loop.on(lambda event: say({"committed": event.data["record"].id}) if event.kind == "round" else None)
    loop.start()
    while len(loop.rounds) <= rounds: loop.step()
    say({"outcome": outcome(loop.store)})


def afterlife(store, say):
    "What is there after a fault, and what comes of it; a warning of damage is an error here."
    warnings.simplefilter("error", UserWarning)
    say({"rounds": [r.id for r in tiny_loop(store).rounds]})
    say({"outcome": finish(store)})


def told(said, what): return [line[what] for line in said if what in line]


def calls_of(folder, work=life):
    "What an undisturbed run does to its folder, call by call, and its outcome."
    def watched(say):
        points = Failpoints(folder / "run")
        work(folder / "run", say)
        say({"log": points.log})
    status, said = child(watched)
    assert status == 0, told(said, "error")
    return told(said, "log")[0], told(said, "outcome")[0]


def loss(store, said, expected):
    "What was lost, in words; None where all is well."
    status, after = child(lambda say: afterlife(store, say))
    if status: return (told(after, "error") or [f"died with {status}"])[0].strip().splitlines()[-1]
    if lost := set(told(said, "committed")) - set(told(after, "rounds")[0]): return f"committed and gone: {sorted(lost)}"
    return None if told(after, "outcome") == [expected] else "other weights or samples"


def disturb(fault, at, expected, work=life):
    "One run with a fault at the n-th call; returns what was lost."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        def faulty(say):
            Failpoints(store, at, fault)
            work(store, say)
        status, said = child(faulty)
        if fault in ("kill", "power") and status != -signal.SIGKILL: return f"no kill happened: {status} {told(said, 'error')}"
        return loss(store, said, expected)


def at_every_call(every=1, faults=("kill", "power", "interrupt")):
    "Count and losses by fault."
    with tempfile.TemporaryDirectory() as folder: log, expected = calls_of(Path(folder))
    found = {}
    for number, fault in enumerate(faults):
        places = range(1 + number * every // 3, len(log) + 1, every)
        found[fault] = len(places), [f"{fault} at call {n}, {' of '.join(log[n - 1])}: {lost}" for n in places if (lost := disturb(fault, n, expected))]
    return found, log, expected


def at_random(n, expected, seed=0):
    "SIGKILL and SIGINT in turn, at random moments of the run's 0.8 seconds."
    moments, losses = random.Random(seed), []
    for k in range(n):
        which = (signal.SIGKILL, signal.SIGINT)[k % 2]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            store, after = Path(folder) / "run", moments.uniform(0.01, 0.8)
            _, said = child(lambda say: life(store, say), (after, which))
            if lost := loss(store, said, expected): losses.append(f"{which.name} after {after:.3f} s: {lost}")
    return n, losses


def careless(how):
    "The run with a store that takes no care: the harness must find each of them out."
    from selfloop_nb.storage import files
    from selfloop_nb import phases
    from selfloop_nb.storage import store as storing
    def life_of(store, say):
        def naive(path, data): path.write_bytes(data.encode() if isinstance(data, str) else data)
        if how == "no temporary file": storing.write_file = phases.write_file = naive
        if how == "no fsync": files.os = type("os", (), {name: staticmethod(value) if callable(value) else value for name, value in vars(os).items()} | {"fsync": staticmethod(lambda handle: None)})
        if how == "head first":
            commit = storing.Run.commit
            def head_first(run, draft, record): run.set_head(record.id); commit(run, draft, record)
            storing.Run.commit = head_first
        life(store, say)
    return life_of


CONTROLS = {"no temporary file": "kill", "no fsync": "power", "head first": "kill"}


def controls():
    "How many losses each careless store is found to have, of kills around the records and heads of the second round."
    found = {}
    for how, fault in CONTROLS.items():
        with tempfile.TemporaryDirectory() as folder: log, expected = calls_of(Path(folder), careless(how))
        places = [n for n, (call, path) in enumerate(log, 1) if call in ("write", "rename") and any(name in path for name in ("round.json", "heads.json"))][-3:]
        found[how] = sum(disturb(fault, n, expected, careless(how)) is not None for n in places)
    return found


def order_of_calls(log):
    "Faults in the order in which files reach the disk: bytes, fsync of the file, rename, fsync of the folder, and the record last."
    faults = []
    for n, (call, path) in enumerate(log):
        if call != "rename": continue
        before, after = log[:n], log[n + 1:n + 2]
        if not any(c == "fsync" and Path(p).parent in (Path(path).parent, *Path(path).parents) for c, p in before[-1:]): faults.append(f"{path} is renamed before it is synced")
        if after != [["fsync", str(Path(path).parent)]]: faults.append(f"the folder of {path} is not synced after the rename")
    return faults


def main(every=1, n_random=100):
    "The rows of the table."
    warm_up()
    find, log, expected = at_every_call(every)
    names = {"kill": "kill -9 at a write, fsync, rename or other call", "power": "loss of power there", "interrupt": "interrupt there"}
    rows = [Row(names[fault], n, losses) for fault, (n, losses) in find.items()]
    rows.append(Row("SIGKILL and SIGINT at random moments", *at_random(n_random, expected)))
    rows.append(Row("renames with fsync before and after", sum(call == "rename" for call, _ in log), order_of_calls(log)))
    caught = controls()
    rows.append(Row("careless stores found out", len(caught), [f"{how} was not noticed" for how, n in caught.items() if not n], f"losses seen: {caught}"))
    return rows


if __name__ == "__main__":
    every = int(sys.argv[1]) if sys.argv[1:] else 1
    show(main(every, 100 // every))
