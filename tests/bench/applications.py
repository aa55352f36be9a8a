"the recipes on real data, three seeds each or five: metric, M_0, loop, three controls; names of recipes run those only"
import argparse, csv, hashlib, json, re, resource, shutil, sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from run_notebook import PROJECT, Terminal, run

RECIPES = PROJECT / "nbs" / "recipes"
TABLE = RECIPES / "applications.tsv"
SEEDS = (0, 1, 2)
MORE_SEEDS = (0, 1, 2, 3, 4)
LEFT_OPEN = {"translation", "augmentation", "sentiment", "speech", "text_generation"} # by three, before the others ran


@dataclass(frozen=True)
class Application:
    "What is measured of a recipe: a run among those that its notebook makes, and a held-out metric of that run."
    name: str     # as the table says it
    notebook: str # nbs/recipes/<notebook>.ipynb, with the parameters `seed` and `store`
    run: str      # name of the run below `store`
    measure: str  # "accuracy" or the name of a measure
    metric: str   # what people call it


APPLICATIONS = [
    Application("translation, English and German", "translation", "german", "accuracy", "exact"),
    Application("translation, English and Japanese", "translation", "japanese", "accuracy", "exact"),
    Application("question answering", "question_answering", "verifier", "accuracy", "exact"),
    Application("text generation", "text_generation", "glosses", "on_topic", "on topic, by the judge"),
    Application("summarisation", "summarisation", "proposals", "rouge_l", "ROUGE-L"),
    Application("sentiment, polarity", "sentiment", "film", "accuracy", "accuracy"),
    Application("sentiment, strength", "sentiment", "film", "pearson", "Pearson's r"),
    Application("topics", "topics", "glosses", "nmi", "NMI"),
    Application("speech", "speech", "telephone", "wer", "word error rate"),
    Application("augmentation", "augmentation", "questions", "accuracy", "exact"),
]


@dataclass
class Row:
    "A line of the table; behind a control's value stands what the loop has over it, Student's 95 % interval."
    application: str
    metric: str
    M_0: str
    loop: str
    only_D_train: str
    chance: str
    no_filter: str
    beats: str
    seeds: int
    CPU_seconds_a_seed: int


def seeds_of(notebook):
    "The seeds that a recipe is run with."
    return MORE_SEEDS if notebook in LEFT_OPEN else SEEDS


def place_of(notebook, seed, out):
    "The folder in which a recipe runs with a seed."
    return Path(out) / notebook / f"seed-{seed}"


def source_hash(path):
    "The hash of a notebook's code."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def run_seed(notebook, seed, out, values):
    "Run a recipe with a seed, unless that is done; returns the CPU seconds it took."
    path, place = RECIPES / f"{notebook}.ipynb", place_of(notebook, seed, out)
    wanted, done = dict(source=source_hash(path), values=values), place / "done.json"
    if done.exists():
        found = json.loads(done.read_text())
        if found["asked"] == wanted: return found["seconds"]
    shutil.rmtree(place, ignore_errors=True)
    before = children_seconds()
    run(path, place, dict(values, seed=seed, store="runs"), terminal=Terminal(sys.stderr))
    seconds = children_seconds() - before
    done.write_text(json.dumps(dict(asked=wanted, seconds=seconds)))
    return seconds


def children_seconds():
    "CPU seconds of the processes that this one began and that have ended."
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def verdict_of(application, seeds, out):
    "What the loop has over its controls, over the seeds; and the runs of the loop."
    from selfloop_nb.storage.evidence import against_controls, controls_beside, metric_named
    from selfloop_nb.storage.store import Run
    runs = [Run(place_of(application.notebook, seed, out) / "runs" / application.run) for seed in seeds]
    beside = [controls_beside(one) for one in runs]
    controls = {kind: [others[kind] for others in beside] for kind in ("only D_train", "chance", "no filter")}
    metric = metric_named(runs[0], application.measure)
    return against_controls(application.name, runs, controls, metric), runs, controls


def mean_at(runs, metric, number):
    "The mean of a metric in a round, over seeds."
    values = [run.rows()[number][metric.column] for run in runs]
    return sum(values) / len(values)


def shown_gap(runs, metric, gap):
    "A control's value, and what the loop has over it, in brackets."
    ends = " to ".join(format(end, "+.3f") for end in (gap.low, gap.high))
    return f"{mean_at(runs, metric, -1):.3f} ({ends})"


def row_of(application, seeds, out, seconds):
    "The line of an application."
    verdict, runs, controls = verdict_of(application, seeds, out)
    metric = verdict.metric
    shown = [shown_gap(controls[kind], metric, gap) for kind, gap in verdict.gaps.items()]
    beaten = [kind for kind, gap in verdict.gaps.items() if gap.verdict == "beats"]
    beats = "every control" if verdict.has_effect else ", ".join(beaten) or "none"
    values = [f"{mean_at(runs, metric, number):.3f}" for number in (0, -1)]
    return Row(application.name, application.metric, *values, *shown, beats, len(seeds), round(seconds))


def save(rows, path=TABLE):
    "Put lines into the table; the lines of other applications stay."
    known = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            known = {line["application"]: line for line in csv.DictReader(file, delimiter="\t")}
    known |= {row.application: asdict(row) for row in rows}
    order = [application.name for application in APPLICATIONS if application.name in known]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(known[name] for name in order)


def markdown(path=TABLE):
    "The table as the README shows it."
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t"))
    names = [name.replace("_", " ").replace("M 0", "M_0").replace("D train", "D_train") for name in lines[0]]
    rows = [names, ["---"] * len(names), *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def show(text, path=PROJECT / "nbs" / "index.ipynb"):
    "Put the table in the place of the one that the first page has."
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        cell.source = re.sub(r"^\| application \|.*(?:\n\|.*)*", lambda old: text, cell.source, flags=re.MULTILINE)
    nbformat.write(nb, path)


def main():
    parser = argparse.ArgumentParser()
    names = sorted({application.notebook for application in APPLICATIONS})
    parser.add_argument("notebooks", nargs="*", choices=[[], *names], default=[])
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--out", type=Path, default=PROJECT / "demo_output" / "applications")
    options = parser.parse_args()
    for notebook in options.notebooks or names:
        seeds = tuple(options.seeds or seeds_of(notebook))
        used = [run_seed(notebook, seed, options.out, {}) for seed in seeds]
        chosen = [application for application in APPLICATIONS if application.notebook == notebook]
        rows = [row_of(application, seeds, options.out, sum(used) / len(used)) for application in chosen]
        if seeds == seeds_of(notebook):
            save(rows)
            show(markdown())
        for row in rows: print(*asdict(row).values(), sep=" | ", flush=True)
    print(markdown())


if __name__ == "__main__": main()
