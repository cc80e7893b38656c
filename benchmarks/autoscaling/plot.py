"""The picture of a comparison: what works and what waits over time, and what each policy cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.autoscaling.comparison import Result
from benchmarks.autoscaling.simulator import Sample

_COLORS = {
    "fixed": "#9a9a9a",
    "reactive": "#d98c3f",
    "queue-length": "#c9b458",
    "backlog": "#2f7f6f",
    "forecast": "#4a6fb5",
}

_OVER_TIME = ("fixed", "reactive", "backlog")
"""The other two lie where backlog lies, and would hide it."""
_BINS = 240


def _binned(samples: Sequence[Sample]) -> list[tuple[float, float, int, float]]:
    """(hour, mean of the replicas, most queued jobs, greatest age) of each stretch of time."""
    size = max(1, len(samples) // _BINS)
    parts = [samples[at : at + size] for at in range(0, len(samples), size)]
    return [
        (
            part[0].at_s / 3600,
            sum(one.ready + one.starting for one in part) / len(part),
            max(one.queued for one in part),
            max(one.oldest_s for one in part),
        )
        for part in parts
    ]


def draw(results: Sequence[Result], file: Path) -> None:
    """One row per scenario: replicas, queued jobs and age of the oldest over time, then cost; written as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scenarios = list(dict.fromkeys(result.scenario for result in results))
    figure, rows = plt.subplots(
        len(scenarios), 4, figsize=(15, 2.5 * len(scenarios)), squeeze=False, width_ratios=(3, 3, 3, 1.4)
    )
    for axes, scenario in zip(rows, scenarios, strict=True):
        of_scenario = [result for result in results if result.scenario == scenario]
        shown = [result for result in of_scenario if result.policy in _OVER_TIME] or of_scenario
        for result in shown:
            hours, replicas, queued, ages = zip(*_binned(result.run.samples), strict=True)
            drawn = {"lw": 1.2, "color": _COLORS.get(result.policy, "black"), "alpha": 0.9, "label": result.policy}
            axes[0].step(hours, replicas, where="post", **drawn)
            axes[1].plot(hours, queued, **drawn)
            axes[2].plot(hours, ages, **drawn)
        names = [result.policy for result in of_scenario]
        costs = [result.run.cost_s / 3600 for result in of_scenario]
        bars = axes[3].barh(names, costs, color=[_COLORS.get(name, "black") for name in names])
        axes[3].bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
        axes[3].margins(x=0.25)
        axes[3].invert_yaxis()
        axes[0].set_ylabel(scenario, fontweight="bold")
        for axis in axes[:3]:
            axis.margins(x=0)
            axis.tick_params(labelsize=7)
        axes[3].tick_params(labelsize=7)
    for axis, title in zip(
        rows[0], ("replicas", "queued jobs", "oldest queued job, s", "cost, replica-hours"), strict=True
    ):
        axis.set_title(title, fontsize=10)
    for axis in rows[-1][:3]:
        axis.set_xlabel("hours", fontsize=8)
    rows[0][0].legend(fontsize=7, loc="lower center")
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)
