"""ACT Flows: a job controller between workload systems and computing elements."""
