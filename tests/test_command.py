"""The command makes the run that a notebook makes, with the same hashes; a plan that says what nobody knows is refused,
with the nearest name; a tracker that fails or hangs never stops a run.
"""
import json, re, subprocess, sys, threading, types, warnings

import pytest
from project import PROJECT
from selfloop_nb import FineTune, Loop, Sampling, Threshold, addition, confidence, open_run, tiny_llama
from selfloop_nb.views.command import (
    DAMAGED, EXTRAS, FAILED, INTERRUPTED, OK, PlanError, WRONG, loop_of, main, read_plan)
from selfloop_nb.views.trackers import TRACKERS, Tracker, track
from small import small_loop

pytestmark = pytest.mark.usefixtures("warm_python")

PLAN = """
[run]
store = "{store}"
rounds = {rounds}
[task]
kind = "addition"
n_train = 60
n_prompts = 20
n_heldout = 30
[model]
kind = "tiny_llama"
width = 32
[score]
kind = "confidence"
[select]
theta = -10.0
[sampling]
n_samples = 2
stop = ["9"]
[initial]
steps = 20
[tune]
steps = 10
batch_size = 32
"""


def plan_in(folder, rounds=2, more="", **changed): # old key -> new key
    "A plan in a file."
    text = PLAN.format(store=folder / "run", rounds=rounds)
    for old, new in changed.items(): text = text.replace(f"{old} =", f"{new} =")
    path = folder / "plan.toml"
    path.write_text(text + more)
    return str(path)


def command(*arguments):
    "The command in a process of its own."
    code = "import sys; from selfloop_nb.views.command import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=PROJECT, capture_output=True, text=True)


def test_it_is_the_notebooks_run(tmp_path):
    import torch
    torch.set_num_threads(1)
    done = command("run", plan_in(tmp_path), "--json")
    assert done.returncode == OK, done.stderr
    task = addition(n_train=60, n_prompts=20, n_heldout=30)
    loop = Loop(tiny_llama(task, width=32), task, score=confidence(), select=Threshold(-10.0), store=tmp_path / "other",
                sampling=Sampling(n_samples=2, stop=("9",)), initial=FineTune(steps=20),
                tune=FineTune(steps=10, batch_size=32), progress=False)
    loop.run(rounds=2)
    said = json.loads(done.stdout)
    assert [r["id"] for r in said["rounds"]] == [r.id for r in loop.rounds]
    theirs = open_run(tmp_path / "run").rounds
    assert [r.files for r in theirs] == [r.files for r in loop.rounds], "samples, weights, losses: the same bytes"


def test_resume_goes_on_to_the_rounds_of_the_plan(tmp_path, capsys):
    assert main(["run", plan_in(tmp_path, rounds=1)]) == OK
    assert main(["run", plan_in(tmp_path, rounds=2)]) == WRONG and "selfloop resume" in capsys.readouterr().err
    assert main(["resume", plan_in(tmp_path, rounds=2)]) == main(["resume", plan_in(tmp_path, rounds=2)]) == OK
    assert [r.number for r in open_run(tmp_path / "run").rounds] == [0, 1, 2]
    assert main(["report", plan_in(tmp_path)]) == OK and (tmp_path / "run" / "report.html").exists()
    assert main(["verify", str(tmp_path / "run"), "--json"]) == OK
    samples = next((tmp_path / "run" / "rounds").glob("0001*/samples.parquet"))
    samples.write_bytes(samples.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "run"), "--json"]) == DAMAGED
    assert json.loads(capsys.readouterr().out)["whole"] is False


@pytest.mark.parametrize("changed, words", [
    (dict(theta="teta"), "select.teta: did you mean 'theta'"), (dict(store="stor"), "run.stor: did you mean 'store'"),
    (dict(more="[sampel]\n"), "[sampel]: did you mean 'sampling'"),
    (dict(more="[mix]\nkind = 'Acumulate'\n"), "mix.kind = 'Acumulate': did you mean 'Accumulate'"),
    (dict(more="[tune.lora]\nrank = 8\n"), "tune.lora.rank: known are r, alpha, dropout"),
    (dict(more="[audit]\nkind = 'eval'\n"), "audit.kind = 'eval'"), (dict(more="mix = 3\n"), "tune.mix")])
def test_what_nobody_knows_is_named_with_the_nearest(tmp_path, capsys, changed, words):
    assert main(["run", plan_in(tmp_path, **changed)]) == WRONG
    assert words in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_all_faults_are_named_at_once(tmp_path):
    with pytest.raises(PlanError) as error: read_plan(plan_in(tmp_path, theta="teta", width="widht", more="[x]\n"))
    assert str(error.value).count("\n") == 3


