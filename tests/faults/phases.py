"""The kernel dies at every event of a run: as a phase begins, at each batch and step in it, and before and after it is
committed. What was committed is there, and the resumed run has the same bytes.

    python tests/faults/phases.py [EVERY]      every EVERY-th moment; 1 (all) where it is left out
"""
import os, signal, sys, tempfile
from pathlib import Path

from failpoints import child, values
from kills import life, loss
from table import Row, show
from tiny import warm_up


def watched(store, report, reached):
    "A run that calls `reached` with the name of each moment."
    from selfloop_nb.storage.store import Draft
    commit = Draft.end_phase
    def end_phase(draft, phase, *args, **how):
        reached(f"{draft.id[:4]}, {phase}: before it is committed")
        commit(draft, phase, *args, **how)
        reached(f"{draft.id[:4]}, {phase}: committed")
    Draft.end_phase = end_phase
    life(store, report, listener=lambda event: reached(f"round {event.round}, {event.phase}: {event.kind}"))


def all_moments():
    "The moments of an undisturbed run, and its outcome."
    def work(report):
        moments = []
        watched(store, report, moments.append)
        report({"moments": moments})
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "run"
        status, reports = child(work)
    assert status == 0, values(reports, "error")
    return values(reports, "moments")[0], values(reports, "outcome")[0]


def die_at(n, expected):
    "What is lost where the kernel dies at the n-th moment (from 0)."
    left = [n]
    def reached(moment):
        left[0] -= 1
        if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        status, reports = child(lambda report: watched(store, report, reached))
        if status != -signal.SIGKILL: return f"no kill happened: {status} {values(reports, 'error')}"
        return loss(store, reports, expected)


def phase_of(moment):
    "The phase in the name of a moment."
    return moment.split(":")[0].partition(", ")[2]


def main(every=1):
    "The row of the table."
    warm_up()
    moments, expected = all_moments()
    places = range(0, len(moments), every)
    found = {n: die_at(n, expected) for n in places}
    losses = [f"{moments[n]}: {lost}" for n, lost in found.items() if lost]
    phases = sorted({phase_of(moments[n]) for n in places} - {"", "idle"})
    what = "phases resumed bit-identically after a kill at an event of theirs"
    return [Row(what, len(places), losses, "in " + ", ".join(phases))]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1))
