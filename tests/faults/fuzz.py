"""Everything that reads a file that a stranger may have written, given what no one would write: only the errors that
are promised may come out.

    python tests/faults/fuzz.py [SECONDS]

It is guided by coverage where atheris is installed, else bytes are changed at random.
"""
import json, random, shutil, subprocess, sys, tempfile, time, warnings
from importlib.util import find_spec
from pathlib import Path

from table import Row, show
from tiny import finish

PLACE = Path(tempfile.mkdtemp())
RUN = PLACE / "run"
COVERED = [f"selfloop_nb.{name}" for name in ("records", "storage.store", "storage.files", "storage.archive",
                                              "storage.verify")] + ["zipfile", "json"]


def good_run():
    "A run to begin from."
    from selfloop_nb import export_run
    finish(RUN, rounds=1)
    export_run(RUN, PLACE / "run.zip")
    return next((RUN / "rounds").glob("0001-*"))


def read_record(data):
    from selfloop_nb.records import Round, history_row
    history_row(Round.from_json(data.decode("utf-8", "replace")))


def read_run(data, name):
    "A run whose `name` is what the fuzzer makes: run.json, heads.json, a record."
    from selfloop_nb import open_run, verify
    next(RUN.rglob(name)).write_bytes(data)
    open_run(RUN).history()
    verify(RUN)


def read_samples(data):
    from selfloop_nb.storage.files import read_table
    (PLACE / "samples.parquet").write_bytes(data)
    read_table(PLACE / "samples.parquet")


def parts_of(table):
    "The rows of a parquet file, and its footer."
    data = table.read_bytes()
    begins = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:begins], data[begins:-8]


def read_footer(data, rows):
    "The rows of a good table with another footer."
    read_samples(rows + data + len(data).to_bytes(4, "little") + b"PAR1")


def read_archive(data):
    from selfloop_nb import import_run
    (PLACE / "any.zip").write_bytes(data)
    shutil.rmtree(import_run(PLACE / "any.zip", PLACE / "taken"))


LOADERS = ("record", "run.json", "heads.json", "samples", "footer of samples", "archive")


def target(name):
    "What reads, and the bytes to begin from."
    newest = good_run()
    rows, footer = parts_of(newest / "samples.parquet")
    return {
        "record": (read_record, [(newest / "round.json").read_bytes()]),
        "run.json": (lambda data: read_run(data, "run.json"), [(RUN / "run.json").read_bytes()]),
        "heads.json": (lambda data: read_run(data, "heads.json"), [(RUN / "heads.json").read_bytes(), b"{}"]),
        "samples": (read_samples, [(newest / "samples.parquet").read_bytes()]),
        "footer of samples": (lambda data: read_footer(data, rows), [footer]),
        "archive": (read_archive, [(PLACE / "run.zip").read_bytes()]),
    }[name]


def attempt(read, data):
    "What came out that must not; None where all is well."
    from selfloop_nb.backend.core import SelfloopError
    try: read(data)
    except (SelfloopError, ValueError, OSError): return None
    except BaseException as error: return f"{type(error).__name__}: {error}"[:300]


HURTFUL = [b"null", b"[]", b"{}", b"1e999", b"-1", b'"', b"NaN", b"\\ud800", b"\x00", b"[" * 3000, b"9" * 5000, b"true",
           b"../", b"\xff\xfe"] # what has hurt readers before
VALUES = [b" 7", b' "x"', b" null", b" [[1]]", b" {}", b" 1e308"]


def mutate(data, at, rng):
    "One change, at a place: bytes are changed, cut, put in, doubled, or stand for a value."
    how = rng.randrange(5)
    if how == 0 and data: data[at - 1] ^= 1 << rng.randrange(8)
    if how == 1: del data[at:at + rng.randint(1, 60)]
    if how == 2: data[at:at] = rng.choice(HURTFUL)
    if how == 3: data[at:at] = data[at:at + rng.randint(1, 40)]
    if how == 4 and (colon := data.find(b":", at)) >= 0:
        data[colon + 1:colon + 1 + rng.randint(1, 8)] = rng.choice(VALUES)


def mutated(seed, rng):
    "A few changes of a file."
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)): mutate(data, rng.randrange(len(data) + 1), rng)
    return bytes(data)


def by_mutation(name, seconds):
    "Without coverage: files, changed at random. How many were tried, and what came out that must not."
    read, seeds = target(name)
    rng = random.Random(0)
    end = time.monotonic() + seconds
    n, found = 0, []
    while time.monotonic() < end and len(found) < 3:
        n += 1
        if wrong := attempt(read, mutated(rng.choice(seeds), rng)): found.append(wrong)
    return n, found


def by_coverage(name, seconds):
    "With atheris, in this process, which ends with it."
    import atheris
    with atheris.instrument_imports(include=COVERED):
        import selfloop_nb.storage.archive, selfloop_nb.storage.verify  # noqa: F401
    read, seeds = target(name)
    corpus = PLACE / "corpus"
    corpus.mkdir()
    for n, seed in enumerate(seeds): (corpus / str(n)).write_bytes(seed)
    def once(data):
        if wrong := attempt(read, data): raise RuntimeError(wrong)
    flags = [f"-max_total_time={seconds}", "-max_len=200000", "-print_final_stats=1", f"-artifact_prefix={PLACE}/"]
    atheris.Setup([sys.argv[0], str(corpus), *flags], once)
    atheris.Fuzz()


UNITS = "stat::number_of_executed_units:"


def one(name, seconds):
    "Fuzz one loader in a process of its own; times tried, and what came out."
    command = [sys.executable, "-W", "ignore", __file__, str(seconds), name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.stdout.startswith("["): return json.loads(done.stdout)
    tried = [int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith(UNITS)]
    if done.returncode == 0 and tried: return tried[0], []
    return sum(tried[:1]), [done.stderr[-800:]]


def main(seconds=60):
    "The rows of the table."
    how = "atheris" if find_spec("atheris") else "mutation at random: atheris is not installed"
    for name in LOADERS:
        n, found = one(name, seconds)
        yield Row(f"fuzzed: {name}", n, [f"{name}: {wrong}" for wrong in found], how)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    seconds = int(sys.argv[1]) if sys.argv[1:] else 60
    if not sys.argv[2:]: show(list(main(seconds)))
    elif find_spec("atheris"): by_coverage(sys.argv[2], seconds)
    else: print(json.dumps(by_mutation(sys.argv[2], seconds)))
