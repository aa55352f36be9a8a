"""Make the site: the notebooks as they are saved, in reading order, and a page of reference for each module.

    python tests/tools/docs [FOLDER]

Nothing is executed and nothing is fetched; a warning is an error. What it needs is the extra `docs`.
"""
import shutil, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = map(str, (HERE, HERE.parent, HERE.parents[1] / "helpers", HERE.parents[2]))

from sphinx.cmd.build import build_main

import addresses, chinese, pages
from project import PROJECT


def build(folder):
    "The site in `folder`/html, in Chinese in `folder`/html/zh; the sources, put in order, beside it."
    shutil.rmtree(folder, ignore_errors=True)
    pages.write(folder / "source")
    chinese.write(folder / "source_zh")
    make(folder, "source", "html")
    make(folder, "source_zh", "html/zh", "-D", "language=zh_CN")
    found = addresses.fetched(folder / "html")
    if found:
        sys.exit("pages would fetch from elsewhere:\n" + "\n".join(found))


def make(folder, source, target, *more):
    "One language of the site."
    cache = str(folder / f"cache_{source}")
    options = ["-b", "html", "-W", "--keep-going", "-q", "-j", "2", "-c", str(HERE), "-d", cache]
    if build_main([*options, *more, str(folder / source), str(folder / target)]):
        sys.exit("the site has warnings, see above")


def main():
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PROJECT / "_docs"
    began = time.monotonic()
    build(folder)
    n_pages = len(list((folder / "html").rglob("*.html")))
    print(f"{n_pages} pages in {time.monotonic() - began:.0f} s: {folder / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()
