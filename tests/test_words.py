"""What is shown is in the session's language, what is recorded stays; every button, answer and chart has its words in
the table, and the sentences of guards and errors are found again in it.
"""
import ast, re, string, warnings
from itertools import count
from types import SimpleNamespace

import ipywidgets, pandas, pytest

from project import modules
from selfloop_nb import Quantile, Threshold, TopK, browse, compare, dashboard, explore, open_run, rate, session, tree
from selfloop_nb.charts import chart_data, look, rounds
from selfloop_nb.charts.comparison import comparison_plot
from selfloop_nb.charts.glossary import ZH
from selfloop_nb.charts.words import LANGUAGES, SESSION, headers_shown, html_shown, shown, words_shown
import selfloop_nb.course.exercises # its tables of words
from selfloop_nb.storage.files import check_name
from selfloop_nb.views.explore import choice_table
from selfloop_nb.views.view import _widgets_in, push_button, put_into_words
from sayings import errors
from small import small_loop

MODULES = modules()
SAYING = {"push_button", "labelled", "_say", "finish", "set_title"} # calls whose texts are read on the screen
NAMED = {"xlabel", "ylabel", "placeholder", "title"}                # and parameters
WORDS = re.compile(r".*[^\W\d_]", re.DOTALL) # a letter
SIZE = re.compile(r"\d+px|7%?|θ")


@pytest.fixture(autouse=True)
def english():
    "Every test ends in English, at the usual size."
    yield
    session(lang="en", font_scale=1.0, dark=False)


def finished(node):
    "A text of the source as it might be shown: what is filled in is 7; None where it is no text."
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return node.value
    if not isinstance(node, ast.JoinedStr): return None
    return "".join(part.value if isinstance(part, ast.Constant) else "7" for part in node.values)


def said(path):
    "The texts that a module puts on the screen."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call): continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = node.args if name in SAYING else []
        yield from map(finished, [*texts, *(one.value for one in node.keywords if one.arg in NAMED)])


ROOMS = [name for name in MODULES if name.startswith(("views.", "charts."))]


@pytest.mark.parametrize("name", sorted(set(ROOMS) - {"views.trackers", "views.command", "charts.report"}))
def test_what_a_screen_says_is_in_the_table(name):
    texts = {text for text in said(MODULES[name]) if text and WORDS.match(text) and not SIZE.fullmatch(text)}
    assert sorted(text for text in texts if shown(text, "zh") == text and text not in ZH) == []


MESSAGES = [
    "held-out loss 2.310 is over 120% of M_0's 1.400", "distinct-2 0.0110 is under 50% of M_0's 0.0300",
    "only 0.4% of the samples were kept, less than 1.0%", "all scores of the round are 0.5: Q tells nothing apart",
    "30% of the samples were cut off at max_new_tokens=8: give them more room with Sampling(max_new_tokens=...)",
    "the judge lets 40% of its controls pass, answers without content: do not believe it",
    "Q has risen by 1.2 standard deviations and the audit has fallen by 0.8: the model learns to please Q",
    "the audit failed on 3 of 20 samples: what it says of the others may not hold for all",
    "pass@1 has risen by 0.120 and pass@8 has fallen from 0.800 to 0.600: the model gives up answers that it had found",
    "no progress on held-out data for 3 rounds", "held-out accuracy 0.950 has reached the target 0.9",
]


@pytest.mark.parametrize("text", MESSAGES, ids=count())
def test_a_guards_sentence_is_found_again_with_its_numbers(text):
    other = shown(text, "zh")
    assert other != text and set(re.findall(r"\d[\d.]*", other)) >= set(re.findall(r"(?<!M_)(?<!@)\b\d[\d.]*\b", text))


def test_an_error_is_found_again_with_what_it_names():
    with pytest.raises(ValueError) as caught:
        check_name("../x", "branch")
    assert shown(str(caught.value), "zh").startswith("'../x' 不能作为分支的名字")


ERRORS = {
    "a share": (lambda: Quantile(1.5), "share=1.5：必须大于 0 且不超过 1"),
    "a language": (lambda: session(lang="de"), "lang='de'：有这些语言的词：'en', 'zh'"),
    "a number": (lambda: TopK(0), "k=0：必须不小于 1"),
}


