"""One seed, one run: the program's cores on one thread in a world that goes wrong, beside a model of the rules."""
