"""What is lost is fetched by its hash or made again; a second place keeps up; a machine that draws other samples is
told of.
"""
import errno, gc, json, os, shutil, sys, zipfile
from pathlib import Path

import pytest

from selfloop_nb import export_run, import_run, open_run, verify
from selfloop_nb.backend.core import DamagedRunError, RunLockedError, SelfloopError
from selfloop_nb.storage.repair import repair
from rooms import says
from waiting import wait_until

TESTS = Path(__file__).parent
sys.path.append(str(TESTS / "faults"))
from failpoints import child
from tiny import finish, tiny_loop


def cut(path): os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def into_fifo(path):
    path.unlink()
    os.mkfifo(path)


def long(*values): return [pytest.param(value, marks=pytest.mark.long) for value in values]


HARM = dict(deleted=Path.unlink, cut=cut, emptied=lambda path: path.write_bytes(b""), flipped=flip, fifo=into_fifo)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "A run that was finished, its archive, and the bytes of all its files."
    folder = tmp_path_factory.mktemp("repair")
    finish(folder / "run")
    gc.collect()
    return folder / "run", export_run(folder / "run", folder / "run.zip"), files_of(folder / "run")


def files_of(run):
    files = [file for file in run.rglob("*") if file.is_file() and file.name != "lock"]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


@pytest.fixture
def copy(whole, tmp_path):
    (tmp_path / "runs").mkdir()
    return shutil.copytree(whole[0], tmp_path / "runs" / "run")


def packed_again(archive, path, name, data, how=zipfile.ZIP_DEFLATED):
    "An archive with other bytes for one of its files."
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for other in source.namelist():
            kind = how if other == name else zipfile.ZIP_DEFLATED
            target.writestr(other, data if other == name else source.read(other), kind)
    return path


def with_a_bomb(archive, path, name): return packed_again(archive, path, name, bytes(2**24))


def with_lzma(archive, path, name):
    return packed_again(archive, path, name, zipfile.ZipFile(archive).read(name), zipfile.ZIP_LZMA)


def with_a_torn_stream(archive, path, name):
    "Bytes that nothing can be unpacked from."
    packed_again(archive, path, name, zipfile.ZipFile(archive).read(name))
    data = bytearray(path.read_bytes())
    begins = zipfile.ZipFile(path).getinfo(name).header_offset + 30 + len(name)
    data[begins:begins + 20] = b"\xff" * 20
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("harmed", [with_a_bomb, with_lzma, with_a_torn_stream])
def test_nothing_is_taken_from_an_archive_that_is_no_good(harmed, whole, copy, tmp_path):
    lost = next(copy.glob("rounds/0001-*/losses.jsonl"))
    name = str(lost.relative_to(copy))
    bad = harmed(whole[1], tmp_path / "bad.zip", name)
    lost.unlink()
    assert list(repair(copy, bad).left) == [name] and not lost.exists()
    assert repair(copy, [bad, whole[1]]).is_whole and files_of(copy) == whole[2]


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("source", ["archive", "run", "folder of runs", "sibling"])
def test_every_file_comes_back_from_everywhere(harm, source, whole, copy, tmp_path):
    run, archive, before = whole
    if source == "sibling": shutil.copytree(run, copy.parent / "beside")
    given = {"archive": archive, "run": run, "folder of runs": run.parent, "sibling": None}[source]
    damaged = [name for name in before if name.startswith("rounds/")]
    if harm != "flipped": damaged.append("run.json") # it has no hash that would tell
    for name in damaged: HARM[harm](copy / name)
    done = repair(copy, given)
    assert done.is_whole and set(done.mended) == set(damaged)
    assert verify(copy).is_whole and files_of(copy) == before
    assert not repair(copy, given).mended, "nothing is left to do"