JOINTS = {" and of ", " and no ", " such as {a}"} # of lists, and of a sentence that a line has whole
TWO_WORDS = re.compile(r"\b[a-z]{2,} [a-z]{2,}")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_error_has_its_words(name):
    lines = {line: re.sub(r"{\w}", "7", line) for line in set(errors(name)) - JOINTS}
    read = [text for line, text in lines.items() if TWO_WORDS.search(re.sub(r"{\w}", "", line))]
    english = sorted(text for text in read if shown(text, "zh") == text)
    assert english == [], "their Chinese belongs into in_chinese of backend or storage, or into charts.errors"


def test_of_an_error_all_is_read_that_it_may_say():
    found = set(errors("storage.lock"))
    assert "belongs to another user ({a})" in found, "what is filled in"
    assert any(line.startswith("run {a} {b}: look at it") and "{d}={e} in the" in line for line in found)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_a_value_says_what_it_must_be(name):
    call, words = ERRORS[name]
    with pytest.raises(ValueError) as caught: call()
    assert shown(str(caught.value), "zh") == words


def test_a_warning_is_recorded_in_english_whatever_the_session_speaks(tmp_path):
    session(lang="zh")
    loop = small_loop(tmp_path / "严格")
    loop.start()
    loop.run(rounds=1)
    other = loop.branch("另一条线", select=Threshold(0.0))
    assert other.store.branch == "另一条线" and loop.store.name == "严格"
    assert not any(re.search(r"[\u4e00-\u9fff]", text) for record in loop.rounds for text in record.warnings)


def test_a_warning_is_printed_as_ever_and_below_it_what_it_means():
    said = ("the prompts bring completions: they are taken as references, the column 'answer', and the model does not "
            "see them")
    printed = {}
    for lang in ("en", "zh"):
        session(lang=lang)
        printed[lang] = warnings.formatwarning(said, UserWarning, "cell.py", 1)
    assert printed["zh"] == printed["en"] + "prompts 带有回答：它们用作参考答案（列 'answer'），模型看不到\n"
    assert said in printed["en"] and "参考" not in printed["en"]


def test_a_chart_is_in_the_sessions_language_and_size():
    session(lang="zh", font_scale=1.6)
    with look.canvas() as ax:
        rounds.finish(ax, "held-out accuracy", "accuracy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore") # a machine may have no font with these signs
        look.png(ax.figure)
    assert "".join(ax._left_title.get_text().split()) == "留出准确率" and ax.get_xlabel() == "轮"
    assert ax.xaxis.label.get_fontsize() == 16


def test_signs_that_no_font_has_are_named_once_with_the_cure(monkeypatch):
    monkeypatch.setattr(look, "fonts", lambda: ["DejaVu Sans"])
    with look.canvas() as ax:
        ax.set_title("样本 θ")
    with pytest.warns(UserWarning, match="no font that matplotlib knows has '本样'") as heard:
        look.png(ax.figure)
    assert len(heard) == 1 and "delete" in str(heard[0].message)


def test_names_of_any_script_have_one_spelling():
    assert check_name("cafe\u0301") == "caf\u00e9" and check_name("严格-2") == "严格-2"


def test_a_language_is_a_table_with_the_same_names_in_braces():
    for table in LANGUAGES.values():
        for line, other in table.items():
            fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (line, other)]
            assert fields[0] == fields[1], line


def test_a_view_says_later_words_in_the_sessions_language_too():
    session(lang="zh")
    button = push_button("Run", print)
    put_into_words(button)
    assert button.description == "运行"
    button.description = "Go on"
    assert button.description == "继续" and SESSION.lang == "zh"


THREE_WORDS = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}")
NO_WORDS = re.compile(r"<(code|style|svg)\b.*?</\1>", re.DOTALL)


def said_by(view):
    "What the widgets of a view say: labels, tips, what is to be chosen from, and HTML without its code."
    put_into_words(view.box)
    for widget in _widgets_in(view.box, {}).values():
        texts = [getattr(widget, name, "") for name in ("description", "tooltip", "placeholder")]
        if isinstance(widget, ipywidgets.Dropdown): texts += [label for label, _ in widget.options]
        if isinstance(widget, ipywidgets.HTML): texts += NO_WORDS.sub("", widget.value).split("<")
        yield from (text.split(">")[-1].strip() for text in texts if text)


