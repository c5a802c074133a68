"""Policy: what an operator writes (rules), what an edge enforces (compile), and every version between (versions)."""
