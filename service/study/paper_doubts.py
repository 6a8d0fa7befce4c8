"""The page on the paper's own counts, its later half: pairs, settings, units, and plain words."""

import math

from service.evidence import boschloo, practical, strata
from service.evidence.pairs import Pairs
from service.evidence.several import holm
from service.study.cells import correlation, p_value, points, prose, restarts, table, times
from service.study.paper_counts import (
    NEURAL_GPU,
    NRAM,
    NRAM_ALL,
    PROGRAMMER,
    SEEDS_A_SETTING,
    SETTINGS,
)

#: the Neural GPU paper's grid has 3^6 settings; ten seeds of each make 7,290 runs (an inference)
SEEDS_A_GPU_SETTING = 10


def pairing() -> str:
    """What the paired tables, which nobody printed, could have been."""
    rows = []
    for count in (*NEURAL_GPU, *NRAM, PROGRAMMER):
        least, most = count.extremes
        saved = most.saving()
        rows.append(
            (count.name, f"{least.both} to {most.both}",
             f"{correlation(least)} to {correlation(most)}",
             f"{p_value(least.mcnemar())} to {p_value(most.mcnemar())}",
             points(least.tango()), points(most.tango()),
             f"{100 * saved.trials:.0f} %" if saved else "-")
        )  # fmt: skip
    head = ("counts", "pairs that won in both", "correlation", "McNemar's exact p",
            "difference, least overlap", "difference, most overlap",
            "trials saved at most")  # fmt: skip
    first = prose("""
        The paper says of NRAM that both rows used the same 100 seeds, and of the others nothing; it
        prints no paired table anywhere. The margins bound what such a table could be: at one end no
        seed succeeds both with and without noise, at the other every success of the rarer arm is
        one of the other arm too. McNemar's exact test and Tango's interval at both ends:""")
    closest = p_value(NRAM[0].extremes[1].mcnemar())
    last = prose(f"""
        So pairing could not change what the Neural GPU's rows say: at the least favourable table
        McNemar's p is about that of Fisher's test, and overlap only makes it smaller. At rates this
        low there is little to gain either: unless most successes fall on the same seeds, the
        correlation is near 0 and saves few runs. For HP-1 and HP-3 of NRAM even the most favourable
        pairs leave McNemar's exact p at {closest}, of four pairs that tell the arms apart, while
        Tango's interval just leaves out 0: the pairs would not have settled them.""")
    return "\n\n".join(["## Had the runs been pairs", first, table(head, rows), last])


def settings() -> str:
    """NRAM's three settings, apart and together."""
    grid = strata.independent([count.arms for count in NRAM])
    raw = [boschloo.p_value(c.noisy, c.n, c.plain, c.n, "two") for c in NRAM]
    rows = [
        (c.name, f"{c.plain} and {c.noisy} of {c.n}", points(c.arms.difference()), p_value(p),
         p_value(adjusted))
        for c, p, adjusted in zip(NRAM, raw, holm(raw), strict=True)
    ]  # fmt: skip
    head = ("setting", "plain and noisy", "difference, points", "Boschloo p", "Holm over three")
    same = grid.homogeneity
    first = prose(f"""
        Over the three settings, Mantel-Haenszel: {points(grid.difference)} points (Sato's
        variance); common odds ratio {times(grid.odds_ratio)} (Robins, Breslow and
        Greenland); the null that {grid.null} has p {p_value(grid.test.p)}.
        {same.method}: p {p_value(same.p)} ({same.reason}).
        Alone, only HP-2 shows an effect, and {NRAM[1].noisy} of the {NRAM_ALL.noisy} successes are
        its own: that noise helps *somewhere* is shown, that it helps in each setting, or by the
        same factor, is not. The paper's "over 10x" is {times(NRAM_ALL.arms.ratio())} of the pooled
        counts.""")
    last = prose("""
        These three are the best of a large grid search. The best of many settings look better than
        they are; if they were chosen by their rate with noise, the gain of noise is flattered too.
        Fresh seeds of the same settings would tell.""")
    return "\n\n".join(["## NRAM by setting", table(head, rows), first, last])