@pytest.mark.parametrize("text, code", [("theta = ", WRONG), ("[select]\ntheta = 1", WRONG),
                                        ("[run]\nstore = 'a'\n[select]\ntheta = 'high'", WRONG),
                                        ("[run]\nstore = 'a'\nrounds = '3'", WRONG),
                                        ("[run]\nstore = 'a'\nminutes = 'all'", WRONG),
                                        ("score = []\n[run]\nstore = 'a'", WRONG),
                                        ("[run]\nstore = 'a'\ntarget = 2.0", WRONG), ("a = " + "[" * 10_000, WRONG)])
def test_a_plan_that_cannot_be_followed(tmp_path, text, code):
    (tmp_path / "plan.toml").write_text(text)
    assert main(["run", str(tmp_path / "plan.toml")]) == code


def test_texts_in_a_plan_are_no_table(tmp_path, capsys):
    "What to do is said in TOML."
    (tmp_path / "plan.toml").write_text(f"[run]\nstore = 'a'\n{ASKS}prompts = ['1+1=', '1+2=']")
    assert main(["run", str(tmp_path / "plan.toml")]) == WRONG
    assert "[[task.prompts]]" in capsys.readouterr().err


ASKS = "[task]\nkind = 'from_dataset'\n"


def test_a_model_that_comes_trained_needs_no_examples(tmp_path):
    tiny_llama(addition(), width=32).save(tmp_path / "model")
    (tmp_path / "plan.toml").write_text(f"""
[run]
store = '{tmp_path / "run"}'
{ASKS}
[[task.prompts]]
prompt = '1+1='
answer = '2'
[model]
kind = 'load_model'
name = '{tmp_path / "model"}'
[sampling]
max_new_tokens = 4
""")
    loop = loop_of(read_plan(tmp_path / "plan.toml"))
    assert loop.task.train is None and loop.task.prompts["answer"][:] == ["2"]


def test_what_is_warned_of_is_a_line_by_itself(tmp_path, capsys):
    "Python shows the line of code that warns, which here is none of the reader's."
    (tmp_path / "rows.csv").write_text("prompt,completion\n1+1=,2\n1+2=,\n")
    tables = "\n".join(f"{name} = '{tmp_path / 'rows.csv'}'" for name in ("train", "prompts"))
    (tmp_path / "plan.toml").write_text(f"[run]\nstore = '{tmp_path / 'run'}'\nrounds = 0\n{ASKS}{tables}")
    main(["run", str(tmp_path / "plan.toml")])
    said = capsys.readouterr().err.splitlines()
    assert any(line.startswith("train: 1 of 2 completions are empty") for line in said)
    assert not any("Warning:" in line or "selfloop_nb." in line for line in said)


def test_a_plan_as_windows_writes_it(tmp_path):
    (tmp_path / "plan.TOML").write_bytes(b"\xef\xbb\xbf[run]\r\nstore = 'none'\r\n")
    assert read_plan(tmp_path / "plan.TOML")["run"]["store"] == "none"
    assert main(["report", str(tmp_path / "plan.TOML")]) == FAILED, "there is no such run yet"


