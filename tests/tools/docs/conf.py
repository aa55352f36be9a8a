"Sphinx's settings: a light theme, formulas as MathML, notebooks shown as they are saved, no address outside."
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "selfloop_nb"
author = copyright = "The selfloop_nb authors"
extensions = ["myst_nb", "mathml"]
html_theme = "furo"
html_title = "selfloop_nb"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_show_sourcelink = html_copy_source = html_show_sphinx = html_use_index = False
html_theme_options = {"footer_icons": []}
html_math_renderer = "mathml"
math_number_all = False

nb_execution_mode = "off"
nb_ipywidgets_js = {} # by default these come from elsewhere
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
