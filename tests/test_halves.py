"""Half a character (a lone surrogate), from a service's error, a person, a file of a stranger: whole text comes out
everywhere, and bytes that are no text are refused by the name of their file.
"""
import gc, hashlib, json, sys
from dataclasses import replace
from pathlib import Path

import pytest

from selfloop_nb import Sampling, Threshold, addition, export_run, import_run, open_run, verify
from selfloop_nb.backend.core import DamagedRunError, SelfloopError, short_hash
from selfloop_nb.views.command import main

sys.path.append(str(Path(__file__).with_name("faults")))
from tiny import finish, tiny_loop

HALF = "12 \ud800 34"


def every_way_out(run, folder, capsys):
    "All that is said, written and packed of a run is whole text."
    opened = open_run(run)
    said = [opened.history().to_string(), opened.samples(1).to_pandas().to_string(), opened.store.moves(), verify(run)]
    assert not [text for text in map(str, said) if not text.encode()]
    pages = [opened.report(folder / "report.html"), *opened.export(folder / "figures", ("csv",))]
    for page in pages: page.read_text(encoding="utf-8")
    assert main(["verify", str(run)]) == 0 and capsys.readouterr().out.encode()
    copy = import_run(export_run(run, folder / "run.zip"), folder / "copy")
    assert verify(copy).is_whole and open_run(copy).history().equals(opened.history())


def test_what_others_say_enters_a_round_as_whole_text(tmp_path, capsys):
    def judge(samples):
        if "1-sample-0-0" in samples["sample_id"][:]: raise ValueError(HALF)
        return [1.0] * len(samples)
    judge.name = f"judge {HALF}"
    task = replace(addition(digits=1, n_train=8, n_prompts=6, n_heldout=4), name=HALF)
    sampling = Sampling(n_samples=2, max_new_tokens=3, tokens_per_batch=28, stop=(HALF,))
    settings = dict(task=task, score=judge, sampling=sampling, guards=(lambda rows: HALF,), progress=True,
                    select=Threshold(0.0, finished=False))
    loop = tiny_loop(tmp_path / "run", **settings)
    loop.run(rounds=1)
    record = loop.rounds[1]
    assert record.warnings == [HALF.replace("\ud800", "\ufffd")] and record.counts["n_quarantined"] >= 1
    del loop
    gc.collect()
    every_way_out(tmp_path / "run", tmp_path, capsys)
    assert len(tiny_loop(tmp_path / "run", **settings).rounds) == 2, "and it goes on"


def changed(record, **more):
    "A record with other words, as its writer would have sealed it."
    data = json.loads(record.read_text(encoding="utf-8"))
    data.pop("sealed")
    for name, value in more.items(): data[name] = {**data[name], **value} if isinstance(value, dict) else value
    record.write_text(json.dumps({**data, "sealed": short_hash(data, 64)}), encoding="utf-8")


def test_what_a_stranger_has_written_is_read_as_whole_text(tmp_path, capsys):
    run = tmp_path / "run"
    finish(run)
    gc.collect()
    record = sorted(run.glob("rounds/*/round.json"))[1]
    changed(record, warnings=[HALF], metrics={HALF: 1.0}, seconds={HALF: 1.0}, config={HALF: [HALF]},
            counts={"reasons": {HALF: 1}})
    moves = [json.loads(line) for line in (run / "heads.log").read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({**move, "by": HALF}) + "\n" for move in moves]
    (run / "heads.log").write_text("".join(lines), encoding="utf-8")
    every_way_out(run, tmp_path, capsys)
    assert open_run(run).rounds[1].warnings == [HALF.replace("\ud800", "\ufffd")]


def test_bytes_that_are_no_text_are_refused_where_they_are_read(tmp_path):
    run = tmp_path / "run"
    finish(run)
    gc.collect()
    table = sorted(run.glob("rounds/*/samples.parquet"))[0]
    data = table.read_bytes()
    assert b"1-sample-" in data
    table.write_bytes(data.replace(b"1-sample-", b"1-s\xed\xa0\x80ple-"[:9]))
    changed(table.parent / "round.json", files={"samples.parquet": hashlib.sha256(table.read_bytes()).hexdigest()})
    with pytest.raises(DamagedRunError, match="samples.parquet cannot be read.*UTF8"): open_run(run).samples(1)
    with pytest.raises(SelfloopError, match="UTF8"): export_run(run, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()
