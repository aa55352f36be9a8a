"""The labs that try a published result, at full size: claim, published, measured with Student's interval, CPU seconds

A lab's claims are checked in it, for every seed; the executed notebooks lie in demo_output/course. `seeds=[0]` and the
like set a parameter, a part of a lab's name runs that lab alone. With `recorded=True` nothing is computed: the table is
that of the full runs that lie recorded beside the labs.
"""
import io, json, resource, shutil, sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from run_notebook import PROJECT, Terminal, run, setting

LABS = PROJECT / "nbs" / "course"
ASK = "print('CLAIMS', claims.reset_index().to_json(orient='records'))"


def measured(path, values):
    "A lab's claims, and the CPU seconds that it took."
    nb = nbformat.read(path, as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell(ASK))
    out = PROJECT / "demo_output" / "course" / path.stem
    shutil.rmtree(out, ignore_errors=True) # else a lab goes on where it ended last time, in no time
    out.mkdir(parents=True)
    shutil.copytree(LABS / "recorded", out / "recorded")
    nbformat.write(nb, out / path.name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = run(out / path.name, out, values, terminal=Terminal(io.StringIO())).cells[-1].outputs[0]["text"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(printed.removeprefix("CLAIMS ")), seconds


def row(claim):
    "A claim as a line of the table."
    here = f"{claim['here']:.3f}"
    if claim["from"] is not None: here += f" ({claim['from']:.3f} to {claim['to']:.3f})"
    return f"| {claim['claim']} | {claim['published']} | {here} |"


def labs(part):
    "The labs that try something: they have a table of claims."
    found = sorted(LABS.glob("*.ipynb"))
    return [path for path in found if part in path.stem and "claims = claim_table" in path.read_text(encoding="utf-8")]


def main(words):
    "Run the labs, and print one table."
    values = dict(setting(word) for word in words if "=" in word)
    part = next((word for word in words if "=" not in word), "")
    print("| claim | published | here, mean over the seeds (95 %) |\n|---|---|---|")
    for path in labs(part):
        claims, seconds = measured(path, values)
        print(f"| **{path.stem[3:].replace('_', ' ')}**, {seconds:.0f} CPU seconds | | |")
        print("\n".join(map(row, claims)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
