"""After a fault the same process goes on: what was committed is there, all that shows the run agrees, and the run ends
with the same bytes.

The fault is an error or an interrupt at any call that writes, reads, looks at or locks a file, and an interrupt or a
full memory at any line of a commit.

    python tests/faults/recovery.py [EVERY]

Tried are every fourth call that writes, every sixteenth that does not, every fortieth line; EVERY times fewer of each.
"""
import signal, sys, tempfile, warnings
from pathlib import Path

from failpoints import READS, WRITES, Failpoints, child, values
from kills import loss
from table import Row, show
from tiny import outcome, tiny_loop

LIBRARY = str(Path(__file__).parents[2] / "selfloop_nb")


class Life:
    "A run in one process, which goes on after a fault."
    def __init__(self, store):
        self.store = store
        self.loop = None
        self.committed = []

    def go_on(self):
        if self.loop is None: self.loop = tiny_loop(self.store)
        if self.note not in self.loop.listeners: self.loop.on(self.note)
        self.loop.start()
        while len(self.loop.rounds) <= 2: self.loop.step()

    def note(self, event):
        if event.kind == "round": self.committed.append(event.data["record"].id)


def ids(records): return [record.id for record in records]


def shown(loop, folder):
    "Name -> the rounds of the branch as each part of the library shows them; and those of the run."
    from selfloop_nb import export_run, import_run, open_run
    from selfloop_nb.charts.lineage import lines_of
    store = loop.store
    opened = open_run(store.path, store.branch)
    archive = export_run(loop, folder / "run.zip")
    copied = open_run(import_run(archive, folder / "copy"), store.branch)
    numbers = [record.number for record in loop.rounds]
    lines = lines_of(store.all_rounds(), store.heads)
    of_branch = {"an opened run": ids(opened.rounds), "an archive": ids(copied.rounds)}
    of_branch["the history"] = ids(loop.rounds) if list(loop.history()["round"]) == numbers else numbers
    of_run = {
        "the tree": sorted(id for line in lines for id in ids(line.rounds)),
        "an opened run": opened.store.ids(),
        "an archive": copied.store.ids(),
    }
    return of_branch, of_run


def disagreement(life):
    "What of a run disagrees, in words; None where all is well."
    from selfloop_nb import verify
    if life.loop is None or not life.loop.rounds: return None
    loop = life.loop
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("error", UserWarning)
        if not verify(loop).is_whole: return f"verify: {verify(loop)}"
        of_branch, of_run = shown(loop, Path(folder))
    gone = set(life.committed) - set(ids(loop.rounds))
    if gone: return f"committed and gone: {sorted(gone)}"
    for name, found in of_branch.items():
        if found != ids(loop.rounds): return f"the loop has {ids(loop.rounds)}, {name} {found}"
    for name, found in of_run.items():
        if found != loop.store.ids(): return f"the run has {loop.store.ids()}, {name} {found}"


def survive(store, fault, report):
    "A life with a fault in it, told as it goes; the fault is over once it has come."
    life = Life(store)
    try: life.go_on()
    except BaseException as error: report({"raised": f"{type(error).__name__}: {error}"})
    fault.on = False
    report({"wrong": disagreement(life)})
    life.go_on()
    report({"wrong": disagreement(life)})
    report({"outcome": outcome(life.loop.store)})
    for id in life.committed: report({"committed": id})


def lost_by(make_fault, expected):
    "What was lost by a fault, in words; None where all is well."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        status, reports = child(lambda report: survive(store, make_fault(store), report))
        raised = ", ".join(values(reports, "raised")) or "nothing raised"
        if status: return f"{raised}; then {last_line(values(reports, 'error'))}"
        wrong = [text for text in values(reports, "wrong") if text]
        if wrong: return f"{raised}; then {wrong[0]}"
        if values(reports, "outcome") != [expected]: return f"{raised}; then other weights or samples"
        return loss(store, reports, expected)


def last_line(errors):
    "What went wrong in the end."
    return errors[0].strip().splitlines()[-1] if errors else "it died"


class Lines:
    "Counts the lines of the library that run in a commit; at one of them something happens."
    def __init__(self, at=None, happens=lambda: None):
        from selfloop_nb import Loop
        self.commit = Loop._commit.__code__
        self.at, self.happens = at, happens
        self.places = [] # of the lines, as they run
        self.on = True
        self.in_commit = False
        sys.settrace(self.called)

    def called(self, frame, event, arg):
        "A function begins."
        code = frame.f_code
        if code is self.commit: self.in_commit = True
        if self.on and self.in_commit and code.co_filename.startswith(LIBRARY): return self.stepped

    def stepped(self, frame, event, arg):
        "A line is about to run, or a function ends."
        code = frame.f_code
        if event == "return" and code is self.commit: self.in_commit = False
        if event == "line" and self.on and self.in_commit:
            self.places.append(f"{Path(code.co_filename).name}:{frame.f_lineno}, in {code.co_name}")
            if len(self.places) == self.at: self.happens()
        return self.stepped


def interrupt(): signal.raise_signal(signal.SIGINT)
def fill_memory(): raise MemoryError("no memory is left")


def undisturbed(make_fault, log):
    "What is counted in a life without a fault, and its outcome."
    def watched(report):
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "run"
            fault = make_fault(store)
            life = Life(store)
            life.go_on()
            fault.on = False
            report({"log": log(fault), "outcome": outcome(life.loop.store)})
    status, reports = child(watched)
    assert status == 0, values(reports, "error")
    return values(reports, "log")[0], values(reports, "outcome")[0]


def tried(what, places, names, try_one):
    "A row: what is lost at each of these places (from 1)."
    found = {n: try_one(n) for n in places}
    return Row(what, len(places), [f"{what} {n}, {names[n - 1]}: {lost}" for n, lost in found.items() if lost])


def at_calls(every=1):
    "A row a fault and kind of call."
    kinds = {"writes": (WRITES, 4 * every), "reads, looks or locks": (READS, 16 * every)}
    for kind, (calls, step) in kinds.items():
        log, expected = undisturbed(lambda store: Failpoints(store, calls=calls), lambda points: points.log)
        names = [" of ".join(call) for call in log]
        for number, fault in enumerate(("EIO", "interrupt")):
            places = range(1 + number * step // 2, len(log) + 1, step)
            def lost_at(n): return lost_by(lambda store: Failpoints(store, n, fault, calls), expected)
            yield tried(f"{fault} at a call that {kind}, and on in the same process", places, names, lost_at)


def at_lines(every=1):
    "A row a fault."
    places, expected = undisturbed(lambda store: Lines(), lambda lines: lines.places)
    happens = {"interrupt": interrupt, "full memory": fill_memory}
    for number, (fault, happen) in enumerate(happens.items()):
        numbers = range(1 + number * 20 * every, len(places) + 1, 40 * every)
        def lost_at(n): return lost_by(lambda store: Lines(n, happen), expected)
        yield tried(f"{fault} at a line of a commit, and on in the same process", numbers, places, lost_at)


def warm_up():
    "Load and use everything once, so that a fork of this process can begin at once."
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder) / "run")
        life.go_on()
        assert disagreement(life) is None, disagreement(life)


def main(every=1):
    "The rows of the table."
    warm_up()
    return [*at_calls(every), *at_lines(every)]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1))
