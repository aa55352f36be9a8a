"What every test wants: one thread, since two that wait for each other on a busy machine take many times as long."
import os

SETTINGS = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "5000", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1"}
for name, value in SETTINGS.items(): os.environ.setdefault(name, value)
