"A run folder has one writer, and says so in silence and in words."
import os, subprocess, sys
from pathlib import Path

TESTS = Path(__file__).parent
HOLDER = """
import sys
sys.path.insert(0, sys.argv[2])
from small import small_loop
loop = small_loop(sys.argv[1])
import selfloop_nb # named after the loop, so it is let go of first
"""


def python(code, *arguments):
    "What a Python of its own prints that runs `code`."
    env = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_a_program_that_ends_with_a_loop_in_a_global_says_nothing(tmp_path):
    ended = python(HOLDER, tmp_path / "run", TESTS / "helpers")
    assert (ended.returncode, ended.stderr) == (0, "")
