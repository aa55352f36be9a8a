"""The wheel works where only what it asks for is installed: no nbdev, no fastcore, no JupyterLab, no tool of the tests.

A throw-away environment would install torch once more; a folder of links to the required packages shows the same.
"""
import os, subprocess, sys, zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from project import copy_tree

TRY = """
import importlib, pkgutil, sys, selfloop_nb
for module in pkgutil.walk_packages(selfloop_nb.__path__, "selfloop_nb."):
    importlib.import_module(module.name)
for name in selfloop_nb.__all__:
    getattr(selfloop_nb, name)
task = selfloop_nb.addition(digits=1, n_train=5, n_prompts=5, n_heldout=5)
selfloop_nb.tiny_llama(task)
print(selfloop_nb.__file__, len(task.train), "torch" in sys.modules)
"""


def needed(lines, extras=frozenset({""}), seen=frozenset()):
    "The installed distributions that a list of requirements leads to, as (name, extras)."
    for one in map(Requirement, lines):
        key = canonicalize_name(one.name), frozenset({"", *one.extras})
        asked = not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        if asked and key not in seen:
            seen = needed(distribution(one.name).requires or [], key[1], seen | {key})
    return seen


def link(names, folder):
    "A folder that holds just these distributions, as links into the environment that runs the tests."
    folder.mkdir()
    for dist in map(distribution, names):
        tops = {Path(file).parts[0] for file in dist.files or []} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(dist.locate_file(top))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "The wheel, made from the source archive as `python -m build` does, unpacked."
    source, out = copy_tree(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    zipfile.ZipFile(next(out.glob("*.whl"))).extractall(out / "unpacked")
    return out / "unpacked"


def requirements(wheel):
    lines = next(wheel.glob("*.dist-info/METADATA")).read_text().splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def test_holds_only_the_library(wheel):
    assert [path.name for path in wheel.iterdir() if path.suffix != ".dist-info"] == ["selfloop_nb"]
    assert next(wheel.glob("*.dist-info")).joinpath("licenses", "LICENSE").exists()
    charts = {path.name for path in (wheel / "selfloop_nb" / "charts").iterdir()}
    assert {"script.js", "linked.js", "twin.js", "keys.js", "script.css"} <= charts


def test_works_with_what_it_asks_for(wheel, tmp_path):
    names = {name for name, _ in needed(requirements(wheel))}
    assert "torch" in names and not names & {"nbdev", "fastcore", "execnb", "jupyterlab", "pytest"}
    site = tmp_path / "site-packages" # dill asks for the name
    link(names, site)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(wheel), str(site)])}
    command = [sys.executable, "-S", "-P", "-c", TRY]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(wheel / "selfloop_nb" / "__init__.py"), "5", "True"]