@pytest.mark.parametrize("harm", HARM)
def test_what_was_put_back_is_the_file_or_nothing(harm, whole, copy):
    run, archive, before = whole
    name = next(name for name in before if name.endswith("samples.parquet"))
    HARM[harm](copy / name)
    liar = shutil.copytree(run, copy.parent / "liar")
    flip(liar / name)
    done = repair(copy, liar)
    assert list(done.left) == [name] and not done.mended and "NOT mended" in str(done)
    assert set(files_of(copy)) - {name} == set(before) - {name}, "and nothing is left lying about"
    assert repair(copy, [liar, archive]).mended == {name: str(archive)}


def test_a_disk_that_is_full_is_not_told_as_a_copy_that_is_missing(whole, copy, monkeypatch):
    "Whoever reads that no place has a file may throw the archive away that has it."
    next(copy.glob("rounds/0001-*/losses.jsonl")).unlink()
    def full(handle): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as changed:
        changed.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device while writing a copy.*losses.jsonl"):
            repair(copy, whole[1])
    assert not list(copy.rglob("*.tmp")) and repair(copy, whole[1]).is_whole and verify(copy).is_whole


def test_a_source_cannot_write_outside(whole, copy, tmp_path):
    run, archive, before = whole
    (tmp_path / "elsewhere").mkdir()
    newest = copy / "rounds" / sorted(os.listdir(copy / "rounds"))[-1]
    shutil.rmtree(newest / "model")
    (newest / "model").symlink_to(tmp_path / "elsewhere")
    done = repair(copy, archive)
    assert not any((tmp_path / "elsewhere").iterdir())
    assert all("reached by a link" in why for why in done.left.values()) and done.left
    with pytest.raises(SelfloopError, match="no archive, no run and no folder of runs"): repair(copy, tmp_path / "none")


@pytest.mark.parametrize("lost", ["run.json", "record", *long("round", "all records")])
def test_a_run_of_another_seed_is_no_copy(lost, whole, copy, tmp_path):
    "The rounds of a sweep have the same ids, whatever the seed."
    twin = tiny_loop(copy.parent / "twin", seed=1)
    twin.run(2)
    assert [record.id for record in twin.rounds] == sorted(os.listdir(copy / "rounds"))
    records = sorted(copy.glob("rounds/*/round.json"))
    if lost == "run.json": cut(copy / "run.json")
    if lost == "record": cut(records[1])
    if lost == "round": shutil.rmtree(records[1].parent)
    if lost == "all records": list(map(cut, records))
    before = files_of(copy)
    if lost == "run.json":
        with pytest.raises(DamagedRunError, match="a copy or an archive of this very run"): repair(copy)
    else: assert "another seed or task has other rounds" in str(repair(copy))
    assert files_of(copy) == before, "nothing of another run was put into this one"
    assert repair(copy, [twin, whole[1]]).is_whole and files_of(copy) == whole[2]


def test_only_who_may_write_repairs(whole, copy):
    loop = tiny_loop(copy)
    status, reports = child(lambda report: report(refusal(copy, whole[1])))
    assert reports == [{"refused": "RunLockedError"}] and status == 0
    assert str(repair(loop, whole[1])) == "nothing was damaged"


def refusal(run, archive):
    try: repair(run, archive)
    except RunLockedError as error: return {"refused": type(error).__name__}
    return {"refused": ""}


def test_without_a_record_anywhere_it_is_said(copy):
    record = sorted(copy.glob("rounds/*/round.json"))[0]
    record.unlink()
    name = str(record.relative_to(copy))
    assert name in repair(copy).left or not verify(copy).is_whole
    (copy / "run.json").unlink()
    with pytest.raises(DamagedRunError, match="no place that was named has it"): repair(copy)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_round_is_made_again_and_proven(number, copy, whole):
    before = whole[2]
    folder = sorted(copy.glob("rounds/*"))[number]
    for name in ("samples.parquet", "losses.jsonl", "model/model.safetensors"):
        if (folder / name).exists(): flip(folder / name)
    with pytest.warns() if number == 2 else open(os.devnull): loop = tiny_loop(copy)
    others = set(copy.parent.iterdir())
    done = repair(loop)
    assert done.is_whole and set(done.mended.values()) == {"the loop, which made it again"}
    assert {name: files_of(copy)[name] for name in before} == before and set(copy.parent.iterdir()) == others
    assert loop.step().number == 3 and verify(loop).is_whole, "and the loop goes on from where it had been"


