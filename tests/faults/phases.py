"""The kernel dies at every event of a run: as a phase begins, at each batch and step in it, and before and after it is committed. What was committed is there, and the resumed run has the same bytes.

    python tests/faults/phases.py [EVERY]      every EVERY-th moment; 1 (all) where it is left out
"""
import os, signal, sys, tempfile
from pathlib import Path

from failpoints import child
from kills import life, loss, told
from table import Row, show
from tiny import warm_up


def watched(store, say, reached):
    "A run that calls `reached` with the name of each moment."
    from selfloop_nb.storage.store import Draft
    commit = Draft.end_phase
    def end_phase(draft, phase, *args, **how):
        reached(f"{draft.id[:4]}, {phase}: before it is committed")
        commit(draft, phase, *args, **how)
        reached(f"{draft.id[:4]}, {phase}: committed")
    Draft.end_phase = end_phase
    life(store, say, listener=lambda event: reached(f"round {event.round}, {event.phase}: {event.kind}"))


def all_moments():
    "The moments of an undisturbed run, and its outcome."
    with tempfile.TemporaryDirectory() as folder:
        moments = []
        status, said = child(lambda say: (watched(Path(folder) / "run", say, moments.append), say({"moments": moments})))
        assert status == 0, told(said, "error")
    return told(said, "moments")[0], told(said, "outcome")[0]


def die_at(n, expected):
    "What is lost where the kernel dies at the n-th moment (from 0)."
    left = [n]
    def reached(moment):
        left[0] -= 1
        if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        status, said = child(lambda say: watched(Path(folder) / "run", say, reached))
        return loss(Path(folder) / "run", said, expected) if status == -signal.SIGKILL else f"no kill happened: {status} {told(said, 'error')}"


def main(every=1):
    "The row of the table."
    warm_up()
    moments, expected = all_moments()
    places = range(0, len(moments), every)
    losses = [f"{moments[n]}: {lost}" for n in places if (lost := die_at(n, expected))]
    phases = sorted({moments[n].split(":")[0].split(", ")[1] for n in places if ", " in moments[n]} - {"", "idle"})
    return [Row("phases resumed bit-identically after a kill at an event of theirs", len(places), losses, "in " + ", ".join(phases))]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1))
