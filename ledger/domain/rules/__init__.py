"""Rules by subject: each turns an account, a command and the time into events or a typed refusal. Pure."""
