"What a program prints in kernels of different hash seeds."
import os, subprocess, sys
from pathlib import Path


def outputs(program, seeds="123"):
    "The output of a program, once for each PYTHONHASHSEED."
    command = [sys.executable, "-c", program]
    place = str(Path(__file__).parents[2])
    return [subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": place},
                           capture_output=True, text=True, check=True).stdout for seed in seeds]
