"""Pure rules of payments: quotes, the policy for what arrives, top-ups and settlement. No I/O, clock or randomness."""
