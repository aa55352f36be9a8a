"The JavaScript of the charts: in step with its notebook, safe with what a model wrote, right where it computes."
import re, shutil, subprocess

import pytest

import script

HTML = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment", "eval(",
        "Function(")
TRIES = """
import assert from "node:assert/strict"
import { number, place, plain, share, ticks } from "./script.mjs"

assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1])
assert.deepEqual(ticks(-4.2, 0, 4), [-4, -2, 0])
assert.deepEqual(ticks(5, 5, 4), [5])
for (let k = 0; k < 1000; k++) {
    const low = (Math.random() - 0.5) * 10 ** (k % 9), high = low + Math.random() * 10 ** (k % 7) + 1e-6
    const found = ticks(low, high, 5), air = 1e-6 * Math.max(Math.abs(low), Math.abs(high)) + 1e-9
    assert.ok(found.length <= 12 && found.every(t => t >= low - air && t <= high + air), [low, high, found].join())
}

assert.equal(place([1, 2, 2, 3], 2), 1)
assert.equal(place([1, 2], 9), 2)
assert.equal(place([], 1), 0)

assert.equal(number(null) + number(NaN) + number(1234567) + number(0.12345), "––1,234,5670.123")
assert.equal(share(0.5) + share(0.0123) + share(NaN), "50 %1.2 %–")
assert.equal(plain("a\\u202eb\\u0000c\\n\\td 你"), "a\\\\u202eb\\\\u0000c\\n\\td 你")
"""


@pytest.mark.parametrize("name", script.NOTEBOOKS)
def test_script_in_sync(name):
    assert (script.CHARTS / name).read_text(encoding="utf-8") == script.blocks(name), "run `make export`"


@pytest.mark.parametrize("name", script.NOTEBOOKS)
def test_lines_are_light(name):
    assert [line for line in script.blocks(name).splitlines() if len(line) > 120] == []


def test_the_script_is_short_and_says_one_thing_a_line():
    from selfloop_nb.charts.linked import page_script
    lines = page_script().splitlines()
    assert len(lines) <= 500
    assert [line for line in lines if line.partition(" //")[0].count(";") > 1] == []


def test_nothing_that_a_model_wrote_is_read_as_html():
    text = "\n".join(map(script.blocks, script.NOTEBOOKS))
    assert [name for name in HTML if name in text] == []
    assert not re.search(r"https?://(?!www\.w3\.org/)", text), "no address beyond the names of SVG and HTML"


def test_every_word_comes_from_the_table():
    "Words in the script are keys of the one table, and no word of the table is left over."
    from selfloop_nb.charts.chart_data import PANELS, WORDS
    text = script.blocks("script.js") + script.blocks("linked.js")
    said = set(re.findall(r'(?:say|empty)\("(\w+)"', text)) | {"keeps", "would_keep", "waiting"}
    said |= {panel.missing for panel in PANELS}
    of_samples = {"kept", "rejected", "quarantined", "written", "answer"}
    assert said <= set(WORDS) and set(WORDS) <= said | of_samples


def test_the_charts_in_a_file_speak_the_language_of_the_session(tmp_path, monkeypatch):
    from made_up import made_up_run
    from selfloop_nb.charts.twin import run_in_file
    from selfloop_nb.charts.words import SESSION
    monkeypatch.setattr(SESSION, "lang", "zh")
    found = run_in_file(made_up_run(tmp_path / "run", 2, n=20))
    titles = [found["rounds"][2]["scores"]["title"], *(panel["hint"] for panel in found["panels"])]
    said = [re.sub(r"\{\w+\}|distinct-2", "", text) for text in (*found["words"].values(), *titles)]
    assert [text for text in said if re.search("[a-z]{4}", text)] == []


@pytest.mark.skipif(not shutil.which("node"), reason="no node is found")
def test_what_it_computes(tmp_path):
    (tmp_path / "script.mjs").write_text(script.blocks("script.js"), encoding="utf-8")
    (tmp_path / "tries.mjs").write_text(TRIES, encoding="utf-8")
    done = subprocess.run(["node", "tries.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
