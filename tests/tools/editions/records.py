"""Run the labs at full size, and keep beside them what came of it: nbs/course/recorded.

    python tests/tools/editions/records.py [PART OF A LAB'S NAME] [FOLDER]

The numbers that a lab reads off its runs go into a JSON file; the run of its first seed, some of its lines, goes
without weights into an archive. The runs are made in FOLDER (demo_output/records), where they go on from what is there.
"""
import ast, json, shutil, sys, tempfile, zipfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "helpers")]

import nbformat

from editions import labs
from project import PROJECT
from run_notebook import run
from selfloop_nb.storage.archive import export_run
from selfloop_nb.storage.store import Run
from selfloop_nb.storage.stored import is_weights, take_away
from selfloop_nb.sweeps.arms import spelt

RECORDED = labs.RECORDED
LINES = { # of each lab those that its archive has room for: some 300 kB
    "02": ("main", "strict"), "03": ("as it is", "warmer", "more samples"), "04": ("strict", "coin"),
    "05": ("crowd", "crowd only"), "06": ("neutral", "cold", "taste"), "07": ("verifier only", "with D_train"),
    "08": ("verifier",)}
KEEP = "from selfloop_nb.course.recorded import keep_results\nkeep_results(found, folder, Path({beside!r}), {sizes})"


def sizes(nb):
    "The sizes for which a lab asks for its record, as they stand there: `seeds=seeds`; None where it asks for none."
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "recorded_results":
                return ", ".join(f"{one.arg}={ast.unparse(one.value)}" for one in node.keywords)


def made(path, out):
    "Run a lab in a folder; its numbers are kept where it has such."
    nb = labs.read(path)
    nb.cells = [cell for cell in nb.cells if not cell.source.startswith("given = recorded_run(")] # it is made here
    asked = sizes(nb)
    keep = "from pathlib import Path\n" + KEEP.format(beside=str(RECORDED), sizes=asked)
    if asked is not None: nb.cells.append(nbformat.v4.new_code_cell(keep))
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, out / path.name)
    run(out / path.name, out)


def some_lines(source, lines, copy):
    "A copy of a run with some of its lines, without weights."
    def is_wanted(branch): return branch == "main" or branch in lines or branch.rpartition(".")[0] in map(spelt, lines)
    heads = {branch: id for branch, id in Run(source).heads.items() if is_wanted(branch)}
    rounds = {one.id: one for branch in heads for one in Run(source, branch).rounds()}
    for id in rounds: shutil.copytree(source / "rounds" / id, copy / "rounds" / id)
    shutil.copy(source / "run.json", copy)
    (copy / "heads.json").write_text(json.dumps(heads), encoding="utf-8")
    for id, one in rounds.items(): take_away(copy / "rounds" / id, filter(is_weights, one.files))
    return copy


def squeeze(archive):
    "Pack an archive anew, tables too: here each kilobyte counts more than a second."
    packed = archive.with_suffix(".tmp")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name in old.namelist(): new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)
    packed.replace(archive)


def keep_run(source, name, lines):
    "Keep a run as an archive."
    with tempfile.TemporaryDirectory() as place:
        copy = some_lines(source, lines, Path(place) / "run")
        archive = export_run(copy, RECORDED / f"{name}.zip")
    squeeze(archive)
    print(f"{archive.name}: {archive.stat().st_size // 1000} kB", flush=True)


def main(part="", folder=PROJECT / "demo_output" / "records"):
    for path in labs.paths():
        lines = LINES.get(path.stem[:2])
        if not lines or part not in path.stem: continue
        out = Path(folder).resolve() / path.stem[:2]
        made(path, out)
        runs = out / "runs"
        room = runs / "control_room_1"
        if room.exists(): keep_run(room, "control_room", lines)
        else: keep_run(*_first_run(runs), lines)


def _first_run(runs):
    "The run of a lab's first seed, and what the lab calls its runs."
    folder = next(one for one in sorted(runs.iterdir()) if not one.name.startswith("recorded_"))
    return folder / "0", folder.name


if __name__ == "__main__":
    main(*sys.argv[1:])
