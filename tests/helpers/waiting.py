"To wait for a state, however busy the machine is: the one clock is pytest's own limit for a test."
import time


def wait_until(state, every=0.02):
    "What `state()` gives, once that is true; asked again every so many seconds."
    while not (value := state()):
        time.sleep(every)
    return value
