"""The picture of a comparison: what waits and what works over time, and what each policy cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.autoscaling.comparison import Result

_COLORS = {
    "fixed": "#9a9a9a",
    "reactive": "#d98c3f",
    "queue-length": "#c9b458",
    "backlog": "#2f7f6f",
    "forecast": "#4a6fb5",
}


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
        for result in of_scenario:
            color = _COLORS.get(result.policy, "black")
            samples = result.run.samples[:: max(1, len(result.run.samples) // 1200)]
            hours = [sample.at_s / 3600 for sample in samples]
            drawn = {"lw": 1.0, "color": color, "alpha": 0.85, "label": result.policy}
            axes[0].step(hours, [sample.ready + sample.starting for sample in samples], **drawn)
            axes[1].plot(hours, [sample.queued for sample in samples], **drawn)
            axes[2].plot(hours, [sample.oldest_s for sample in samples], **drawn)
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
    rows[0][0].legend(fontsize=7, loc="upper right")
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)
