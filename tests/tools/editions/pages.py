"Cells as HTML that needs nothing from elsewhere: pictures inside, formulas as MathML, code in colours."
import base64, html, re

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from editions import labs
from formulas import mathml

STYLE = labs.HERE / "static" / "course.css"
MARKDOWN = MarkdownIt("commonmark").enable("table")
LONG = 60 # letters of a formula that would run over the edge
COLOURS = HtmlFormatter(nowrap=False, cssclass="code", style="default")


def formula(tex, options):
    "A formula as MathML, which browsers set by themselves; a long one in smaller signs."
    if not options["display_mode"]: return mathml(tex)
    shown = mathml(tex, display="block")
    return f'<div class="long">{shown}</div>' if len(tex) > LONG else shown


dollarmath_plugin(MARKDOWN, renderer=formula, double_inline=True)


def markdown(text):
    "Prose as HTML; pictures inside."
    found = MARKDOWN.render(text)
    return re.sub(r'src="images/([^"]+)"', lambda m: f'src="{_inside(labs.PICTURES / m[1])}"', found)


def _inside(path):
    "A picture as an address that holds it."
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def code(source):
    "Python in colours."
    return highlight(source, PythonLexer(), COLOURS)


def output(one):
    "One output of a cell; of several forms the first that shows."
    if one.output_type == "stream":
        return f"<pre>{html.escape(one.text)}</pre>"
    data = one.get("data", {})
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{data["image/png"]}">'.replace("\n", "")
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def page(title, body, style="", lang="en"):
    "A whole page."
    css = STYLE.read_text(encoding="utf-8") + COLOURS.get_style_defs(".code") + style
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (f'<!DOCTYPE html>\n<html lang="{lang}"><head>{head}<title>{html.escape(title)}</title>'
            f"<style>{css}</style></head>\n<body>{body}</body></html>\n")
