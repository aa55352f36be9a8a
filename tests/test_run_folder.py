"A run folder has one writer, is changed by nothing but its rounds, and harms nobody who opens it."
import errno, gc, json, multiprocessing, os, shutil, stat, subprocess, sys, warnings
from pathlib import Path

import pytest

from selfloop_nb import export_run, import_run, open_run, tree, verify
from selfloop_nb.backend.core import DamagedRunError, RunLockedError, SelfloopError, short_hash

TESTS = Path(__file__).parent
sys.path.append(str(TESTS / "faults"))
from failpoints import Failpoints, child
from tiny import finish, tiny_loop

HOLDER = """
import sys
sys.path.insert(0, sys.argv[2])
from small import small_loop
loop = small_loop(sys.argv[1])
import selfloop_nb # named after the loop, so it is let go of first
"""
WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None
sys.path.insert(0, sys.argv[2])
from tiny import tiny_loop
from selfloop_nb import *
print(tiny_loop(sys.argv[1]).step().number)
"""


def python(code, *arguments):
    "What a Python of its own prints that runs `code`."
    env = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.fixture
def run(tmp_path):
    "The folder of a run of M_0 and two rounds, which nobody holds."
    finish(tmp_path / "run")
    gc.collect()
    return tmp_path / "run"


def records(run): return sorted(run.glob("rounds/*/round.json"))


def what_stands(run): return {path: path.read_bytes() for path in run.rglob("*.json")}


def test_a_branch_by_another_name_is_said_to_be_new(run):
    with pytest.warns(UserWarning, match=r"no branch 'Main', it has \['main'\]"): tiny_loop(run, branch="Main")


def test_a_copy_that_a_cloud_has_put_beside_a_round_is_no_round(run):
    newest = records(run)[-1].parent
    shutil.copytree(newest, newest.with_name(f"{newest.name} (conflicted copy)"))
    assert verify(run).n_rounds == 3 and len(tree(open_run(run)).rounds) == 3


def test_a_program_that_ends_with_a_loop_in_a_global_says_nothing(tmp_path):
    ended = python(HOLDER, tmp_path / "run", TESTS / "helpers")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_run_can_be_made_where_there_are_no_locks(tmp_path, warm_python):
    ended = python(WITHOUT_FCNTL, tmp_path / "run", TESTS / "faults")
    assert ended.stdout.split() == ["1"] and "cannot be locked here" in ended.stderr


def test_a_run_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loop = tiny_loop("runs/first")
    loop.start()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    loop.step()
    assert len(open_run(tmp_path / "runs" / "first").rounds) == 2 and not any(Path().iterdir())


def begin(path, seed, gate, answers):
    "Begin a run, in a process of its own, as soon as the gate opens; tell what came of it."
    gate.wait()
    try: loop = tiny_loop(path, seed=seed)
    except SelfloopError as error: return answers.put((seed, type(error).__name__))
    answers.put((seed, loop.start().seeds["run"]))
    answers.close()
    answers.join_thread()


def test_two_kernels_that_begin_one_folder_agree_on_one_run(tmp_path):
    fork = multiprocessing.get_context("fork")
    for k in range(4):
        gate, answers = fork.Event(), fork.Queue()
        kernels = [fork.Process(target=begin, args=(tmp_path / f"r{k}", seed, gate, answers)) for seed in (0, 1)]
        for kernel in kernels: kernel.start()
        gate.set()
        found = dict(answers.get() for _ in kernels)
        for kernel in kernels: kernel.join()
        seed = json.loads((tmp_path / f"r{k}" / "run.json").read_text())["seed"]
        assert found.pop(seed) == seed and list(found.values())[0] in ("RunLockedError", "SelfloopError")


def test_a_forked_child_has_not_the_lock_of_its_parent(tmp_path):
    loop = tiny_loop(tmp_path / "run")
    loop.start()
    def try_all(report):
        for work in (loop.step, lambda: loop.rewind(0), lambda: loop.branch("b"), lambda: tiny_loop(tmp_path / "run")):
            try: report({"done": str(work())})
            except RunLockedError as error: report({"refused": str(error)})
    status, reports = child(try_all)
    assert status == 0 and [list(report) for report in reports] == [["refused"]] * 4
    assert loop.step().number == 1


def test_a_folder_that_was_begun_anew_is_not_written_by_the_loop_of_before(tmp_path):
    old = tiny_loop(tmp_path / "run")
    old.start()
    shutil.rmtree(tmp_path / "run")
    new = tiny_loop(tmp_path / "run")
    new.start()
    with pytest.raises(RunLockedError, match="was opened here, and is written by process .* now"): old.step()
    assert new.step().number == 1 and verify(new).is_whole


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_read_that_fails_for_a_moment_changes_nothing(run, monkeypatch, number):
    before, open_before = what_stands(run), os.open
    for target in ("round.json", "heads.json", "model.safetensors", "samples.parquet"):
        def fail(path, *args, **how):
            if str(path).endswith(target): raise OSError(number, os.strerror(number), str(path))
            return open_before(path, *args, **how)
        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(OSError, match=os.strerror(number)): tiny_loop(run).rounds
        monkeypatch.undo()
        gc.collect()
        assert what_stands(run) == before
    assert len(tiny_loop(run).rounds) == 3


def test_damaged_rounds_are_gone_back_from_in_memory(run):
    for record in records(run)[1:]: os.truncate(record, 20)
    before = what_stands(run)
    with pytest.warns(UserWarning, match="going back to 0000-"): loop = tiny_loop(run)
    assert [r.number for r in loop.rounds] == [0] and what_stands(run) == before
    loop.step()
    assert [move.why.split(":")[0][-10:] for move in loop.store.moves()][-2:] == ["is damaged", "round 1"]
    assert loop.undo().number == 0
    with pytest.raises(DamagedRunError): loop.undo()


def test_a_damaged_round_in_the_middle_does_not_lock_the_others_out(run):
    os.truncate(records(run)[1], 20)
    with pytest.warns(UserWarning, match="a round before it.*going back to 0000-"): loop = tiny_loop(run)
    assert loop.step().number == 1


def test_nobody_starts_from_a_round_that_is_damaged(run):
    weights = run / "rounds" / sorted(os.listdir(run / "rounds"))[1] / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    loop = tiny_loop(run)
    with pytest.raises(DamagedRunError, match="model.safetensors"): loop.rewind(1)
    with pytest.raises(DamagedRunError, match="model.safetensors"): loop.branch("b", round=1)
    assert loop.rewind(0).number == 0


def test_a_run_of_a_newer_version_is_looked_at_and_left_alone(run):
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(SelfloopError, match="made by a newer version.*format 99"): tiny_loop(run)
    assert len(open_run(run).rounds) == 3
    (run / "run.json").write_text(json.dumps(info))
    newest = records(run)[-1]
    data = {**json.loads(newest.read_text()), "energy": 1}
    data.pop("sealed")
    newest.write_text(json.dumps({**data, "sealed": short_hash(data, 64)}))
    before = what_stands(run)
    with pytest.raises(SelfloopError, match="made by a newer version.*energy"): tiny_loop(run)
    assert len(open_run(run).rounds) == 3 and what_stands(run) == before


def agree(loop, folder):
    "Who asks what the rounds of a run are gets one answer."
    ids, everything = [r.id for r in loop.rounds], [r.id for r in loop.store.all_rounds()]
    verdict = verify(loop)
    assert verdict.is_whole and verdict.n_rounds == len(everything) and set(ids) <= set(everything)
    copy = open_run(import_run(export_run(loop, folder / "run.zip"), folder / "copy"))
    assert [r.id for r in copy.rounds] == [r.id for r in open_run(loop.store.path).rounds] == ids
    assert [r.id for r in copy.store.all_rounds()] == everything and len(loop.history()) == len(ids)


def goes_on(folder, at, fault, report):
    "A run that is disturbed at a call and goes on in the same process."
    points = Failpoints(folder / "run", at, fault)
    loop = None
    for _ in range(3):
        try:
            loop = loop or tiny_loop(folder / "run")
            while len(loop.rounds) < 3: loop.step()
        except (KeyboardInterrupt, OSError): continue
    points.on = False
    agree(loop, folder)
    report({"rounds": len(loop.rounds), "calls": points.log})


@pytest.mark.parametrize("fault", ["interrupt", "EIO"])
def test_after_a_fault_at_any_point_of_a_commit_all_agree(tmp_path, fault):
    (tmp_path / "calls").mkdir()
    _, (found,) = child(lambda report: goes_on(tmp_path / "calls", None, fault, report))
    in_commit = [n for n, (call, path) in enumerate(found["calls"], 1) if "round.json" in path or "heads" in path
                 or call == "unlink" and path.endswith("phases.json")]
    for at in in_commit[len(in_commit) * 2 // 3::2]:
        folder = tmp_path / str(at)
        folder.mkdir()
        status, reports = child(lambda report: goes_on(folder, at, fault, report))
        assert status == 0 and reports[-1]["rounds"] == 3, (at, found["calls"][at - 1], reports)


@pytest.mark.parametrize("name", ["heads.json", "run.json", "ratings.jsonl", "wanted.json", "heads.log"])
def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(run, name):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    def look(report):
        from selfloop_nb.people.scorer import run_ratings, wanted
        warnings.simplefilter("ignore")
        def step(): return tiny_loop(run).step()
        def rated(): return run_ratings(open_run(run).store)
        def asked(): return wanted(open_run(run).store)
        for work in (step, rated, asked, lambda: verify(run)):
            try: report({"done": str(work())})
            except SelfloopError as error: report({"refused": str(error)})
    status, reports = child(look, (30, 9))
    assert status == 0 and len(reports) == 4


def test_a_fifo_in_the_place_of_an_archive_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.zip")
    def look(report):
        try: import_run(tmp_path / "run.zip", tmp_path / "run")
        except SelfloopError as error: report({"refused": str(error)})
    status, reports = child(look, (30, 9))
    assert status == 0 and "no plain file" in reports[0]["refused"]


def test_what_a_link_leads_to_is_neither_read_nor_written(run, tmp_path):
    secret, home = tmp_path / "secret", tmp_path / "home"
    secret.write_text("mine")
    home.mkdir()
    for name in ("ratings.jsonl", "report.html"): (run / name).symlink_to(secret)
    (run / "figures").symlink_to(home)
    with pytest.raises(SelfloopError, match="ratings.jsonl.*is a link"): export_run(run, tmp_path / "run.zip")
    opened = open_run(run)
    with pytest.raises(SelfloopError, match="reached by a link"): opened.export(run / "figures", ("csv",))
    opened.report()
    assert secret.read_text() == "mine" and not any(home.iterdir()) and not (tmp_path / "run.zip").exists()


def rate(run):
    from selfloop_nb.storage.ratings import Ratings
    Ratings(run / "ratings.jsonl", of_run=True).add(dict(prompt="1+1=", completion="2"), 1.0, "ann")


def test_a_copy_by_hard_links_stays_as_it_was(run, tmp_path):
    rate(run)
    copy = shutil.copytree(run, tmp_path / "copy", copy_function=os.link)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    rate(run)
    loop = tiny_loop(run)
    loop.step()
    loop.rewind(1)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert len((run / "ratings.jsonl").read_text().splitlines()) == 2 and loop.undo().number == 3


@pytest.mark.parametrize("name", ["lock", "heads.log", "ratings.jsonl"])
def test_a_file_that_is_also_elsewhere_is_not_written_there(run, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (run / name).unlink(missing_ok=True)
    os.link(secret, run / name)
    warnings.simplefilter("ignore")
    tiny_loop(run).step()
    rate(run)
    assert secret.read_text() == "mine"


def test_a_run_that_anybody_may_write_to_is_looked_at_until_it_is_named(run, monkeypatch):
    run.chmod(0o757)
    with pytest.raises(SelfloopError, match="written by anybody.*SELFLOOP_TRUST"): tiny_loop(run)
    assert len(open_run(run).rounds) == 3 and verify(run).is_whole
    monkeypatch.setenv("SELFLOOP_TRUST", f"/nowhere{os.pathsep}{run.parent}")
    assert tiny_loop(run).step().number == 3


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_the_run_of_another_user_is_looked_at_until_it_is_named(run, monkeypatch):
    for path in (run, *run.rglob("*")): os.chown(path, 65534, 65534)
    before = what_stands(run)
    with pytest.raises(SelfloopError, match="another user.*SELFLOOP_TRUST"): tiny_loop(run)
    assert what_stands(run) == before and len(open_run(run).rounds) == 3
    rate(run) # people may rate what is shown to them
    monkeypatch.setenv("SELFLOOP_TRUST", str(run))
    assert tiny_loop(run).step().number == 3


def test_where_all_files_are_another_users_a_run_is_gone_on_with(run, monkeypatch):
    "As on a share that makes up who owns what."
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert tiny_loop(run).step().number == 3


def test_an_archive_that_does_not_give_back_what_was_packed_is_not_kept(run, tmp_path, monkeypatch):
    from selfloop_nb.storage import archive
    pack, kept = archive._pack, tmp_path / "run.zip"
    kept.write_text("the one of yesterday")
    def torn(packed, folder, name):
        if not name.endswith("losses.jsonl"): return pack(packed, folder, name)
        packed.writestr(name, "")
        return "0" * 64
    monkeypatch.setattr(archive, "_pack", torn)
    with pytest.raises(DamagedRunError, match="cannot be read back.*losses.jsonl"): export_run(run, kept)
    assert kept.read_text() == "the one of yesterday" and set(tmp_path.iterdir()) == {run, kept}


def test_brackets_without_end_are_damage_in_words(run):
    losses = next(run.glob("rounds/0001*")) / "losses.jsonl"
    for path in (losses, run / "sealed.json", run / "ratings.jsonl"): path.write_text("[" * 200_000)
    opened = open_run(run)
    with pytest.raises(DamagedRunError, match="losses.jsonl"): opened.losses(1)
    with pytest.raises(DamagedRunError, match="sealed.json"): opened.sealed
    with pytest.warns(UserWarning, match="line 1 of ratings.jsonl"): rate(run)


@pytest.mark.parametrize("name", ["generated", "rounds"])
def test_rounds_are_not_written_through_a_link(run, tmp_path, name):
    shutil.move(run / name, tmp_path / "elsewhere") if (run / name).exists() else (tmp_path / "elsewhere").mkdir()
    (run / name).symlink_to(tmp_path / "elsewhere")
    before = set((tmp_path / "elsewhere").rglob("*"))
    warnings.simplefilter("ignore")
    with pytest.raises(SelfloopError): tiny_loop(run).step()
    assert set((tmp_path / "elsewhere").rglob("*")) == before


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    umask = os.umask(0o022)
    try:
        finish(tmp_path / "run", 1)
        import_run(export_run(tmp_path / "run", tmp_path / "run.zip"), tmp_path / "copy")
    finally: os.umask(umask)
    for path in (*(tmp_path / "run").rglob("*"), tmp_path / "copy", *(tmp_path / "copy").rglob("*")):
        others = 0o055 if path.is_dir() else 0o044
        assert path.stat().st_mode & others == others, path


def test_a_run_that_was_begun_with_an_open_umask_goes_on(tmp_path):
    umask = os.umask(0)
    try:
        finish(tmp_path / "run", 1)
        gc.collect()
        assert len(tiny_loop(tmp_path / "run").rounds) == 2
    finally: os.umask(umask)


def test_a_store_that_is_a_file_is_said_to_be_one(tmp_path):
    (tmp_path / "notes").write_text("mine")
    for place in (tmp_path / "notes", tmp_path / "notes" / "run"):
        with pytest.raises(SelfloopError, match="notes' is a file and no folder"): tiny_loop(place)
    with pytest.raises(SelfloopError, match="it is a file"): open_run(tmp_path / "notes")


def test_a_run_can_be_made_where_folders_cannot_be_forced_to_the_disk(tmp_path, monkeypatch):
    fsync = os.fsync
    def no_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode): raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)
    monkeypatch.setattr(os, "fsync", no_folders)
    warnings.simplefilter("ignore")
    assert tiny_loop(tmp_path / "new" / "run").step().number == 1


ERRORS = [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE]


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("name", ["heads.log", "heads.json", "round.json", "lock"])
def test_an_undo_that_cannot_read_changes_nothing(run, monkeypatch, name, number):
    loop = tiny_loop(run)
    loop.rewind(0)
    before, log = what_stands(run), (run / "heads.log").read_bytes()
    open_before = os.open
    def fail(path, *args, **how):
        if str(path).endswith(name): raise OSError(number, os.strerror(number), str(path))
        return open_before(path, *args, **how)
    loop.store._heads._read_before = None, {}
    loop.store._records.clear()
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match=os.strerror(number)): loop.undo()
    monkeypatch.undo()
    assert what_stands(run) == before and (run / "heads.log").read_bytes() == log
    assert loop.undo().number == 2 and verify(run).is_whole


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_an_undo_that_cannot_write_leaves_the_head_where_it_was_or_moves_it(run, monkeypatch, call, number):
    for at in range(1, 7):
        loop = tiny_loop(run)
        loop.rewind(0)
        real, calls = getattr(os, call), []
        def fail(*args, **how):
            calls.append(args)
            if len(calls) == at: raise OSError(number, os.strerror(number))
            return real(*args, **how)
        monkeypatch.setattr(os, call, fail)
        try: loop.undo()
        except OSError as error: assert error.errno == number
        monkeypatch.undo()
        stands = loop.rounds[-1].number
        del loop
        gc.collect()
        again = tiny_loop(run)
        assert again.rounds[-1].number == stands in (0, 2) and verify(run).is_whole
        if stands == 0: assert again.undo().number == 2, "the move that never came to pass misleads nobody"
        assert [move.to[:4] for move in again.store.moves()][-1] == "0002"
        del again
        gc.collect()


def test_an_archive_that_is_not_there_or_has_no_place_is_said(run, tmp_path):
    archive = export_run(run, tmp_path / "run.zip")
    with pytest.raises(SelfloopError, match="there is no archive"): import_run(tmp_path / "none.zip", tmp_path / "copy")
    with pytest.raises(SelfloopError, match="a file and no folder"): import_run(archive, archive / "copy")
    with pytest.raises(SelfloopError, match="there is no folder"): export_run(run, archive / "run.zip")
    with pytest.raises(SelfloopError, match="there is no folder"): export_run(run, tmp_path / "none" / "run.zip")
    with pytest.raises(SelfloopError, match="is a folder: name the file"): export_run(run, tmp_path)


def test_of_two_imports_at_once_one_makes_the_run_and_the_other_says_so(run, tmp_path, monkeypatch):
    from selfloop_nb.storage import archive as module
    archive, unpack = export_run(run, tmp_path / "run.zip"), module._unpack
    def slow(path, folder):
        unpack(path, folder)
        monkeypatch.setattr(module, "_unpack", unpack)
        import_run(archive, tmp_path / "copy")
    monkeypatch.setattr(module, "_unpack", slow)
    with pytest.raises(SelfloopError, match="is there already"): import_run(archive, tmp_path / "copy")
    assert verify(tmp_path / "copy").is_whole
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "run") == ["copy", "run.zip"]


@pytest.mark.parametrize("forged", [dict(why=5), dict(to=[1]), dict(origin=5), dict(branch=["main"]), dict(by={}),
                                    dict(origin="../../elsewhere"), dict(origin="0009-nowhere")])
def test_a_move_that_somebody_has_forged_moves_no_head(forged, run):
    lines = (run / "heads.log").read_text().splitlines()
    (run / "heads.log").write_text("\n".join([*lines[:-1], json.dumps({**json.loads(lines[-1]), **forged})]) + "\n")
    loop = tiny_loop(run)
    head, numbers = loop.store.head, [record.number for record in loop.rounds]
    try: assert loop.undo().number < numbers[-1]
    except SelfloopError: assert loop.store.head == head
    assert loop.step().number <= numbers[-1] + 1 and verify(run).is_whole


def test_losses_and_sealed_tests_that_are_none_are_damage_in_words(run):
    from selfloop_nb.storage.sealed import read_sealed
    losses = sorted(run.glob("rounds/*/losses.jsonl"))[1]
    for line in ('{}', '{"step": 1, "loss": "low"}', '{"step": null, "loss": 1.0}'):
        losses.write_text(line)
        with pytest.raises(DamagedRunError, match="no step and loss that are numbers"): open_run(run).losses(1)
    good = dict(round="a", number=1, branch="main", how="best", opened="today", metrics={"accuracy": 0.5})
    wrong = [dict(metrics={"accuracy": "all"}), dict(metrics=[1]), dict(answers=["a"]), dict(warnings=[5])]
    wrong.append(dict(number="1"))
    for odd in wrong:
        (run / "sealed.json").write_text(json.dumps({**good, **odd}))
        with pytest.raises(DamagedRunError, match="sealed.json"): read_sealed(run)


@pytest.mark.parametrize("odd", ["a text", True, [1], {"measures": 5}])
def test_settings_of_a_stranger_that_are_no_tables_are_none(odd, run):
    "A record may tell anything of how a round was made: who looks at it, or goes on with it, is told no bare error."
    from selfloop_nb import explore
    from selfloop_nb.storage.evidence import control_kind, metrics_of
    for path in records(run):
        record = json.loads(path.read_text())
        record["config"] = dict.fromkeys([*record["config"], "measures"], odd)
        path.write_text(json.dumps({name: value for name, value in record.items() if name != "sealed"}))
    opened = open_run(run)
    assert control_kind(opened.store) == "" and [m.name for m in metrics_of(opened.store)] == ["accuracy", "loss"]
    explore(opened)
    with pytest.warns(UserWarning, match="initial is not used"): loop = tiny_loop(run)
    loop.prune(keep=1)
    with pytest.raises(SelfloopError, match="was made with tune="): loop.remake(1)
