"A stand-in for Python ends as Python would, with the same words; what it cannot be, it leaves to a fresh one."
import os, signal, subprocess, sys

import pytest
from waiting import wait_until

TOLD = "import sys; print(sys.argv, __name__, sys.path[:2], sys.stdin.read()); "
ENDS = {"by itself": "", "by an exit": "sys.exit(3)", "with a word": "sys.exit('no')", "by an error": "1 / 0",
        "by a signal": "os.kill(os.getpid(), 9)", "late": "import atexit; atexit.register(print, 'bye')"}


def told(python, *arguments, **environment):
    "(how it ended, what it said, the last line of its errors)."
    done = subprocess.run([python, *arguments], input="asked", capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": "elsewhere", **environment})
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_python_does(end, stand_in):
    program = "-c", TOLD + "import os; sys.stdout.flush(); " + ENDS[end], "one", "two"
    assert told(stand_in, *program) == told(sys.executable, *program)


def test_a_file_and_a_module(stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TOLD + "print(__file__)")
    for how in (["mine.py", "one"], ["-m", "json.tool", "--help"], ["-W", "ignore", tmp_path / "mine.py"]):
        assert told(stand_in, *how) == told(sys.executable, *how)


def test_the_libraries_are_read_already_but_where_another_start_is_asked_for(stand_in):
    program = "-c", "import sys; print('torch' in sys.modules, 'selfloop_nb' in sys.modules)"
    assert told(stand_in, *program)[1] == "True False\n", "the library itself is read by each anew"
    for changed in (dict(PYTHONHASHSEED="1"), dict(OMP_NUM_THREADS="2")):
        assert told(stand_in, *program, **changed)[1] == "False False\n"
    assert told(stand_in, "-B", *program)[1] == "False False\n"


def test_where_it_is_killed_the_fork_goes_too(stand_in):
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(10**6)"
    with subprocess.Popen([stand_in, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        fork = int(process.stdout.readline())
        assert fork != process.pid
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{fork}"))
