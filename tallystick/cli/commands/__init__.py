"""One module a command; its name is the command's, its ``command`` the click object. Dropping one in here adds it."""
