"""Compiled loops over lanes for the CPU, each beside the torch formula that other devices run.

A kernel goes through one lane after another, so nothing in it can depend on the pack.
"""
