"""Which sets the recommended setting is chosen on, and which are looked at once, when it is chosen.

Written before any setting was compared in this repository. One reservation: a throwaway prototype of the synthetic-null
test had been run on all the real sets before this list was made, so for them "held out" means that no choice made from
here on looks at them. The simulations below had not been run by anything.
"""

DEVELOPMENT, HELD_OUT = "development", "held out"

REAL = {
    "mix3_celseq2": DEVELOPMENT,
    "rnamix_celseq2": DEVELOPMENT,
    "pbmc3k": DEVELOPMENT,
    "zheng_facs3_500": HELD_OUT,
    "stoeckius_4lines_hto": HELD_OUT,
    "pancreas_baron350": HELD_OUT,
    "zheng_cd19b_pure": HELD_OUT,
}
"""A pure population cut out of a labelled set goes where its set goes."""

SIMULATED = {
    DEVELOPMENT: {
        "pure shallow": {"n_cells": 600, "mean_depth": 1500},
        "pure deep": {"n_cells": 200, "mean_depth": 60_000, "depth_spread": 0.5, "n_modules": 3},
        "pure modules": {"n_cells": 800, "mean_depth": 5000, "n_modules": 5, "module_sd": 0.5},
        "line": {"n_cells": 600, "mean_depth": 5000, "gradient": "line"},
        "depth line": {"n_cells": 600, "mean_depth": 5000, "depth_gradient": 1.0, "n_modules": 2},
        "3 groups": {"n_cells": 600, "mean_depth": 3000, "group_shares": (0.4, 0.3, 0.3)},
        "rare group": {"n_cells": 800, "mean_depth": 3000, "group_shares": (0.57, 0.4, 0.03)},
        "4 groups, modules": {
            "n_cells": 800,
            "mean_depth": 5000,
            "group_shares": (0.4, 0.3, 0.2, 0.1),
            "n_modules": 4,
            "n_markers": 40,
        },
        "3 groups on a line": {
            "n_cells": 900,
            "mean_depth": 4000,
            "group_shares": (0.34, 0.33, 0.33),
            "gradient": "line",
        },
    },
    HELD_OUT: {
        "pure large": {"n_cells": 2000, "mean_depth": 2500, "n_modules": 2},
        "pure deep, strong modules": {"n_cells": 300, "mean_depth": 40_000, "n_modules": 4, "module_sd": 0.8},
        "pure two batches": {"n_cells": 800, "mean_depth": 4000, "n_batches": 2, "batch_sd": 0.3, "n_modules": 2},
        "circle": {"n_cells": 700, "mean_depth": 6000, "gradient": "circle"},
        "long line": {"n_cells": 1500, "mean_depth": 8000, "gradient": "line", "gradient_strength": 2.0},
        "2 groups, weak": {"n_cells": 500, "mean_depth": 4000, "group_shares": (0.5, 0.5), "n_markers": 30},
        "6 groups, unequal": {
            "n_cells": 1200,
            "mean_depth": 3000,
            "group_shares": (0.35, 0.25, 0.2, 0.1, 0.07, 0.03),
            "n_modules": 3,
        },
        "2 groups on a circle": {
            "n_cells": 800,
            "mean_depth": 6000,
            "group_shares": (0.6, 0.4),
            "gradient": "circle",
        },
        "3 small groups, deep": {"n_cells": 120, "mean_depth": 50_000, "group_shares": (0.34, 0.33, 0.33)},
    },
}
"""Arguments of ``recall_py.datasets.simulate``; without ``group_shares`` all cells are of one kind."""
