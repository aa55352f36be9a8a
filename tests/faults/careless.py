"""The tests of security are tried themselves: a library that takes no care in one thing must be found out by them.

    python tests/faults/careless.py            all of them
    python tests/faults/careless.py NAME       one, in this process
"""
import subprocess, sys
from pathlib import Path

from failpoints import replace_everywhere
from table import Row, show
import tiny  # noqa: F401

TESTS = Path(__file__).parents[1]
TRUST = "trust_remote_code"


def unchecked(*what): "In the place of a check."


def renderer():
    "Text is put into pages as it is."
    import selfloop_nb.charts.report  # noqa: F401
    from selfloop_nb.charts.markup import escape
    replace_everywhere(escape, lambda text, *how: str(text))


def importer():
    "An entry that is a link becomes one."
    from selfloop_nb.storage import archive
    unpack = archive._unpack_entry
    def follow(packed, entry, file):
        if not entry.external_attr >> 16 & 0o120000 == 0o120000: return unpack(packed, entry, file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(packed.read(entry).decode(errors="replace")[:50])
    archive.check_entry = unchecked
    archive._unpack_entry = follow


def reader():
    "Files of a run are opened through links."
    from selfloop_nb.storage import files
    replace_everywhere(files.through_link, lambda folder, name: False)
    files._CAREFULLY = 0


def loader():
    "A model's own code is run."
    import transformers
    from selfloop_nb import models
    models.check_folder = models.check_architecture = unchecked
    for name in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        kind = getattr(transformers, name)
        load = kind.from_pretrained.__func__
        def trusting(cls, *args, load=load, **how): return load(cls, *args, **{**how, TRUST: True})
        kind.from_pretrained = classmethod(trusting)


CARELESS = { # name -> what takes no care, the tests that must find it
    "a renderer that does not escape": (renderer, "test_hostile.py", "report"),
    "an importer that makes links": (importer, "test_untrusted.py", "hostile_archives"),
    "a reader that follows links": (reader, "test_run_folder.py", "what_a_link_leads_to"),
    "a loader that runs code": (loader, "test_untrusted.py", "not_loaded and code"),
}


def tried(name):
    "Run the tests in this process, without care; returns pytest's exit code."
    import pytest
    take_no_care, file, which = CARELESS[name]
    sys.path[:0] = [str(TESTS), str(TESTS / "helpers")]
    take_no_care()
    return pytest.main([str(TESTS / file), "-q", "-x", "-k", which, "-p", "no:cacheprovider"])


def is_found(name):
    "Do the tests fail? None where they could not be run."
    command = [sys.executable, "-W", "ignore", __file__, name]
    return {0: False, 1: True}.get(subprocess.run(command, capture_output=True, cwd=TESTS.parent).returncode)


def main():
    "The row of the table."
    found = {name: is_found(name) for name in CARELESS}
    losses = [f"{name} was {'not found' if seen is False else 'not tried'}" for name, seen in found.items() if not seen]
    return [Row("careless libraries found out by the tests of security", len(found), losses, ", ".join(found))]


if __name__ == "__main__":
    if sys.argv[1:]: sys.exit(tried(sys.argv[1]))
    show(main())
