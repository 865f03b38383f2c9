"""`fks bench`: what an order and an alert cost on this machine, next to the alternatives in the same run.

`venue` compares ccxt on trio with ccxt as it comes; `webhook` loads the real daemon and two references.
Everything that is measured is a process of its own; the modules with a `main` are those processes.
"""
