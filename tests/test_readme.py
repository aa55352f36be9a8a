"""What README shows runs as it stands there, with smaller numbers and a model that is at hand.
Its table of applications is the one measured."""
import json, re, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "bench"))

from applications import markdown
from project import PROJECT


SMALLER = {"n_prompts=1000": "n_prompts=100", "n_heldout=1000": "n_heldout=50", "rounds=6": "rounds=2"}

AT_HAND = {"HuggingFaceTB/SmolLM2-360M-Instruct": "model", "max_new_tokens=200": "max_new_tokens=4"}


def test_the_ten_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(from selfloop_nb import \*.*?)```", readme, re.DOTALL)[1]
    small = code
    for as_it_is, smaller in SMALLER.items():
        assert as_it_is in code
        small = small.replace(as_it_is, smaller)
    assert len(code.strip().splitlines()) <= 10
    names = {}
    exec("import torch; torch.set_num_threads(1)\n" + small, names)
    loop = names["loop"]
    assert list(loop.history()["round"]) == [0, 1, 2]
    assert [record.id for record in run_of_the_plan().rounds] == [record.id for record in loop.rounds]
    assert (tmp_path / "runs" / "add2" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def run_of_the_plan():
    "The run that the TOML file of README makes, in a folder of its own."
    from selfloop_nb import open_run
    from selfloop_nb.views.command import OK, main
    plan = re.search(r"```toml\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    for as_it_is, smaller in {**SMALLER, "runs/add2": "runs/plan"}.items():
        before, after = as_it_is.replace("=", " = "), smaller.replace("=", " = ")
        assert before in plan
        plan = plan.replace(before, after)
    Path("plan.toml").write_text(plan)
    assert main(["run", "plan.toml"]) == OK
    return open_run("runs/plan")


def test_ones_own_model_and_data(tmp_path, monkeypatch):
    import selfloop_nb as s
    monkeypatch.chdir(tmp_path)
    task = s.addition(n_train=40, n_prompts=20, n_heldout=10)
    s.tiny_llama(task, width=32).save(Path("model"))
    for name, table in (("chat", task.train), ("heldout", task.heldout), ("prompts", task.prompts)):
        rows = [{key: row[key] for key in ("prompt", "completion") if key in row} for row in table]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(task = from_dataset.*?)```", readme, re.DOTALL)[1]
    for as_it_is, here in AT_HAND.items():
        assert as_it_is in code
        code = code.replace(as_it_is, here)
    names = {}
    exec("import torch; torch.set_num_threads(1)\nfrom selfloop_nb import *\n" + code, names)
    assert len(names["loop"].rounds) == 4 and (tmp_path / "out" / "README.md").is_file()


def test_what_is_counted_is_counted_anew():
    from kinds import KINDS
    from test_secrets import FORMS
    from wrong_answers import counted
    exercises = [n_wrong for lab in counted().values() for n_wrong, _ in lab.values()]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert f"tests/test_tokens.py: {len(KINDS)} kinds of tokenizer" in readme
    assert f"known by {len(FORMS)} forms" in readme
    assert f"Their {len(exercises)} exercises" in readme and f"{sum(exercises)} wrong answers" in readme


def test_the_applications_are_those_measured():
    assert markdown() in (PROJECT / "README.md").read_text(encoding="utf-8")
