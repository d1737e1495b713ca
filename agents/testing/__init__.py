"""Contract suites of what stands on the environment; `hpo_env.testing` names them all."""
