"Formulas as MathML, for Sphinx."
from docutils.nodes import SkipNode

from formulas import mathml


def visit_math(self, node):
    self.body.append(mathml(node.astext()))
    raise SkipNode


def visit_displaymath(self, node):
    self.body.append(f'<div class="math">{mathml(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
