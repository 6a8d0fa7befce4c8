"""Long studies: ready sweeps run to their end, kept cohort by cohort in files for git."""
