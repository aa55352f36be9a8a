"""What pages would fetch from another machine: scripts, styles, fonts, pictures, frames.

A link that a reader may follow fetches nothing.
"""
import re

FETCHING = re.compile(r"""<(?:script|img|iframe|source|video|audio|embed|object|input|track)\b[^>]*?
    \b(?:src|srcset|data|poster)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)""", re.VERBOSE | re.IGNORECASE)
LINKED = re.compile(r"<link\b[^>]*>", re.IGNORECASE)
HREF = re.compile(r"""href\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)""", re.IGNORECASE)
STYLE = re.compile(r"""(?:url\(\s*["']?\s*|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
SCRIPT = re.compile(r"""(?:fetch\(|import\(|importScripts\(|\.src\s*=|from)\s*["'`]((?:https?:)?//[^"'`]+)""")


def in_page(text):
    "The addresses that a page fetches."
    linked = [address for tag in LINKED.findall(text) for address in HREF.findall(tag)]
    return FETCHING.findall(text) + linked + STYLE.findall(text) + SCRIPT.findall(text)


def fetched(folder):
    "One line for each address that a file of the site fetches."
    kinds = {".html": in_page, ".css": STYLE.findall, ".js": SCRIPT.findall, ".svg": in_page}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in kinds):
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(folder)}: {address}" for address in kinds[path.suffix](text)]
    return found
