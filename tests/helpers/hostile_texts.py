"Texts that mean harm, or merely break things; and a run whose samples are made of them."
import math

HOSTILE = [
    "<script>alert('script')</script>",
    "<img src=x onerror=alert('img')>",
    "<svg onload=alert('svg')>",
    "<iframe src='https://example.org/frame'></iframe>",
    "<a href='javascript:alert(1)'>press me</a>",
    "\"><script>alert('quote')</script>",
    "' onmouseover='alert(1)",
    "</code></div><h1>out of the card</h1>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href='https://example.org/x.css'>",
    "<form action='https://example.org'><input name=password></form>",
    "<math><mtext><img src=x onerror=alert(2)></mtext></math>",
    "$$\\frac{1}{0}$$ and $x$",
    "\\(x\\) \\[y\\] \\unicode{x}",
    "![picture](https://example.org/p.png) [link](javascript:alert(3))",
    "\x1b[31mred\x1b[0m\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "\u202eright to left override\u202c",
    "\u2066isolate\u2069 \u200bzero\u200bwidth",
    "lone \ud800 surrogate \udfff",
    "NUL \x00 and bell \x07",
    "x" * 1_000_000,
    "line\n" * 2000,
    "你好，世界",
    "日本語の文",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "مرحبا بالعالم",
    "e\u0301" * 40 + "\u0489" * 40,
    "=HYPERLINK(\"https://example.org\")",
    "{{constructor.constructor('alert(4)')()}}",
    "%s %d {0} {}",
]
assert len(HOSTILE) == 30


def hostile_table():
    "A selected sample table of them; text is cleaned as the sampler cleans it, and nothing else."
    from datasets import Dataset
    from selfloop_nb.text import clean_text
    texts = [clean_text(text) for text in HOSTILE]
    n = len(texts)
    ids = [f"1-{i}" for i in range(n)]
    states = ["kept", "rejected", "quarantined"] * (n // 3)
    scores = [math.nan if state == "quarantined" else i / n for i, state in enumerate(states)]
    reasons = ["" if state == "kept" else text[:80] for text, state in zip(texts, states)]
    return Dataset.from_dict(dict(
        sample_id=ids,
        prompt_id=list(range(n)),
        prompt=[text[:2000] for text in reversed(texts)],
        completion=texts,
        token_ids=[[1]] * n,
        n_tokens=[1] * n,
        logprob=[-1.0] * n,
        finished=[True] * n,
        correct=[True, False] * (n // 2),
        topic=[text[:60] for text in texts],
        score=scores,
        state=states,
        reason=reasons))


SETTINGS = {
    "score": {"kind": "Scorer", "name": "<b>Q</b>", "range": [0.0, 1.0]},
    "select": {"kind": "Threshold", "theta": 0.0, "unique": True, "finished": True, "max_tokens": None},
}
NOTHING = dict(n_sampled=0, n_kept=0, n_rejected=0, n_quarantined=0, reasons={})


def hostile_run(path):
    "A run of two rounds with these samples, and with warnings of the same kind in the last."
    from selfloop_nb.storage.store import Run
    from selfloop_nb.text import clean_text
    run = Run.create(path, {"seed": 0})
    warnings = [clean_text(text)[:300] for text in HOSTILE[:20]]
    commit_round(run, 0, None)
    commit_round(run, 1, "0000-x", hostile_table())
    commit_round(run, 2, "0001-x", hostile_table(), warnings)
    return run


def commit_round(run, number, parent, table=None, warnings=()):
    "Write a round with this sample table; without one it is M_0."
    from selfloop_nb.metrics.basic import round_counts, sample_metrics
    from selfloop_nb.records import Round
    from selfloop_nb.storage.store import Draft
    draft = Draft(run.folder(f"{number:04d}-x"))
    counts = round_counts(table) if table else NOTHING
    metrics = {**(sample_metrics(table) if table else {}), "heldout_loss": 1.0, "heldout_accuracy": 0.5}
    if table: draft.write_table("samples.parquet", table)
    draft.end_phase("score", ["samples.parquet"] if table else [], 0.1)
    run.commit(draft, Round(draft.id, number, parent, "main", SETTINGS, {}, counts, metrics, {"sample": 1.0}, {},
                            list(warnings)))
