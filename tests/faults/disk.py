"""The disk is full, or fails, at every write, fsync and rename of a whole small run; files are torn, lost or changed.

What was committed stays, the error says where, and the same run goes on to the same bytes.

    python tests/faults/disk.py [EVERY]      every EVERY-th call; 1 (all) where it is left out
"""
import os, re, sys, tempfile, warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from failpoints import Failpoints, child, values
from kills import calls_in_passing, life, loss, losses_at
from table import Row, show
from tiny import finish, results, tiny_loop, warm_up

FAULTS = {"ENOSPC": "disk full from a call on", "EIO": "I/O error at a call"}
CALLS = ("open", "write", "fsync", "rename", "mkdir")


@dataclass
class Raised:
    "An error as it came out."
    kind: str
    text: str
    names_a_path: bool


def failing(store, at, fault, report):
    "A run on a disk that fails at the n-th call (full: from then on); then the disk is well."
    points = Failpoints(store, at, fault)
    try: life(store, report)
    except BaseException as error:
        names_a_path = bool(getattr(error, "filename", None)) or str(store) in str(error)
        report({"raised": asdict(Raised(type(error).__name__, str(error), names_a_path))})
    points.on = False


def misleads(raised, call):
    "What is wrong with an error, in words; None where it is the right one and says where."
    if raised.kind == "RunLockedError": return None
    if raised.kind not in ("OSError", "PermissionError"): return f"raised {raised.kind}: {raised.text}"
    if not raised.names_a_path: return f"the error names no path: {raised.text}"
    if call == "write" and "bytes" not in raised.text: return f"the error names no bytes: {raised.text}"


def fail_at(n, call, fault, expected):
    "What was lost by one fault, or how its error misled."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder) / "run"
        status, reports = child(lambda report: failing(store, n, fault, report))
        if status: return f"died with {status}"
        for raised in values(reports, "raised"):
            if wrong := misleads(Raised(**raised), call): return wrong
        return loss(store, reports, expected)


def at_every_call(every=1):
    "A row a fault."
    log, expected = calls_in_passing()
    for number, (fault, name) in enumerate(FAULTS.items()):
        places = [n for n, (call, _) in enumerate(log, 1) if call in CALLS][number * every // 2::every]
        losses = losses_at(places, log, fault, lambda n: fail_at(n, log[n - 1][0], fault, expected))
        yield Row(name, len(places), losses)


def read_only():
    "A folder that takes no write is refused before a token is drawn."
    def look(store, report):
        finish(store, rounds=1)
        Failpoints(store, 1, "ENOSPC")
        try:
            loop = tiny_loop(store)
            loop.on(lambda event: report({"event": event.kind}))
            loop.step()
        except Exception as error: report({"raised": str(error)})
    with tempfile.TemporaryDirectory() as folder:
        _, reports = child(lambda report: look(Path(folder) / "run", report))
    refused = values(reports, "raised") and "progress" not in values(reports, "event")
    losses = [] if refused else [f"reported {reports}"]
    return Row("folder that takes no write, refused before generation", 1, losses)


def cut_in_half(path): os.truncate(path, path.stat().st_size // 2)
def emptied(path): os.truncate(path, 0)
def deleted(path): path.unlink()


def with_a_bit_flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def with_a_digit_changed(path):
    "The last digit is one more."
    def next_digit(digit): return b"%d" % ((int(digit[0]) + 1) % 10)
    path.write_bytes(re.sub(rb"\d(?=\D*$)", next_digit, path.read_bytes(), count=1))


def with_a_link_in_its_place(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


TEARS = (cut_in_half, emptied, deleted, with_a_bit_flipped, with_a_digit_changed, with_a_link_in_its_place)


def torn(store, file, tear, expected):
    "Damage one file of the newest round: the run says which, goes back one round, and makes it again. What went wrong?"
    finish(store)
    run = tiny_loop(store).store
    newest = run.folder(run.head)
    tear(newest / file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop = tiny_loop(store)
    text = " ".join(str(warning.message) for warning in caught)
    if not all(word in text for word in (file, "going back to", newest.name)): return f"warned only of {text!r}"
    if len(loop.rounds) != 2: return f"{len(loop.rounds)} rounds are left"
    loop.step()
    return None if all_results(loop.store) == expected else "other weights or samples"


def all_results(run):
    "Hashes of what counts; the ids of rounds aside, since a round that was made again has another."
    return list(map(results, run.rounds()))


def every_file_torn(every=1):
    "Every file of the newest round, damaged in every way."
    with tempfile.TemporaryDirectory() as folder:
        finish(Path(folder) / "run")
        run = tiny_loop(Path(folder) / "run").store
        files, expected = ["round.json", *run.rounds()[-1].files], all_results(run)
    cases = [(file, tear) for file in files for tear in TEARS]
    cases.remove(("round.json", with_a_link_in_its_place))
    losses = []
    for file, tear in cases[::every]:
        with tempfile.TemporaryDirectory() as folder: lost = torn(Path(folder) / "run", file, tear, expected)
        if lost: losses.append(f"{file} {tear.__name__.replace('_', ' ')}: {lost}")
    return Row("files of the newest round torn, lost or changed", len(cases[::every]), losses)


def main(every=1):
    "The rows of the table."
    warm_up()
    return [*at_every_call(every), read_only(), every_file_torn(every)]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1))
