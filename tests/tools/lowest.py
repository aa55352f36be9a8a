"""The lowest versions that settings.ini allows, as constraints for pip, a line each. The tools of development are as
constraints.txt has them; so is torch, of which only that version is certain to come without CUDA."""
import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
APART = ("docs_requirements", "course_requirements", "dev_requirements") # for those who build, not for users


def lowest(settings):
    "Lines `name==version` of what users install."
    config = ConfigParser(delimiters=["="])
    config.read(settings, encoding="utf-8")
    lists = [lines for key, lines in config["DEFAULT"].items() if key.endswith("requirements") and key not in APART]
    floors = re.findall(r"^([\w.-]+)>=([\w.]+)", "\n".join(lists), re.M)
    return [f"{name}=={version}" for name, version in dict(floors).items() if name != "torch"]


def main():
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    print(*lowest(ROOT / "settings.ini"), *re.findall(r"^(?:torch|nbdev|execnb|fastcore)==.*", pinned, re.M), sep="\n")


if __name__ == "__main__":
    main()