def units() -> str:
    """What becomes of the tests if settings, not runs, are what was drawn."""
    noisy, plain = PROGRAMMER.noisy, PROGRAMMER.plain
    fewest = math.ceil(noisy / SEEDS_A_SETTING)
    best = Pairs(0, noisy - plain, 0, SETTINGS - noisy + plain)  # they meet in one setting: a tie
    worst = Pairs(0, fewest, plain, SETTINGS - fewest - plain)
    rows = [
        (count.name, *(str(math.ceil(k / SEEDS_A_GPU_SETTING)) for k in (count.plain, count.noisy)))
        for count in NEURAL_GPU
    ]
    head = ("counts", "fewest settings, plain", "fewest settings, noisy")
    first = prose(f"""
        Every test above counts runs. That is right for the question "do these very settings succeed
        more often with noise", if each run drew its own start and data. For "would other settings
        too", the unit is the setting, and successes tend to come from few of them. The Neural
        Programmer's {noisy} may lie in {fewest} to {noisy} of {SETTINGS} settings: by settings a
        sign test's p is then anything from {p_value(best.mcnemar())} to
        {p_value(worst.mcnemar())}. The Neural GPU's counts could lie in as few settings as these
        (of 729, if there were ten seeds of each):""")
    last = prose("""
        And if runs of different settings shared their seeds' streams, as a loop over seeds 0 to 9
        does, they were not even independent: in a simulation of 729 settings of ten shared seeds, a
        correlation of 0.02 between settings made 36 % false positives of a nominal 5 %. The paper
        does not say. (Seedbed keys every stream by setting and seed.)""")
    return "\n\n".join(["## Runs or settings", first, table(head, rows), last])


def verdict() -> str:
    """In plain words."""
    strict, loose = NEURAL_GPU[0].arms, NEURAL_GPU[-1].arms
    few = PROGRAMMER.arms
    fisher = boschloo.fisher(few.a.k, few.a.n, few.b.k, few.b.n, "two")
    noisy = restarts(practical.restarts_per_success(strict.a))
    plain = restarts(practical.restarts_per_success(strict.b))
    shows = (
        f"""With independent runs, noise raised the Neural GPU's rate at every threshold: by
        {points(strict.difference())} points at 1 %, by {points(loose.difference())} at 5 %. Chance
        does not explain it (the largest score p is {p_value(strict.score_test().p)}).""",
        f""""Doubling" at 1 % is {times(strict.ratio())}: a third more and three times as many are
        both compatible with it. At 5 % it is {times(loose.ratio())}.""",
        f"""Successes stay rare: with noise it still takes {noisy} restarts per model below 1 %, and
        {plain} without.""",
        f"""NRAM's pooled gain ({NRAM_ALL.plain} to {NRAM_ALL.noisy} of {NRAM_ALL.n}) is beyond
        chance, and is carried by one of three chosen settings.""",
        f"""The Neural Programmer's {few.b.k} against {few.a.k} is the weakest: Fisher p
        {p_value(fisher)}, a ratio of {times(few.ratio())}.""",
    )
    silent = (
        "Four independent confirmations: the thresholds are nested.",
        "That the gain is larger for the most accurate models than for the others.",
        "Anything about pairs: no table of seeds with and without noise is printed.",
        """That settings other than those run, or chosen, gain: rates differ between settings, and
        the grids are not given.""",
        """That noise beats what the same restarts would give by another change, such as a tuned
        step size or start: each of these tables but one compares noise with its absence alone (the
        Neural Programmer's dropout had 0 of 216).""",
        """Which error was counted, how long runs trained, how settings and thresholds were chosen,
        and whether before the counts were seen. No count here was declared beforehand, as far as
        the paper says, so every p is exploratory.""",
    )
    told = "\n".join(f"- {prose(line, 2)}" for line in shows)
    untold = "\n".join(f"- {prose(line, 2)}" for line in silent)
    return f"## In plain words\n\nThey show:\n\n{told}\n\nThey do not show:\n\n{untold}"
