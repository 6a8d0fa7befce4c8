"""A sweep as one file that others can check: spec, outcomes, findings, notebook, figures."""
