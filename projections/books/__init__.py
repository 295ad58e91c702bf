"""Double entry by rule from the log: rules, the follower that writes entries, identities and exports."""
