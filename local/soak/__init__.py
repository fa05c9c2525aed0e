"""Whether the operator stays as it is: rollouts come and go for an hour, and nothing may grow, stick or go stale."""
