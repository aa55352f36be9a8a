"""What a loop claims is shown beside what would have come of it without: own measures with intervals, controls, a
sealed test that is opened once. A measure that fails costs its own figure; a Q that is chance has no effect."""
import math
import sys
from pathlib import Path

import pytest

from helpers.small import small_loop, small_task

from selfloop_nb import (FineTune, Measure, MeasureGuard, OnlyTrain, Quantile, Scorer, SelfloopError, Task, Threshold,
                         chance, compare, controls, from_dataset, open_run, sweep, tiny_llama)