def test_what_was_made_otherwise_is_not_made_again(copy):
    from selfloop_nb import Threshold
    flip(sorted(copy.glob("rounds/*"))[1] / "losses.jsonl")
    loop = tiny_loop(copy, select=Threshold(0.25))
    assert "other settings: select" in str(repair(loop))


def test_a_mirror_keeps_up_and_can_be_gone_on_with(tmp_path):
    loop = tiny_loop(tmp_path / "run")
    mirror = loop.mirror(tmp_path / "copy")
    loop.start()
    loop.step()
    wait_until(lambda: mirror.wait() and len(list(tmp_path.glob("copy/rounds/*/round.json"))) == 2)
    loop.rewind(0)
    loop.step()
    loop.branch("b", round=1).step()
    mirror.follow()
    assert mirror.wait() and "up to date" in repr(loop)
    assert verify(tmp_path / "copy").is_whole
    same = {name: data for name, data in files_of(loop.store.path).items() if "generated" not in name}
    assert {name: data for name, data in files_of(tmp_path / "copy").items()} == same
    assert finish(tmp_path / "copy", rounds=3) == finish(tmp_path / "run", rounds=3)


def test_a_mirror_knows_of_a_sealed_test_that_was_opened(tmp_path):
    from selfloop_nb.storage.mirror import Mirror
    from selfloop_nb.storage.sealed import Unsealed, read_sealed, write_sealed
    finish(tmp_path / "run")
    gc.collect()
    write_sealed(tmp_path / "run", Unsealed("0001-a", 1, "main", "best", "today", {"accuracy": 0.5}))
    assert Mirror(tmp_path / "run", tmp_path / "copy").catch_up() == 0
    assert read_sealed(tmp_path / "copy").metrics == {"accuracy": 0.5}, "else it could be opened again there"


def test_a_round_of_the_same_id_that_is_another_one_is_not_taken_for_it(whole, tmp_path):
    "As of a run whose newest round was lost, and made again on another machine."
    from selfloop_nb.storage.mirror import Mirror
    run = shutil.copytree(whole[0], tmp_path / "run")
    shutil.copytree(run, tmp_path / "copy")
    record = sorted(run.glob("rounds/*/round.json"))[2]
    data = json.loads(record.read_text(encoding="utf-8"))
    data.pop("sealed")
    record.write_text(json.dumps({**data, "seconds": {"tune": 1.0}}), encoding="utf-8")
    mirror = Mirror(run, tmp_path / "copy")
    mirror.catch_up()
    assert f"round {record.parent.name} at the place is another one than here" in mirror.problem
    assert verify(tmp_path / "copy").is_whole, "it is left as it was"


def test_a_place_that_is_away_stops_nothing(tmp_path):
    loop = tiny_loop(tmp_path / "run")
    mirror = loop.mirror(tmp_path / "drive" / "copy")
    loop.run(rounds=1)
    mirror.wait()
    assert mirror.lag == 2 and "there is no folder" in mirror.problem and "2 rounds behind" in repr(loop)
    (tmp_path / "drive").mkdir()
    mirror.follow()
    assert mirror.wait()
    (tmp_path / "drive").rename(tmp_path / "away")
    loop.step()
    mirror.wait()
    assert not (tmp_path / "drive").exists(), "nothing is written where the drive was"
    (tmp_path / "away").rename(tmp_path / "drive")
    mirror.follow()
    assert mirror.wait() and verify(tmp_path / "drive" / "copy").n_rounds == 3


