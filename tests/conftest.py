"""What every test wants: one thread, since two that wait for each other on a busy machine take many times as long; no
walks of the collector through all that was imported; and, for those that ask, Pythons that begin at once."""
import gc, os, sys

import pytest

SETTINGS = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "5000", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1"}
for name, value in SETTINGS.items(): os.environ.setdefault(name, value)


FIRST = ("notebooks", "docs", "browser", "strangers", "identity", "chat", "sweep", "evidence", "project") # take longest


def pytest_collection_modifyitems(items):
    "A file that takes long is not begun last, when nothing is left to do beside it."
    last = len(FIRST)
    place = {f"test_{name}": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, last))


def pytest_collection_finish():
    "What is there before the first test stays: a walk through all of it takes half a second, and tests ask for many."
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    "See `warm`; where there are no pidfds, which are of Linux, Python itself."
    if not hasattr(os, "pidfd_open"):
        yield sys.executable
        return
    from warm import warm_python
    python, process = warm_python(tmp_path_factory.mktemp("warm"))
    yield str(python)
    process.communicate()


@pytest.fixture
def warm_python(stand_in, monkeypatch):
    "Pythons that the test, or the library in it, begins have the libraries read already."
    monkeypatch.setattr(sys, "executable", stand_in)