def test_views_say_nothing_in_english(tmp_path):
    session(lang="zh")
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=2)
    other = loop.branch("hot", round=1, select=Threshold(0.0))
    other.run(rounds=1)
    views = [dashboard(loop), dashboard(open_run(tmp_path / "run")), explore(loop, round=2), browse(loop, round=2),
             rate(loop, round=2, by="me"), tree(loop), compare(loop, other)]
    texts = {text.replace("pip install", "pip") for view in views for text in said_by(view)}
    assert sorted(filter(THREE_WORDS.search, texts)) == []


NAMES = ["other", "kept", "scores", "_first"] # of branches: words of the table, and one that matplotlib would leave out


def test_a_name_is_said_as_it_is_whatever_it_spells(tmp_path):
    session(lang="zh")
    loop = small_loop(tmp_path / "run")
    loop.step()
    arms = [loop.branch(name) for name in NAMES]
    arms[0].step()
    pair, room = compare(*arms), dashboard(arms[0])
    climber = tree(arms[0])
    assert room.publisher.flush()
    for view in (pair, climber, room): put_into_words(view.box)
    assert [*pair.live.panels[0]["columns"].values()] == NAMES and pair.live.panels[0]["title"] == "留出准确率"
    labels = "".join(label.value for label in climber.labels.children)
    for name in NAMES: assert f"<span translate='no'>{name}</span>" in pair.tables.value
    for seen in (labels, html_shown(climber.plain()[0]["text/html"])):
        assert "<span translate='no'>other</span>" in seen and "kept，还没有轮" in seen
    assert "other：第 2 轮已完成" in room.status.value
    assert {label for label, _ in room.branches.options} >= {"main", *NAMES}
    figure = comparison_plot(pair.histories)
    look.png(figure)
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == NAMES


def test_a_group_and_a_person_keep_their_names():
    session(lang="zh")
    shares = {"kept": 0.5}
    metrics = SimpleNamespace(n_kept=1, accept_rate=0.5, precision=1.0, distinct_2=1.0, mean_tokens=1.0, shares=shares)
    assert "<span translate='no'>kept</span></th>" in html_shown(choice_table({"top 1 of each prompt": metrics}))
    assert shown("kappa with kept") == "与 kept 的 kappa" and shown("rating by all: 1 of 2") == "all 在评分：第 1 个，共 2 个"


def test_all_that_a_page_says_of_its_own_is_put_into_words():
    session(lang="zh")
    english = [line for name, line in words_shown(chart_data.WORDS).items() if line == chart_data.WORDS[name]]
    assert english == ["distinct-2 {value}"], "a name, and a number"


def test_of_a_table_of_pandas_headers_are_put_into_words_and_cells_stay():
    session(lang="zh")
    frame = pandas.DataFrame({"your guess": ["kept", "from"]}, index=pandas.Index(["cold", "run 3"], name="claim"))
    said = headers_shown(frame._repr_html_())
    assert re.findall(r">([^<>\s][^<>]*)</th>", said) == ["你的猜测", "主张", "cold（低温）", "run 3"]
    assert re.findall(r"<td>(.*?)</td>", said) == ["kept", "from"]
    assert shown("cold") == "cold", "the name of a branch, elsewhere"
    assert headers_shown("<th>answer</th>") == "<th>answer</th>", "a column that is typed"


def test_a_report_speaks_the_language_of_the_session_and_leaves_what_was_written(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    loop.run(rounds=1)
    english = loop.report(tmp_path / "en.html").read_text(encoding="utf-8")
    session(lang="zh")
    chinese = loop.report(tmp_path / "zh.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in english and '<html lang="zh">' in chinese
    assert re.findall(r"<h2>[^<]*[A-Za-z]{2}[^<]*</h2>", chinese) == [] and "留出数据上的损失" in chinese
    assert re.findall(r"<pre>.*?</pre>", english, re.DOTALL) == re.findall(r"<pre>.*?</pre>", chinese, re.DOTALL)
