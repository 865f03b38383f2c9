"""Hostile input without end: for the reader of alerts, and for the door of the real daemon."""
