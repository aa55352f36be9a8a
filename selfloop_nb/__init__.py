"""A language model improves on its own output, round by round, in a notebook.

The public names below are loaded when they are first used, so that `import selfloop_nb` stays quick.
"""
__version__ = "0.1.0"

from importlib import import_module as _import_module

_public = {
    "addition": "tasks", "from_dataset": "tasks", "reasoning": "tasks", "Task": "tasks",
    "tiny_llama": "models", "tiny_t5": "training.encoder_decoder", "load_model": "models", "smollm2": "models", "LanguageModel": "models",
    "Sampling": "sampling", "generate_samples": "sampling",
    "Scorer": "scoring", "score_samples": "scoring", "verifier": "scoring", "confidence": "scoring", "agreement": "scoring", "human": "people.scorer",
    "exact_match": "scorers.references", "word_f1": "scorers.references", "bleu": "scorers.references", "chrf": "scorers.references", "rouge": "scorers.references", "maths": "scorers.references",
    "length": "scorers.rules", "no_repetition": "scorers.rules", "readability": "scorers.rules", "script": "scorers.rules", "style": "scorers.rules", "novelty": "scorers.rules",
    "sentiment": "scorers.classifiers", "train_classifier": "scorers.classifiers", "reward_model": "scorers.classifiers",
    "load_encoder": "scorers.embeddings", "similarity": "scorers.embeddings", "embedding_agreement": "scorers.embeddings", "reworded_agreement": "scorers.embeddings",
    "likelihood": "scorers.likelihoods", "judge": "scorers.judges",
    "mean_of": "scorers.ensembles", "minimum_of": "scorers.ensembles", "product_of": "scorers.ensembles", "vote_of": "scorers.ensembles", "disagreement_of": "scorers.ensembles", "calibrated": "scorers.ensembles",
    "KeepRule": "selection", "select_samples": "selection", "kept_rows": "selection", "Threshold": "selection", "Quantile": "selection", "TopK": "selection",
    "AcceptanceTarget": "filters.theta", "Annealed": "filters.theta", "theta_for_precision": "filters.theta",
    "Refinement": "filters.refine", "NoNearDuplicates": "filters.refine", "Decontaminated": "filters.refine", "PerCluster": "filters.refine", "FarthestFirst": "filters.refine", "Balanced": "filters.refine", "Curriculum": "filters.refine", "Staircase": "filters.staircase",
    "Accumulate": "mixing", "Replace": "mixing", "Window": "mixing",
    "fine_tune": "tuning", "completion_loss": "tuning", "FineTune": "tuning", "LoRA": "tuning", "MaskedLM": "training.masked", "DPO": "training.preferences", "SPIN": "training.preferences",
    "verify": "storage.verify", "export_run": "storage.archive", "import_run": "storage.archive",
    "diversity_metrics": "metrics.diversity", "pass_at_k": "metrics.pass_at_k", "majority_at_k": "metrics.pass_at_k", "drift_metrics": "metrics.drift", "audit_history": "metrics.audit", "balance_score": "metrics.audit", "round_figures": "metrics.per_round", "round_metrics": "metrics.per_round",
    "GUARDS": "guards", "HeldoutLossGuard": "guards", "DiversityGuard": "guards", "AcceptanceGuard": "guards", "SpreadGuard": "guards", "JudgeGuard": "guards", "AuditGuard": "guards", "DriftGuard": "guards", "CoverageGuard": "guards", "RepetitionGuard": "guards", "BalanceGuard": "guards",
    "audit_plot": "charts.monitors", "collapse_plot": "charts.monitors", "balance_plot": "charts.monitors",
    "open_run": "opened", "Loop": "loop",
    "ByRound": "sweeps.arms", "sweep": "sweeps.sweep", "sweep_plot": "sweeps.sweep", "against": "sweeps.sweep", "search": "sweeps.sweep",
    "dashboard": "views.dashboard", "explore": "views.explore", "browse": "views.browse", "tree": "views.tree", "compare": "views.compare", "rate": "views.rate",
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
