"""A language model improves on its own output, round by round, in a notebook.

The public names below are loaded when they are first used, so that `import selfloop_nb` stays quick.
"""
__version__ = "0.1.0"

from importlib import import_module as _import_module

_public = {
    "addition": "tasks", "from_dataset": "tasks", "reasoning": "tasks",
    "tiny_llama": "models", "load_model": "models", "smollm2": "models",
    "Sampling": "sampling",
    "verifier": "scoring", "confidence": "scoring", "agreement": "scoring", "human": "people",
    "Threshold": "selection", "Quantile": "selection", "TopK": "selection",
    "Accumulate": "mixing", "Replace": "mixing", "Window": "mixing",
    "FineTune": "tuning", "LoRA": "tuning",
    "verify": "checking", "export_run": "archive", "import_run": "archive",
    "open_run": "views", "Loop": "loop",
    "dashboard": "widgets", "explore": "explorer", "browse": "browser", "tree": "run_tree", "compare": "comparer", "rate": "rating",
}
__all__ = list(_public)


def __getattr__(name):
    "Load a public name from its module at first use, and remember it."
    if name not in _public:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f".{_public[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    "What tab completion offers."
    return sorted({*globals(), *_public})
