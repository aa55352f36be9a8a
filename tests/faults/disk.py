"""The disk is full, or fails, at every write, fsync and rename of a whole small run; files are torn, lost or changed. What was committed stays, the error says where, and the same run goes on to the same bytes.

    python tests/faults/disk.py [EVERY]
"""
import os, re, sys, tempfile, warnings
from pathlib import Path

from failpoints import Failpoints, child
from kills import calls_of, life, loss, told
from table import Row, show
from tiny import finish, tiny_loop, warm_up


def failing(store, at, fault, say):
    "A run on a disk that fails at the n-th call (full: from then on), and goes on in the same process once the disk is well."
    points = Failpoints(store, at, fault)
    try: life(store, say)
    except BaseException as error: say({"raised": [type(error).__name__, str(error), bool(getattr(error, "filename", None)) or str(store) in str(error)]})
    points.on = False


def fail_at(n, call, fault, expected):
    "What was lost by one fault, or how its error misled."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        status, said = child(lambda say: failing(store, n, fault, say))
        if status: return f"died with {status}"
        raised = told(said, "raised")
        if raised and raised[0][0] not in ("OSError", "PermissionError", "RunLockedError"): return f"raised {raised[0][:2]}"
        if raised and not (raised[0][2] or raised[0][0] == "RunLockedError"): return f"the error names no path: {raised[0][1]}"
        if raised and call == "write" and not ("bytes" in raised[0][1] or raised[0][0] == "RunLockedError"): return f"the error names no bytes: {raised[0][1]}"
        return loss(store, said, expected)


def at_every_call(every=1, faults=("ENOSPC", "EIO")):
    "A row a fault."
    with tempfile.TemporaryDirectory() as folder: log, expected = calls_of(Path(folder))
    rows = []
    for number, fault in enumerate(faults):
        places = [n for n, (call, _) in enumerate(log, 1) if call in ("open", "write", "fsync", "rename", "mkdir")][number * every // 2::every]
        losses = [f"{fault} at call {n}, {' of '.join(log[n - 1])}: {lost}" for n in places if (lost := fail_at(n, log[n - 1][0], fault, expected))]
        rows.append(Row({"ENOSPC": "disk full from a call on", "EIO": "I/O error at a call"}[fault], len(places), losses))
    return rows


def read_only():
    "A folder that takes no write is refused before a token is drawn."
    def look(store, say):
        finish(store, rounds=1)
        Failpoints(store, 1, "ENOSPC")
        try:
            loop = tiny_loop(store)
            loop.on(lambda event: say({"event": event.kind}) if event.kind == "progress" else None)
            loop.step()
        except Exception as error: say({"raised": str(error)})
    with tempfile.TemporaryDirectory() as folder: _, said = child(lambda say: look(Path(folder) / "run", say))
    return Row("folder that takes no write, refused before generation", 1, [] if told(said, "raised") and not told(said, "event") else [f"said {said}"])


TEARS = {
    "cut in half": lambda f: os.truncate(f, f.stat().st_size // 2),
    "emptied": lambda f: os.truncate(f, 0),
    "deleted": lambda f: f.unlink(),
    "a bit flipped": lambda f: f.write_bytes((data := f.read_bytes())[:len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1:]),
    "a digit changed": lambda f: f.write_bytes(re.sub(rb"\d(?=\D*$)", lambda digit: b"%d" % ((int(digit[0]) + 1) % 10), f.read_bytes(), count=1)),
    "a link in its place": lambda f: (f.rename(f.with_name("elsewhere")), f.symlink_to("elsewhere")),
}


def torn(store, file, how, expected):
    "One file of the newest round is damaged: the run says which, goes back one round, and makes it again. Returns what went wrong."
    finish(store)
    run = tiny_loop(store).store
    newest = run.folder(run.head)
    TEARS[how](newest / file)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loop = tiny_loop(store)
    words = " ".join(str(w.message) for w in said)
    if not (file in words and "going back to" in words and newest.name in words): return f"said only {words!r}"
    if len(loop.rounds) != 2: return f"{len(loop.rounds)} rounds are left"
    loop.step()
    return None if weights_and_samples(loop.store) == expected else "other weights or samples"


def weights_and_samples(run):
    "Hashes of what counts; the ids of rounds aside, since a round that was made again has another."
    return [sorted((n, h) for n, h in r.files.items() if n.endswith((".safetensors", ".parquet"))) for r in run.rounds()]


def every_file_torn(every=1):
    "Every file of the newest round, damaged in every way."
    with tempfile.TemporaryDirectory() as folder:
        finish(Path(folder) / "run")
        run = tiny_loop(Path(folder) / "run").store
        files, expected = ["round.json", *run.rounds()[-1].files], weights_and_samples(run)
    cases = [(file, how) for file in files for how in TEARS if (file, how) != ("round.json", "a link in its place")][::every]
    losses = []
    for file, how in cases:
        with tempfile.TemporaryDirectory() as folder:
            if lost := torn(Path(folder) / "run", file, how, expected): losses.append(f"{file} {how}: {lost}")
    return Row("files of the newest round torn, lost or changed", len(cases), losses)


def main(every=1):
    "The rows of the table."
    warm_up()
    return [*at_every_call(every), read_only(), every_file_torn(every)]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1))
