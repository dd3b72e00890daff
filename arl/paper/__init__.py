"""The paper: its rows, its claims, tables and figures."""
