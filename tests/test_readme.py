"The ten lines of README run as they stand there, with smaller numbers; its table of applications is the one measured."
import re, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "bench"))

from applications import markdown
from project import PROJECT


SMALLER = {"n_prompts=1000": "n_prompts=100", "n_heldout=1000": "n_heldout=50", "rounds=6": "rounds=2"}


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
    assert list(names["loop"].history()["round"]) == [0, 1, 2]
    assert (tmp_path / "runs" / "add2" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_applications_are_those_measured():
    assert markdown() in (PROJECT / "README.md").read_text(encoding="utf-8")
