"""Everything that reads a file that a stranger may have written, given what no one would write: only the errors that are promised may come out.

    python tests/faults/fuzz.py [SECONDS]      with atheris (coverage-guided) where it is installed, else with Hypothesis
"""
import io, json, os, subprocess, sys, tempfile, time, warnings, zipfile
from pathlib import Path

from table import Row, show
from tiny import finish

PLACE = Path(tempfile.mkdtemp())


def good_run():
    "A run to begin from."
    from selfloop_nb import export_run
    finish(PLACE / "run", rounds=1)
    export_run(PLACE / "run", PLACE / "run.zip")
    return next((PLACE / "run" / "rounds").glob("0001-*"))


def read_record(data):
    from selfloop_nb.records import Round, history_row
    history_row(Round.from_json(data.decode("utf-8", "replace")))


def read_run(data, name):
    "A run whose `name` is what the fuzzer makes: run.json, heads.json, a record."
    from selfloop_nb import open_run, verify
    (file := next((PLACE / "run").rglob(name))).write_bytes(data)
    open_run(PLACE / "run").history()
    verify(PLACE / "run")


def read_samples(data):
    from selfloop_nb.storage.files import read_table
    (PLACE / "samples.parquet").write_bytes(data)
    read_table(PLACE / "samples.parquet")


def read_archive(data):
    from selfloop_nb import import_run
    (PLACE / "any.zip").write_bytes(data)
    import shutil
    shutil.rmtree(import_run(PLACE / "any.zip", PLACE / "taken"))


def targets(newest):
    "Loader -> (function, seeds to begin from)."
    run = PLACE / "run"
    return {"record": (read_record, [(newest / "round.json").read_bytes()]),
        "run.json": (lambda data: read_run(data, "run.json"), [(run / "run.json").read_bytes()]),
        "heads.json": (lambda data: read_run(data, "heads.json"), [(run / "heads.json").read_bytes(), b"{}"]),
        "samples": (read_samples, [(newest / "samples.parquet").read_bytes()]),
        "archive": (read_archive, [(PLACE / "run.zip").read_bytes()])}


def attempt(read, data):
    "What came out that must not; None where all is well."
    from selfloop_nb.core import SelfloopError
    try: read(data)
    except (SelfloopError, ValueError, OSError): return None
    except BaseException as error: return f"{type(error).__name__}: {error}"[:300]


def mutated(seed, random):
    "Some bytes changed, cut, doubled, or put in from a list of what has hurt readers before."
    data = bytearray(seed)
    for _ in range(random.randint(1, 6)):
        at, how = random.randrange(len(data) + 1), random.randrange(5)
        if how == 0 and data: data[at - 1] ^= 1 << random.randrange(8)
        elif how == 1: del data[at:at + random.randint(1, 60)]
        elif how == 2: data[at:at] = random.choice([b"null", b"[]", b"{}", b"1e999", b"-1", b'"', b"NaN", b"\\ud800", b"\x00", b"[" * 3000, b"9" * 5000, b"true", b"../", b"\xff\xfe"])
        elif how == 3: data[at:at] = data[at:at + random.randint(1, 40)]
        elif how == 4 and b":" in data: (p := data.find(b":", at)) >= 0 and data.__setitem__(slice(p + 1, p + 1 + random.randint(1, 8)), random.choice([b" 7", b' "x"', b" null", b" [[1]]", b" {}", b" 1e308"]))
    return bytes(data)


def by_mutation(name, seconds):
    "Without coverage: seeds, changed at random."
    import random
    read, seeds = targets(good_run())[name]
    moment, n, found, chance = time.monotonic(), 0, [], random.Random(0)
    while time.monotonic() - moment < seconds and len(found) < 3:
        n += 1
        if wrong := attempt(read, mutated(chance.choice(seeds), chance)): found.append(wrong)
    return n, found


def by_coverage(name, seconds):
    "With atheris, in this process, which ends with it."
    import atheris
    with atheris.instrument_imports(include=["selfloop_nb.records", "selfloop_nb.storage.store", "selfloop_nb.storage.files", "selfloop_nb.storage.archive", "selfloop_nb.storage.verify", "zipfile", "json"]): import selfloop_nb.storage.archive, selfloop_nb.storage.verify
    read, seeds = targets(good_run())[name]
    corpus = PLACE / "corpus"
    corpus.mkdir()
    for n, seed in enumerate(seeds): (corpus / str(n)).write_bytes(seed)
    def once(data):
        if wrong := attempt(read, data): raise RuntimeError(wrong)
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=200000", "-print_final_stats=1", f"-artifact_prefix={PLACE}/"], once)
    atheris.Fuzz()


def one(name, seconds):
    "Fuzz one loader in a process of its own; times tried, and what came out."
    done = subprocess.run([sys.executable, "-W", "ignore", __file__, str(seconds), name], capture_output=True, text=True, errors="replace")
    if done.stdout.startswith("{"): answer = json.loads(done.stdout); return answer["n"], answer["found"]
    tried = [int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units:")]
    return (tried or [0])[0], [] if done.returncode == 0 and tried else [done.stderr[-800:]]


def main(seconds=60):
    "The rows of the table."
    from importlib.util import find_spec
    how, rows = "atheris" if find_spec("atheris") else "mutation at random: atheris is not installed", []
    for name in ("record", "run.json", "heads.json", "samples", "archive"):
        n, found = one(name, seconds)
        rows.append(Row(f"fuzzed: {name}", n, [f"{name}: {f}" for f in found], how))
    return rows


if __name__ == "__main__":
    from importlib.util import find_spec
    warnings.simplefilter("ignore")
    seconds = int(sys.argv[1]) if sys.argv[1:] else 60
    if not sys.argv[2:]: show(main(seconds))
    elif find_spec("atheris"): by_coverage(sys.argv[2], seconds)
    else: print(json.dumps(dict(zip(("n", "found"), by_mutation(sys.argv[2], seconds)))))
