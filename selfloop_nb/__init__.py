"""A language model improves on its own output, round by round, in a notebook.

The public names below are loaded when they are first used, so that `import selfloop_nb` stays quick.
"""
__version__ = "0.1.0"

from importlib import import_module as _import_module

_public = {
    "addition": "tasks", "from_dataset": "tasks", "reasoning": "tasks",
    "tiny_llama": "models", "tiny_t5": "encoder_decoder", "load_model": "models", "smollm2": "models",
    "Sampling": "sampling",
    "verifier": "scoring", "confidence": "scoring", "agreement": "scoring", "human": "people",
    "exact_match": "references", "word_f1": "references", "bleu": "references", "chrf": "references", "rouge": "references", "maths": "references",
    "length": "rules", "no_repetition": "rules", "readability": "rules", "script": "rules", "style": "rules", "novelty": "rules",
    "sentiment": "classifiers", "train_classifier": "classifiers", "reward_model": "classifiers",
    "load_encoder": "embeddings", "similarity": "embeddings", "embedding_agreement": "embeddings", "reworded_agreement": "embeddings",
    "likelihood": "likelihoods", "judge": "judging",
    "mean_of": "ensembles", "minimum_of": "ensembles", "product_of": "ensembles", "vote_of": "ensembles", "disagreement_of": "ensembles", "calibrated": "ensembles",
    "Threshold": "selection", "Quantile": "selection", "TopK": "selection",
    "AcceptanceTarget": "theta", "Annealed": "theta", "theta_for_precision": "theta",
    "NoNearDuplicates": "refine", "Decontaminated": "refine", "PerCluster": "refine", "FarthestFirst": "refine", "Balanced": "refine", "Curriculum": "refine", "Staircase": "staircase",
    "Accumulate": "mixing", "Replace": "mixing", "Window": "mixing",
    "FineTune": "tuning", "LoRA": "tuning", "MaskedLM": "masked", "DPO": "preferences", "SPIN": "preferences",
    "verify": "checking", "export_run": "archive", "import_run": "archive",
    "diversity_metrics": "diversity", "pass_at_k": "accuracy", "majority_at_k": "accuracy", "drift_metrics": "drift", "audit_history": "audit", "balance_score": "audit", "round_figures": "figures",
    "GUARDS": "guards", "HeldoutLossGuard": "guards", "DiversityGuard": "guards", "AcceptanceGuard": "guards", "SpreadGuard": "guards", "JudgeGuard": "guards", "AuditGuard": "guards", "DriftGuard": "guards", "CoverageGuard": "guards", "RepetitionGuard": "guards", "BalanceGuard": "guards",
    "audit_plot": "instruments", "collapse_plot": "instruments", "balance_plot": "instruments",
    "open_run": "views", "Loop": "loop",
    "ByRound": "arms", "sweep": "sweeping", "sweep_plot": "sweeping", "against": "sweeping", "search": "sweeping",
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