def test_to_go_on_there_must_be_a_run(tmp_path, monkeypatch, capsys):
    "From another folder a relative store was not found, and a new M_0 was trained there in silence."
    path = plan_in(tmp_path, rounds=1)
    (tmp_path / "plan.toml").write_text((tmp_path / "plan.toml").read_text().replace(str(tmp_path / "run"), "run"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", path]) == WRONG and "begin it with `selfloop run" in capsys.readouterr().err
    assert main(["run", path]) == main(["resume", path]) == OK
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["resume", path]) == WRONG and not any((tmp_path / "elsewhere").iterdir())


def test_a_plan_names_a_model_that_judges(tmp_path, capsys):
    task = addition(n_train=60, n_prompts=20, n_heldout=30)
    tiny_llama(task, width=32).save(tmp_path / "judge")
    path = plan_in(tmp_path, rounds=1)
    text = (tmp_path / "plan.toml").read_text()
    asked = f'kind = "likelihood"\nlm = "{tmp_path / "judge"}"'
    (tmp_path / "plan.toml").write_text(text.replace('kind = "confidence"', asked))
    assert main(["run", path, "--json"]) == OK
    assert open_run(tmp_path / "run").rounds[1].config["score"]["name"] == "likelihood"


def test_exit_codes(tmp_path, monkeypatch, capsys):
    assert main(["run", str(tmp_path / "none.toml")]) == WRONG and main(["verify", str(tmp_path)]) == FAILED
    nothing_kept = plan_in(tmp_path)
    (tmp_path / "plan.toml").write_text((tmp_path / "plan.toml").read_text().replace("-10.0", "0.0"))
    assert main(["run", nothing_kept, "--json"]) == FAILED
    assert "nothing was kept" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    def interrupt(*args, **more): raise KeyboardInterrupt
    monkeypatch.setattr(Loop, "run", interrupt)
    assert main(["resume", nothing_kept]) == INTERRUPTED
    with pytest.raises(SystemExit) as error: main(["rum"])
    assert error.value.code == 2


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: an illegal memory access"), MemoryError(), KeyError("x")])
def test_whatever_fails_is_said_in_json(error, tmp_path, monkeypatch, capsys):
    "A program that reads the output finds one object, and a person the place."
    def fails(*args, **more): raise error
    monkeypatch.setattr(Loop, "start", fails)
    assert main(["run", plan_in(tmp_path), "--json"]) == FAILED
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["error"].startswith(type(error).__name__) and "Traceback" in err


def test_a_tracker_that_is_missing_is_said_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["run", plan_in(tmp_path, more='[track]\nkind = "wandb"\n')]) == FAILED
    assert "pip install 'selfloop_nb[wandb]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


def test_the_doctor_tells_what_is_there(capsys):
    assert main(["doctor", "--json"]) == OK
    said = json.loads(capsys.readouterr().out)
    assert {"torch", "device", "threads", "disk_free_gb", "extras_missing"} <= set(said) and said["threads"] >= 1


def test_the_command_has_a_name():
    text = (PROJECT / "settings.ini").read_text()
    assert "console_scripts = selfloop=selfloop_nb.views.command:main" in text


class StandIn(types.ModuleType):
    "A tracker of the same interface, which keeps what it is given."
    def __init__(self, name):
        super().__init__(name)
        self.rows, self.settings = [], {}
        self.ended = False
    def init(self, **settings):
        self.settings = settings
        return self
    def log(self, figures, step): self.rows.append((step, figures))
    def finish(self): self.ended = True
    def set_experiment(self, name): self.settings = dict(project=name)
    def start_run(self, **settings): return types.SimpleNamespace(info=types.SimpleNamespace(run_id="7"))
    def log_metrics(self, figures, step, run_id): self.log(figures, step)
    def end_run(self): self.finish()
    def SummaryWriter(self, folder, **settings):
        self.settings = dict(project=folder)
        return self
    def add_scalar(self, name, value, step): self.log({name: value}, step)
    def close(self): self.finish()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_is_given_losses_and_rounds(name, monkeypatch, tmp_path):
    import transformers.trainer # which looks for trackers as it is imported
    stand_in = StandIn(name)
    monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    loop = small_loop(tmp_path / "run")
    tracker = track(name, project="mine")
    loop.on(tracker)
    loop.run(rounds=1)
    assert tracker.close() and stand_in.ended and stand_in.settings == {"project": "mine"}
    given = {key: value for _, figures in stand_in.rows for key, value in figures.items()}
    assert given["round/heldout_loss"] == loop.rounds[1].metrics["heldout_loss"] and "loss" in given
    steps = [step for step, _ in stand_in.rows]
    assert steps == sorted(steps), "trackers want steps that rise"


def test_a_tracker_that_raises_or_hangs_never_stops_a_run(tmp_path):
    never = threading.Event()
    def raises(): raise OSError("the server is away")
    def leaves(): sys.exit("no key")
    def hangs():
        never.wait()
        return (lambda *figures: None), never.clear
    loop = small_loop(tmp_path / "run")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = Tracker("gone", raises), Tracker("slow", hangs, most=3), Tracker("left", leaves)
        trackers = [loop.on(tracker) for tracker in made]
        loop.run(rounds=1)
        assert trackers[0].close() and not trackers[1].close(seconds=0.01) and trackers[2].close()
    never.set()
    told = [str(w.message) for w in said if str(w.message).startswith(("slow", "gone", "left"))]
    assert sorted(text.split()[0] for text in told) == ["gone", "left", "slow"], "each is said once"
    assert loop.rounds[-1].number == 1


def test_a_tracker_that_is_not_installed_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ImportError, match=r"pip install 'selfloop_nb\[trackio\]'"): track("trackio")
    with pytest.raises(ValueError, match="use one of trackio"): track("excel")


def test_the_doctor_looks_for_every_extra():
    "Those of the project itself aside, see `make docs` and `make course`."
    settings = (PROJECT / "settings.ini").read_text(encoding="utf-8")
    extras = set(re.findall(r"^(\w+)_requirements =", settings, re.MULTILINE)) - {"dev", "docs", "course"}
    assert extras == set(EXTRAS)
