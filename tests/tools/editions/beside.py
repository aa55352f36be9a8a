"""Let another environment find the packages of this one, behind its own.

    python tests/tools/editions/beside.py ENVIRONMENT
"""
import sys, sysconfig
from pathlib import Path

if __name__ == "__main__":
    places = {kind: sys.argv[1] for kind in ("base", "platbase")}
    beside = Path(sysconfig.get_path("purelib", vars=places)) / "beside.pth"
    beside.write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8")
