"""Jobs in the simulation: workers, sweeps, customers and nodes, over twins of tables, nodes and objects."""
