"""Routes, a module for each thing that customers know."""
