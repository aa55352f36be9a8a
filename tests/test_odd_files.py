"""Whatever lies in the place of a file of a run: nobody waits for it, reads through it or writes over it, and what is
said is said in words.
"""
import gc, os, shutil, stat, sys, warnings
from pathlib import Path

import pytest

from selfloop_nb import export_run, open_run, verify
from selfloop_nb.backend.core import DamagedRunError, SelfloopError

sys.path.append(str(Path(__file__).with_name("faults")))
from failpoints import child
from tiny import tiny_loop

SECRET = "the owner's own words"


def fifo(path, secret): os.mkfifo(path)


def folder(path, secret): path.mkdir()


def link(path, secret): path.symlink_to(secret)


def dangling(path, secret): path.symlink_to(path.parent / "nowhere")


def circle(path, secret): path.symlink_to(path.name)


def zeros(path, secret):
    "The device that never ends."
    try: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError: pytest.skip("only root makes devices")


EVERY = [(fifo, 4), (link, 4)] # each fourth file; all of them take minutes
EVERY += [pytest.param(kind, 1, marks=pytest.mark.long) for kind in (fifo, link, zeros, folder, dangling, circle)]
SLOW = {"report.html": 0, "rounds/0000/model/tokenizer.json": 1} # where the first readers have a say


def stopped_in_tune(path):
    "A run of M_0, one round, and one that was scored and died before it had learned."
    loop = tiny_loop(path)
    loop.run(rounds=1)
    def stop(event):
        if event.kind == "loss": raise SystemExit
    loop.on(stop)
    with pytest.raises(SystemExit): loop.step()
    (path / "ratings.jsonl").write_text("")
    (path / "wanted.json").write_text("{}")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = stopped_in_tune(tmp_path_factory.mktemp("odd") / "run")
    gc.collect()
    return path


def files_of(run): return sorted(str(f.relative_to(run)) for f in run.rglob("*") if f.is_file())


def readers(run):
    "All that looks at a run, or goes on with it."
    from selfloop_nb import load_model
    from selfloop_nb.people.scorer import run_ratings, wanted
    from selfloop_nb.storage.mirror import Mirror
    from selfloop_nb.storage.repair import repair
    def look(): return open_run(run).history()
    def samples(): return open_run(run).samples(1)
    def losses(): return open_run(run).losses(1)
    def rated(): return run_ratings(open_run(run).store)
    def asked(): return wanted(open_run(run).store)
    def mirror(): return Mirror(run, run.parent / "mirror").catch_up()
    def load(): return [load_model(folder) for folder in sorted(run.glob("rounds/*/model"))[:1]]
    def step(): return tiny_loop(run).step()
    def export(): return export_run(run, run.parent / "out.zip")
    def whole(): return verify(run)
    def report(): return open_run(run).report()
    def mend(): return repair(run)
    return [report, load, look, samples, losses, rated, asked, whole, export, mirror, mend, step] # the slow ones first


def attempts(run, report, first):
    "Each reader: what it said must not be an error that is not meant for people."
    warnings.simplefilter("ignore")
    for read in readers(run)[first:]:
        try: read()
        except (SelfloopError, OSError): pass
        except Exception as error: report({"wrong": f"{read.__name__}: {type(error).__name__}: {str(error)[:200]}"})
        report({"done": read.__name__})
        gc.collect()


def names():
    "A name of each kind of file: what differs only by the round is one."
    return ["run.json", "heads.json", "heads.log", "ratings.jsonl", "wanted.json", "lock", "report.html",
            "rounds/0000/round.json", "rounds/0001/samples.parquet", "rounds/0001/losses.jsonl",
            "rounds/0001/round.json", "rounds/0001/model/model.safetensors", "rounds/0001/model/config.json",
            "rounds/0000/model/tokenizer.json", "rounds/0002/phases.json", "rounds/0002/samples.parquet",
            "generated/0001/phases.json", "generated/0001/samples.parquet", "generated/0001/parts/000000.json"]


def place_of(run, name):
    "The path that such a name stands for."
    parts = Path(name).parts
    if len(parts) == 1: return run / name
    found = next(path for path in (run / parts[0]).iterdir() if path.name.startswith(parts[1]))
    return found.joinpath(*parts[2:])


@pytest.mark.parametrize("kind, every", EVERY, ids=lambda given: getattr(given, "__name__", str(given)))
def test_nobody_waits_reads_through_or_writes_over(kind, every, run, tmp_path):
    secret = tmp_path / "secret"
    for number, name in enumerate(names()[::every]):
        secret.write_text(SECRET)
        place = tmp_path / str(number)
        place.mkdir()
        copy = shutil.copytree(run, place / "run")
        path = place_of(copy, name)
        path.unlink(missing_ok=True)
        kind(path, secret)
        status, reports = child(lambda report: attempts(copy, report, SLOW.get(name, 2)), (120, 9))
        wrong = [report for report in reports if "done" not in report]
        assert status == 0 and not wrong, (name, wrong, [r["done"] for r in reports if "done" in r][-1:])
        assert secret.read_text() == SECRET, name
        for file in place.rglob("*"):
            held = file.is_file() and not file.is_symlink() and SECRET.encode() in file.read_bytes()
            assert not held, f"{name}: {file} holds what a link leads to"
        shutil.rmtree(place)


@pytest.mark.parametrize("name", ["heads.json", "report.html"])
def test_a_folder_where_a_file_belongs_is_named_with_what_to_do(name, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / name).unlink(missing_ok=True)
    (copy / name).mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SelfloopError, match=f"{name}' is a folder, and a file belongs there: move it elsewhere"):
            loop = tiny_loop(copy)
            loop.step()
            loop.report()
        (copy / name).rmdir()
        gc.collect()
        assert tiny_loop(copy).step().number > 1


def test_a_file_in_the_place_of_the_rounds_is_damage(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "rounds")
    (copy / "rounds").write_text("mine")
    with pytest.raises(DamagedRunError): tiny_loop(copy)
