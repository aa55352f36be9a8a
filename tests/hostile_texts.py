"Texts that mean harm, or merely break things; and a run whose samples are made of them."
import math

HOSTILE = [
    "<script>alert('script')</script>", "<img src=x onerror=alert('img')>", "<svg onload=alert('svg')>", "<iframe src='https://example.org/frame'></iframe>",
    "<a href='javascript:alert(1)'>press me</a>", "\"><script>alert('quote')</script>", "' onmouseover='alert(1)", "</code></div><h1>out of the card</h1>",
    "<style>*{display:none}</style>", "<link rel=stylesheet href='https://example.org/x.css'>", "<form action='https://example.org'><input name=password></form>",
    "<math><mtext><img src=x onerror=alert(2)></mtext></math>", "$$\\frac{1}{0}$$ and $x$", "\\(x\\) \\[y\\] \\unicode{x}", "![picture](https://example.org/p.png) [link](javascript:alert(3))",
    "\x1b[31mred\x1b[0m\x1b]8;;https://example.org\x07link\x1b]8;;\x07", "\u202eright to left override\u202c", "\u2066isolate\u2069 \u200bzero\u200bwidth", "lone \ud800 surrogate \udfff", "NUL \x00 and bell \x07",
    "x" * 1_000_000, "line\n" * 2000, "你好，世界", "日本語の文", "🙂👩‍👩‍👧‍👦🏳️‍🌈", "مرحبا بالعالم", "e\u0301" * 40 + "\u0489" * 40, "=HYPERLINK(\"https://example.org\")", "{{constructor.constructor('alert(4)')()}}", "%s %d {0} {}",
]
assert len(HOSTILE) == 30


def hostile_table():
    "A selected sample table of them; text is cleaned as the sampler cleans it, and nothing else."
    from datasets import Dataset
    from selfloop_nb.text import clean_text
    texts, n = [clean_text(text) for text in HOSTILE], len(HOSTILE)
    states = ["kept", "rejected", "quarantined"] * (n // 3)
    return Dataset.from_dict(dict(sample_id=[f"1-{i}" for i in range(n)], prompt_id=list(range(n)), prompt=[text[:2000] for text in reversed(texts)], completion=texts, token_ids=[[1]] * n, n_tokens=[1] * n, logprob=[-1.0] * n,
        finished=[True] * n, correct=[i % 2 == 0 for i in range(n)], topic=[text[:60] for text in texts], score=[math.nan if s == "quarantined" else i / n for i, s in enumerate(states)], state=states, reason=["" if s == "kept" else texts[i][:80] for i, s in enumerate(states)]))


def hostile_run(path):
    "A run of two rounds with these samples, and with warnings of the same kind."
    from selfloop_nb.metrics.basic import round_counts, sample_metrics
    from selfloop_nb.records import Round
    from selfloop_nb.text import clean_text
    from selfloop_nb.storage.store import Draft, Run
    run, table = Run.create(path, {"seed": 0}), hostile_table()
    settings = {"score": {"kind": "Scorer", "name": "<b>Q</b>", "range": [0.0, 1.0]}, "select": {"kind": "Threshold", "theta": 0.0, "unique": True, "finished": True, "max_tokens": None}}
    for number, parent in ((0, None), (1, "0000-x"), (2, "0001-x")):
        draft = Draft(run.folder(f"{number:04d}-x"))
        if number: draft.write_table("samples.parquet", table)
        draft.end_phase("score", ["samples.parquet"] if number else [], 0.1)
        counts, figures = (round_counts(table), sample_metrics(table)) if number else (dict(n_sampled=0, n_kept=0, n_rejected=0, n_quarantined=0, reasons={}), {})
        run.commit(draft, Round(draft.id, number, parent, "main", settings, {}, counts, {**figures, "heldout_loss": 1.0, "heldout_accuracy": 0.5}, {"sample": 1.0}, {}, [clean_text(text)[:300] for text in HOSTILE[:20]] if number == 2 else []))
    return run
