"The table that `make faults` prints: a figure a line, how often it was tried, and what was lost."
import sys
from dataclasses import dataclass, field


@dataclass
class Row:
    "One figure."
    what:str                                  # that was tried
    n:int                                     # how often
    losses:list = field(default_factory=list) # what went wrong, in words
    note:str = ""

    def __str__(self): return f"| {self.what} | {self.n:,} | {len(self.losses)} | {self.note} |"


HEAD = "| tried | times | lost | |\n|---|---:|---:|---|"


def show(rows):
    "Print the rows and, below them, every loss; ends the program with an error where there is one."
    print(HEAD, *rows, sep="\n", flush=True)
    losses = [loss for row in rows for loss in row.losses]
    if losses: sys.exit("\n".join(losses[:40]))
