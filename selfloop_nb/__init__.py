"""A language model improves on its own output, round by round, in a notebook.

The public names below, by module, are loaded when they are first used, so that `import selfloop_nb` stays quick.
"""
from importlib import import_module as _import_module
from os import environ as _environ
from sys import modules as _modules

__version__ = "0.1.0"
torch_came_first = "torch" in _modules and "GOMP_SPINCOUNT" not in _environ # then this line comes too late:
_environ.setdefault("GOMP_SPINCOUNT", "5000") # torch's threads wait for each other a moment, not for ever
_names = {
    "tasks": "addition from_dataset reasoning Task", "models": "tiny_llama load_model LanguageModel",
    "training.encoder_decoder": "tiny_t5", "training.smollm": "smollm2", "sampling": "Sampling generate_samples",
    "scoring": "Scorer score_samples verifier confidence agreement", "people.scorer": "human",
    "scorers.references": "exact_match word_f1 bleu chrf rouge", "scorers.maths": "maths",
    "scorers.rules": "length no_repetition readability script style novelty",
    "scorers.classifiers": "sentiment train_classifier reward_model",
    "scorers.embeddings": "load_encoder similarity embedding_agreement reworded_agreement",
    "scorers.likelihoods": "likelihood", "scorers.judges": "judge",
    "scorers.own_model": "asks round_trip self_judge",
    "scorers.ensembles": "mean_of minimum_of product_of vote_of disagreement_of calibrated",
    "selection": "KeepRule select_samples kept_rows Threshold Quantile TopK",
    "filters.theta": "AcceptanceTarget Annealed theta_for_precision",
    "filters.refine": "Refinement NoNearDuplicates Decontaminated PerCluster FarthestFirst Balanced Curriculum",
    "filters.staircase": "Staircase", "filters.chance": "chance Chance", "mixing": "Accumulate Replace Window OnlyTrain",
    "tuning": "fine_tune FineTune", "backend.rows": "completion_loss", "backend.lora": "LoRA",
    "training.masked": "MaskedLM",
    "training.thinking": "LearnOnly", "training.speech": "SpeechModel", "training.until": "Until",
    "backend.processes": "Processes", "sweeps.cluster": "ray_cluster", "sweeps.server": "Server",
    "training.preferences": "DPO SPIN", "storage.verify": "verify", "storage.archive": "export_run import_run",
    "storage.repair": "repair",
    "metrics.diversity": "diversity_metrics", "metrics.pass_at_k": "pass_at_k majority_at_k",
    "metrics.drift": "drift_metrics", "metrics.audit": "audit_history balance_score",
    "metrics.per_round": "round_figures round_metrics", "metrics.measures": "Measure",
    "guards": "GUARDS HeldoutLossGuard DiversityGuard AcceptanceGuard SpreadGuard RoomGuard "
        "JudgeGuard MeasureGuard AuditGuard DriftGuard CoverageGuard RepetitionGuard BalanceGuard",
    "charts.words": "session", "charts.rounds": "accuracy_plot", "charts.comparison": "arms_table",
    "charts.monitors": "audit_plot collapse_plot balance_plot", "opened": "open_run", "loop": "Loop",
    "sweeps.arms": "ByRound", "sweeps.sweep": "sweep sweep_plot against search",
    "sweeps.controls": "controls control_arms", "sweeps.examine": "examine", "views.dashboard": "dashboard",
    "views.explore": "explore", "views.browse": "browse", "views.tree": "tree", "views.compare": "compare",
    "views.rate": "rate", "views.trackers": "track",
}
_module_of = {name: module for module, names in _names.items() for name in names.split()}
__all__ = list(_module_of)


def __getattr__(name):
    "Load a public name from its module at first use, and remember it."
    if name not in _module_of:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=_modules[__name__])
    explained = _import_module(".backend.docstrings", __name__).explained
    value = getattr(_import_module(f".{_module_of[name]}", __name__), name)
    globals()[name] = explained(value) # its parameters, in `help` and Jupyter's Shift-Tab
    return value


def __dir__():
    "What tab completion offers."
    return sorted({*globals(), *_module_of})
