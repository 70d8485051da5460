"""Evaluations: a suite of cases through the real engine, with effects captured."""
