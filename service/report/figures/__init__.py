"""Figures of a report: Vega-Lite through Altair, drawn offline, of settled cohorts only."""
