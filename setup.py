"Everything setuptools needs is in settings.ini; the extra `dev` takes in all others but trackers and `docs`."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
about, readme, suffix = config["DEFAULT"], Path("README.md"), "_requirements"

extras = {key.removesuffix(suffix): about[key].split("\n") for key in about if key.endswith(suffix)}
extras = {name: [line for line in lines if line] for name, lines in extras.items()}
APART = ("trackio", "wandb", "mlflow", "tensorboard", "docs", "course") # trackers have stand-ins in the tests, docs and course their own place
extras["dev"] = [line for name, lines in extras.items() if name not in APART for line in lines]

setup(
    name=about["lib_name"],
    version=about["version"],
    description=about["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author=about["author"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=about["keywords"].split(),
    packages=find_packages(include=["selfloop_nb", "selfloop_nb.*"]),
    package_data={"selfloop_nb.charts": ["*.js", "*.css"]},
    python_requires=f">={about['min_python']}",
    install_requires=about["requirements"].split("\n"),
    extras_require=extras,
    entry_points={"console_scripts": about["console_scripts"].split()},
    zip_safe=False,
)
