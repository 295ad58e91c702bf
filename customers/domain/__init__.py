"""Who may do what: key texts, scopes, keys and organisations, as pure rules."""
