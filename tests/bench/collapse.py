"""The recipe of collapse at full size, and what it claims checked: three seeds, five rounds, four arms.

Two processes share nbs/recipes/collapse.ipynb. A run that was interrupted goes on where it was: its rounds lie in
demo_output/collapse/runs, the executed notebook beside them. `rounds=2` and the like set a parameter of the notebook.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from run_notebook import PROJECT, setting, run, summary


def main(values):
    "Run it, and print its tables."
    nb = run(PROJECT / "nbs/recipes/collapse.ipynb", PROJECT / "demo_output/collapse", values)
    print(summary(nb))


if __name__ == "__main__":
    main(dict(map(setting, sys.argv[1:])))