def test_a_mirror_follows_whichever_loop_makes_the_rounds(tmp_path):
    "A branch, a control, a loop that was made anew: their rounds are the run's."
    from selfloop_nb import controls
    loop = tiny_loop(tmp_path / "run")
    loop.run(rounds=1)
    mirror = loop.mirror(tmp_path / "copy")
    assert mirror.wait()
    def n_copied(): return verify(tmp_path / "copy").n_rounds if mirror.wait() else 0
    loop.branch("beside").step()
    assert n_copied() == 3
    tiny_loop(tmp_path / "run").step()
    assert n_copied() == 4
    controls(loop).run(1)
    assert n_copied() == len(loop.store.all_rounds()) > 4


def test_whatever_stops_a_mirror_is_said_and_ends_nothing(whole, tmp_path, monkeypatch):
    from selfloop_nb.storage.mirror import Mirror
    mirror = Mirror(whole[0], tmp_path / "copy")
    def fails(self): raise MemoryError
    with monkeypatch.context() as changed:
        changed.setattr(Mirror, "_catch_up", fails)
        mirror.follow()
        assert not mirror.wait() and mirror.problem == "MemoryError"
    mirror.follow()
    assert mirror.wait() and mirror.problem == "" and verify(tmp_path / "copy").is_whole


def test_a_mirror_goes_on_in_the_next_kernel(tmp_path):
    loop = tiny_loop(tmp_path / "run")
    loop.mirror(tmp_path / "copy").wait()
    loop.step()
    del loop
    gc.collect()
    loop = tiny_loop(tmp_path / "run")
    assert loop.mirror(tmp_path / "copy").wait() and verify(tmp_path / "copy").n_rounds == 2


def test_a_machine_that_draws_other_samples_is_told_of(tmp_path, monkeypatch):
    from selfloop_nb.metrics import redrawn
    finish(tmp_path / "run", 1)
    gc.collect()
    def messages():
        loop, texts = tiny_loop(tmp_path / "run"), []
        loop.on(lambda event: texts.append(event.data["text"]) if event.kind == "message" else None)
        loop.step()
        loop.step()
        return [text for text in texts if "not bit-exact" in text]
    assert messages() == []
    gc.collect()
    plan, calls = redrawn.plan_drawing, []
    def planned(*given):
        draw, chunks = plan(*given)
        def other(*args):
            rows = draw(*args)
            calls.append(len(rows))
            return [{**rows[0], "token_ids": rows[0]["token_ids"] + [1]}, *rows[1:]]
        return other, chunks
    monkeypatch.setattr(redrawn, "plan_drawing", planned)
    text, = messages()
    assert f"of {calls[0]} samples of round 3 that were drawn again, 1 are others" in text and len(calls) == 1


def test_the_control_room_says_how_far_a_copy_is_behind(tmp_path):
    from selfloop_nb import dashboard
    loop = tiny_loop(tmp_path / "run")
    loop.run(rounds=1)
    mirror = loop.mirror(tmp_path / "drive" / "copy")
    mirror.wait()
    room = dashboard(loop)
    says(room, "2 rounds behind")
    assert "there is no folder" in room.status.value
    (tmp_path / "drive").mkdir()
    mirror.follow()
    mirror.wait()
    loop.step()
    mirror.wait()
    room.publisher.tell("status")
    says(room, "up to date")
    room.close()


def test_what_was_pruned_is_fetched_where_it_still_is(copy, whole):
    loop = tiny_loop(copy)
    loop.prune(1)
    assert not repair(loop).mended and repair(loop).is_whole, "what was taken away on purpose is no damage"
    mirror = loop.mirror(copy.parent / "copy")
    assert mirror.wait() and verify(copy.parent / "copy").is_whole
    done = repair(loop, whole[1])
    assert done.is_whole and any(name.endswith("model.safetensors") for name in done.mended)
    assert {name: files_of(copy)[name] for name in whole[2]} == whole[2] and "pruned" not in str(verify(copy))
