"How long something takes, for benches that print it."
import time


def timed(work):
    "Seconds and result."
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def say(*text):
    "Print a line at once."
    print(*text, flush=True)


def cpu_seconds(work):
    "CPU seconds of this process, and the result."
    began = time.process_time()
    result = work()
    return time.process_time() - began, result
